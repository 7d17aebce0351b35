// The CUDA kernels, compiled and loaded through the driver, once in a process for each CUDA context. No TensorFlow.
//
// Nothing here throws or ends the process. What goes wrong becomes a text, which the caller reports.
#ifndef RETHINK_FR_OPS_CC_CUDA_LOADED_KERNELS_H_
#define RETHINK_FR_OPS_CC_CUDA_LOADED_KERNELS_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cuda/compile.h"
#include "cuda/kernel_list.h"
#include "cuda/libraries.h"

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

// The kernels' functions in one context, or an error.
struct LoadedKernels {
  const CudaDriver* driver = nullptr;
  CudaDriver::Function functions[kNumKernels] = {};
  std::string error;
};

// Safe to use from several threads. Loaded kernels stay until the process ends, as TensorFlow's contexts do. A failure
// is kept too, so that it is not tried again at every step of a training.
class CudaKernelCache {
 public:
  static CudaKernelCache& Get() {
    static CudaKernelCache* cache = new CudaKernelCache;  // never destroyed: the driver may be gone by then
    return *cache;
  }

  // The kernels of `context`, which must be the current one. Driver() must have succeeded before.
  const LoadedKernels& Load(CudaDriver::Context context) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<LoadedKernels>& loaded = by_context_[context];
    if (loaded == nullptr) loaded.reset(new LoadedKernels(LoadIntoCurrentContext()));
    return *loaded;
  }

  // The driver, or null and an error if there is none.
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

  // GPUs of the same kind share one compilation.
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

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_LOADED_KERNELS_H_
