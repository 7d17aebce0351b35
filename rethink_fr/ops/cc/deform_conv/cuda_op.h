// The deformable convolution and its gradient on a GPU.
//
// This is plain C++. The CUDA kernels are compiled when they are first used, see cuda/loaded_kernels.h. A TensorFlow
// without GPU support ignores these registrations.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_OP_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_OP_H_

#include "cuda/op_device.h"
#include "deform_conv/cuda_launch.h"
#include "deform_conv/op.h"
#include "tensorflow/core/util/determinism.h"

namespace rethink_fr {

class DeformConv2dGpu : public DeformConv2dOp {
 public:
  using DeformConv2dOp::DeformConv2dOp;

 private:
  void Run(OpKernelContext* ctx, const DeformConvShape& shape, const DeformConvTensors& tensors,
           float* outputs) const override {
    GpuOpDevice device(ctx);
    LaunchDeformConv(device, shape, tensors, outputs);
    OP_REQUIRES_OK(ctx, device.Finish("deform_conv2d"));
  }
};

class DeformConv2dGradGpu : public DeformConv2dGradOp {
 public:
  using DeformConv2dGradOp::DeformConv2dGradOp;

 private:
  void Run(OpKernelContext* ctx, const DeformConvShape& shape, const DeformConvTensors& tensors) const override {
    OP_REQUIRES(ctx, !tensorflow::OpDeterminismRequired(),
                tensorflow::errors::Unimplemented(
                    "the gradient of deform_conv2d on a GPU adds with atomics, and determinism was asked for; use "
                    "implementation=\"reference\", or do without tf.config.experimental.enable_op_determinism"));
    GpuOpDevice device(ctx);
    LaunchDeformConvGradient(device, shape, tensors);
    OP_REQUIRES_OK(ctx, device.Finish("gradient of deform_conv2d"));
  }
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2d").Device(RETHINK_FR_GPU_DEVICE), DeformConv2dGpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2dGrad").Device(RETHINK_FR_GPU_DEVICE), DeformConv2dGradGpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_OP_H_
