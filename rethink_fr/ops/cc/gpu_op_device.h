// What deform_conv_launch.h calls a device, inside a TensorFlow operator: the stream of the operator's GPU, memory from
// its allocator.
#ifndef RETHINK_FR_OPS_CC_GPU_OP_DEVICE_H_
#define RETHINK_FR_OPS_CC_GPU_OP_DEVICE_H_

#include <deque>

#include "cuda_driver.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "xla/stream_executor/stream.h"

// A test registers the operators for the CPU instead, with an emulated driver.
#ifndef RETHINK_FR_GPU_DEVICE
#define RETHINK_FR_GPU_DEVICE tensorflow::DEVICE_GPU
#endif

namespace rethink_fr {

class GpuOpDevice : public CudaStream {
 public:
  explicit GpuOpDevice(tensorflow::OpKernelContext* ctx) : CudaStream(StreamOf(ctx)), ctx_(ctx) {}

  // Given back when the operator returns: TensorFlow hands the memory out again only to work that comes later in the
  // stream.
  float* Allocate(long long floats) {
    if (!error().empty()) return nullptr;
    memory_.emplace_back();
    const tensorflow::Status status =
        ctx_->allocate_temp(tensorflow::DT_FLOAT, tensorflow::TensorShape({floats}), &memory_.back());
    if (!status.ok()) {
      allocation_ = status;
      SetError("no memory");
      return nullptr;
    }
    return memory_.back().flat<float>().data();
  }

  tensorflow::Status Finish(const char* operation) const {
    if (!allocation_.ok()) return allocation_;
    if (error().empty()) return tensorflow::OkStatus();
    return tensorflow::errors::Internal(operation, " on the GPU: ", error());
  }

 private:
  static void* StreamOf(tensorflow::OpKernelContext* ctx) {
    const tensorflow::DeviceContext* device = ctx->op_device_context();
    if (device == nullptr || device->stream() == nullptr) return nullptr;  // the default stream
    return device->stream()->platform_specific_handle().stream;
  }

  tensorflow::OpKernelContext* ctx_;
  std::deque<tensorflow::Tensor> memory_;
  tensorflow::Status allocation_;
};

inline const float* InputFloats(tensorflow::OpKernelContext* ctx, int i) { return ctx->input(i).flat<float>().data(); }

// Allocates an output and gives its memory.
inline tensorflow::Status OutputFloats(tensorflow::OpKernelContext* ctx, int i, const tensorflow::TensorShape& shape,
                                       float** memory) {
  tensorflow::Tensor* output = nullptr;
  TF_RETURN_IF_ERROR(ctx->allocate_output(i, shape, &output));
  *memory = output->flat<float>().data();
  return tensorflow::OkStatus();
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GPU_OP_DEVICE_H_
