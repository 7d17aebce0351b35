// Launching CUDA kernels on a stream through the driver. No TensorFlow.
#ifndef RETHINK_FR_OPS_CC_CUDA_STREAM_H_
#define RETHINK_FR_OPS_CC_CUDA_STREAM_H_

#include <string>

#include "cuda/launch.h"
#include "cuda/libraries.h"
#include "cuda/loaded_kernels.h"

namespace rethink_fr {

// Launches kernels on one stream. The stream's context is the current one as long as the object lives. The first error
// is kept, and nothing is launched after it.
class CudaStream {
 public:
  explicit CudaStream(CudaDriver::Stream stream) : stream_(stream) {
    driver_ = CudaKernelCache::Get().Driver(&error_);
    if (driver_ == nullptr) return;
    CudaDriver::Context context = nullptr;
    if (!Check(driver_->stream_context(stream, &context), "cuStreamGetCtx")) return;
    if (!Check(driver_->push_context(context), "cuCtxPushCurrent")) return;
    pushed_ = true;
    kernels_ = &CudaKernelCache::Get().Load(context);
    error_ = kernels_->error;
  }
  ~CudaStream() {
    CudaDriver::Context context = nullptr;
    if (pushed_) driver_->pop_context(&context);
  }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  template <class Kernel>
  void Launch(LaunchSize grid, LaunchSize block, const typename Kernel::Arguments& arguments) {
    if (!error_.empty()) return;
    void* parameters[] = {const_cast<typename Kernel::Arguments*>(&arguments)};  // the driver copies them
    Check(driver_->launch(kernels_->functions[KernelTraits<Kernel>::kIndex], grid.x, grid.y, grid.z, block.x, block.y,
                          block.z, 0, stream_, parameters, nullptr),
          KernelTraits<Kernel>::kName);
  }

  void Zero(float* begin, long long floats) {
    if (!error_.empty() || floats == 0) return;
    Check(driver_->fill_words(reinterpret_cast<unsigned long long>(begin), 0, static_cast<std::size_t>(floats), stream_),
          "cuMemsetD32Async");
  }

  // Empty if nothing went wrong.
  const std::string& error() const { return error_; }
  void SetError(const std::string& error) {
    if (error_.empty()) error_ = error;
  }

 private:
  bool Check(int status, const char* what) {
    if (status != 0) SetError(std::string(what) + " failed: " + CudaKernelCache::ErrorName(*driver_, status));
    return status == 0;
  }

  CudaDriver::Stream stream_;
  const CudaDriver* driver_ = nullptr;
  const LoadedKernels* kernels_ = nullptr;
  bool pushed_ = false;
  std::string error_;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_STREAM_H_
