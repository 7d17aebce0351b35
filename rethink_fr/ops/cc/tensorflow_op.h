// What every operator here uses of TensorFlow: a few of its names, and the memory of its inputs and outputs.
#ifndef RETHINK_FR_OPS_CC_TENSORFLOW_OP_H_
#define RETHINK_FR_OPS_CC_TENSORFLOW_OP_H_

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace rethink_fr {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Status;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;

inline const float* InputFloats(OpKernelContext* ctx, int i) { return ctx->input(i).flat<float>().data(); }

// Allocates output `i` and sets `memory` to its first float.
inline Status OutputFloats(OpKernelContext* ctx, int i, const TensorShape& shape, float** memory) {
  tensorflow::Tensor* output = nullptr;
  TF_RETURN_IF_ERROR(ctx->allocate_output(i, shape, &output));
  *memory = output->flat<float>().data();
  return tensorflow::OkStatus();
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_TENSORFLOW_OP_H_
