// The device on which a TensorFlow operator launches its kernels, in the sense of cuda/launch.h: the stream of the
// operator's GPU, and memory from TensorFlow's allocator.
#ifndef RETHINK_FR_OPS_CC_CUDA_OP_DEVICE_H_
#define RETHINK_FR_OPS_CC_CUDA_OP_DEVICE_H_

#include <deque>

#include "cuda/stream.h"
#include "tensorflow_op.h"
#include "xla/stream_executor/stream.h"

// A test defines this to register the GPU's operators for the CPU, where an emulated driver runs them.
#ifndef RETHINK_FR_GPU_DEVICE
#define RETHINK_FR_GPU_DEVICE tensorflow::DEVICE_GPU
#endif

namespace rethink_fr {

class GpuOpDevice : public CudaStream {
 public:
  explicit GpuOpDevice(OpKernelContext* ctx) : CudaStream(StreamOf(ctx)), ctx_(ctx) {}

  // The memory is given back when the operator returns, although the kernels may not have run by then. That is right:
  // TensorFlow gives it only to work that comes later in the same stream.
  float* Allocate(long long floats) {
    if (!error().empty()) return nullptr;
    memory_.emplace_back();
    const Status status =
        ctx_->allocate_temp(tensorflow::DT_FLOAT, TensorShape({floats}), &memory_.back());
    if (!status.ok()) {
      allocation_ = status;
      SetError("no memory");
      return nullptr;
    }
    return memory_.back().flat<float>().data();
  }

  // What the operator reports: the first error, if there was one. `operation` names what was computed.
  Status Finish(const char* operation) const {
    if (!allocation_.ok()) return allocation_;
    if (error().empty()) return tensorflow::OkStatus();
    return tensorflow::errors::Internal(operation, " on the GPU: ", error());
  }

 private:
  static void* StreamOf(OpKernelContext* ctx) {
    const tensorflow::DeviceContext* device = ctx->op_device_context();
    if (device == nullptr || device->stream() == nullptr) return nullptr;  // the default stream
    return device->stream()->platform_specific_handle().stream;
  }

  OpKernelContext* ctx_;
  std::deque<tensorflow::Tensor> memory_;
  Status allocation_;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_OP_DEVICE_H_
