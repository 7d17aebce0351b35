// Kernels loaded into a CUDA context, once in a process, and launched on a stream through the driver. No TensorFlow.
// Nothing here throws or ends the process: what goes wrong is a text that the caller reports.
#ifndef RETHINK_FR_OPS_CC_CUDA_DRIVER_H_
#define RETHINK_FR_OPS_CC_CUDA_DRIVER_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cuda_arguments.h"
#include "cuda_compile.h"
#include "cuda_libraries.h"

namespace rethink_fr {

enum KernelIndex {
#define RETHINK_FR_KERNEL_INDEX(name, arguments) kIndex_##name,
  RETHINK_FR_CUDA_KERNELS(RETHINK_FR_KERNEL_INDEX)
#undef RETHINK_FR_KERNEL_INDEX
      kNumKernels
};

template <class Kernel>
struct KernelTraits;
#define RETHINK_FR_KERNEL_TRAITS(name, arguments)  \
  template <>                                      \
  struct KernelTraits<kernels::name> {             \
    static constexpr int kIndex = kIndex_##name;   \
    static constexpr const char* kName = #name;    \
  };
RETHINK_FR_CUDA_KERNELS(RETHINK_FR_KERNEL_TRAITS)
#undef RETHINK_FR_KERNEL_TRAITS

// The functions of one context.
struct LoadedKernels {
  const CudaDriver* driver = nullptr;
  CudaDriver::Function functions[kNumKernels] = {};
  std::string error;
};

// Thread-safe. Contexts and their kernels stay until the process ends, as TensorFlow's do. A failure is kept too: it is
// not tried again at every step.
class CudaKernelCache {
 public:
  static CudaKernelCache& Get() {
    static CudaKernelCache* cache = new CudaKernelCache;  // no destructor: the driver may be gone before
    return *cache;
  }

  // The current context's kernels. Call with the stream's context current; the driver must be loaded.
  const LoadedKernels& Load(CudaDriver::Context context) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<LoadedKernels>& loaded = by_context_[context];
    if (loaded == nullptr) loaded.reset(new LoadedKernels(LoadIntoCurrentContext()));
    return *loaded;
  }

  // Null with an error if there is no driver.
  const CudaDriver* Driver(std::string* error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!driver_tried_) {
      driver_tried_ = true;
      driver_error_ = LoadCudaDriver(&driver_);
      const int status = driver_error_.empty() ? driver_.init(0) : 0;
      if (status != 0) driver_error_ = "cuInit failed: " + ErrorName(driver_, status);
    }
    *error = driver_error_;
    return driver_error_.empty() ? &driver_ : nullptr;
  }

  static std::string ErrorName(const CudaDriver& driver, int status) {
    const char* name = nullptr;
    if (driver.error_name(status, &name) != 0 || name == nullptr) return "CUDA error " + std::to_string(status);
    return name;
  }

 private:
  LoadedKernels LoadIntoCurrentContext() {
    LoadedKernels result;
    result.driver = &driver_;
    constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // CUdevice_attribute
    int device = 0, major = 0, minor = 0;
    int status = driver_.current_device(&device);
    if (status == 0) status = driver_.device_attribute(&major, kCapabilityMajor, device);
    if (status == 0) status = driver_.device_attribute(&minor, kCapabilityMinor, device);
    if (status != 0) {
      result.error = "the GPU's compute capability could not be read: " + ErrorName(driver_, status);
      return result;
    }
    const CudaCode& code = Compile(major * 10 + minor);
    result.error = code.error;
    if (!result.error.empty()) return result;
    CudaDriver::Module module = nullptr;
    status = driver_.load_module(&module, code.code.data());
    if (status != 0) {
      result.error = "the driver did not take the compiled kernels: " + ErrorName(driver_, status) +
                     "; an NVRTC newer than the driver may be the reason";
      return result;
    }
#define RETHINK_FR_FIND_FUNCTION(name, arguments)                                                  \
  if (status == 0) status = driver_.module_function(&result.functions[kIndex_##name], module, #name);
    RETHINK_FR_CUDA_KERNELS(RETHINK_FR_FIND_FUNCTION)
#undef RETHINK_FR_FIND_FUNCTION
    if (status != 0) result.error = "a kernel is missing in the compiled module: " + ErrorName(driver_, status);
    return result;
  }

  // One compilation for all GPUs of a kind.
  const CudaCode& Compile(int capability) {
    const auto found = by_capability_.find(capability);
    if (found != by_capability_.end()) return found->second;
    CudaCompiler compiler;
    CudaCode code;
    code.error = LoadCudaCompiler(&compiler);
    if (code.error.empty()) code = CompileCudaKernels(compiler, capability);
    return by_capability_[capability] = code;
  }

  std::mutex mutex_;
  bool driver_tried_ = false;
  CudaDriver driver_ = {};
  std::string driver_error_;
  std::map<CudaDriver::Context, std::unique_ptr<LoadedKernels>> by_context_;
  std::map<int, CudaCode> by_capability_;
};

// Launches on one stream, with its context current while this lives. The first error stays; after it nothing is
// launched.
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
    void* parameters[] = {const_cast<typename Kernel::Arguments*>(&arguments)};  // copied by the driver
    Check(driver_->launch(kernels_->functions[KernelTraits<Kernel>::kIndex], grid.x, grid.y, grid.z, block.x, block.y,
                          block.z, 0, stream_, parameters, nullptr),
          KernelTraits<Kernel>::kName);
  }

  void Zero(float* begin, long long floats) {
    if (!error_.empty() || floats == 0) return;
    Check(driver_->fill_words(reinterpret_cast<unsigned long long>(begin), 0, static_cast<std::size_t>(floats), stream_),
          "cuMemsetD32Async");
  }

  // Empty if all went well.
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

#endif  // RETHINK_FR_OPS_CC_CUDA_DRIVER_H_
