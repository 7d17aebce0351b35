// The functions of the CUDA driver and of NVRTC, the run-time compiler, that we call. They are looked up at run time,
// so that our library can be loaded on a machine that has neither.
//
// The functions are declared by hand, after their documentation. So no CUDA toolkit and no headers are needed to build;
// these functions have kept their meaning from CUDA 11 to 13.
#ifndef RETHINK_FR_OPS_CC_CUDA_LIBRARIES_H_
#define RETHINK_FR_OPS_CC_CUDA_LIBRARIES_H_

#include <dlfcn.h>
#include <link.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace rethink_fr {

// From `libcuda`, which is installed with the driver.
struct CudaDriver {
  using Context = void*;
  using Module = void*;
  using Function = void*;
  using Stream = void*;
  int (*init)(unsigned);
  int (*error_name)(int, const char**);
  int (*stream_context)(Stream, Context*);
  int (*push_context)(Context);
  int (*pop_context)(Context*);
  int (*current_device)(int*);
  int (*device_attribute)(int*, int, int);
  int (*load_module)(Module*, const void*);
  int (*module_function)(Function*, Module, const char*);
  int (*launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, void**, void**);
  int (*fill_words)(unsigned long long, unsigned, std::size_t, Stream);
};

// From `libnvrtc`.
struct CudaCompiler {
  using Program = void*;
  const char* (*error_text)(int);
  int (*version)(int*, int*);
  int (*count_architectures)(int*);
  int (*architectures)(int*);
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*);
  int (*destroy)(Program*);
  int (*compile)(Program, int, const char* const*);
  int (*log_size)(Program, std::size_t*);
  int (*log)(Program, char*);
  int (*machine_code_size)(Program, std::size_t*);
  int (*machine_code)(Program, char*);
  int (*assembly_size)(Program, std::size_t*);
  int (*assembly)(Program, char*);
};

// The folder `site-packages/nvidia/cuda_nvrtc/lib/` beside TensorFlow, which is where the wheels that
// tensorflow[and-cuda] installs put NVRTC. Empty if this process has not loaded TensorFlow.
inline std::string FolderOfCompilerWheel() {
  std::string folder;
  dl_iterate_phdr(
      [](dl_phdr_info* library, std::size_t, void* result) {
        if (library->dlpi_name == nullptr) return 0;
        const char* name = std::strstr(library->dlpi_name, "/tensorflow/libtensorflow_framework");
        if (name == nullptr) return 0;
        *static_cast<std::string*>(result) = std::string(library->dlpi_name, name) + "/nvidia/cuda_nvrtc/lib/";
        return 1;
      },
      &folder);
  return folder;
}

// One shared library and its functions. If the library or a function is missing, error() says so.
class SharedLibrary {
 public:
  // Loads the first of the names that can be loaded. It is never unloaded: its code and contexts live until the process
  // ends.
  SharedLibrary(const std::vector<std::string>& names, const char* advice) {
    std::string tried;
    for (const std::string& name : names) {
      handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) return;
      const char* reason = dlerror();
      tried += std::string("\n  ") + (reason == nullptr ? name.c_str() : reason);
    }
    error_ = std::string(advice) + tried;
  }
  template <class Function>
  void Find(Function*& function, const char* name) {
    if (!error_.empty()) return;
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (function != nullptr) return;
    error_ = std::string("a CUDA library has no function ") + name + "; it is older than CUDA 11.2";
  }
  const std::string& error() const { return error_; }

 private:
  void* handle_ = nullptr;
  std::string error_;
};

// Fills `driver`. Returns an error, or an empty text.
inline std::string LoadCudaDriver(CudaDriver* driver) {
  SharedLibrary library({"libcuda.so.1"}, "the NVIDIA driver's library was not found:");
  library.Find(driver->init, "cuInit");
  library.Find(driver->error_name, "cuGetErrorName");
  library.Find(driver->stream_context, "cuStreamGetCtx");
  library.Find(driver->push_context, "cuCtxPushCurrent_v2");
  library.Find(driver->pop_context, "cuCtxPopCurrent_v2");
  library.Find(driver->current_device, "cuCtxGetDevice");
  library.Find(driver->device_attribute, "cuDeviceGetAttribute");
  library.Find(driver->load_module, "cuModuleLoadData");
  library.Find(driver->module_function, "cuModuleGetFunction");
  library.Find(driver->launch, "cuLaunchKernel");
  library.Find(driver->fill_words, "cuMemsetD32Async");
  return library.error();
}

// Fills `compiler`. Returns an error, or an empty text.
//
// The environment variable RETHINK_FR_NVRTC may name the file to use. Otherwise CUDA 12 is preferred, since TensorFlow
// 2.15 is built for it, and other versions are taken if that is not found.
inline std::string LoadCudaCompiler(CudaCompiler* compiler) {
  std::vector<std::string> names;
  const char* chosen = std::getenv("RETHINK_FR_NVRTC");
  if (chosen != nullptr && *chosen != 0) names.push_back(chosen);
  const std::string wheel = FolderOfCompilerWheel();
  if (!wheel.empty()) names.push_back(wheel + "libnvrtc.so.12");
  for (const char* name : {"libnvrtc.so.12", "/usr/local/cuda/lib64/libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so.13",
                           "/usr/local/cuda/lib64/libnvrtc.so"}) {
    names.push_back(name);
  }
  SharedLibrary library(names,
                        "the CUDA run-time compiler was not found; pip install nvidia-cuda-nvrtc-cu12==12.2.* brings it, "
                        "and RETHINK_FR_NVRTC may name the file:");
  library.Find(compiler->error_text, "nvrtcGetErrorString");
  library.Find(compiler->version, "nvrtcVersion");
  library.Find(compiler->count_architectures, "nvrtcGetNumSupportedArchs");
  library.Find(compiler->architectures, "nvrtcGetSupportedArchs");
  library.Find(compiler->create, "nvrtcCreateProgram");
  library.Find(compiler->destroy, "nvrtcDestroyProgram");
  library.Find(compiler->compile, "nvrtcCompileProgram");
  library.Find(compiler->log_size, "nvrtcGetProgramLogSize");
  library.Find(compiler->log, "nvrtcGetProgramLog");
  library.Find(compiler->machine_code_size, "nvrtcGetCUBINSize");
  library.Find(compiler->machine_code, "nvrtcGetCUBIN");
  library.Find(compiler->assembly_size, "nvrtcGetPTXSize");
  library.Find(compiler->assembly, "nvrtcGetPTX");
  return library.error();
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_LIBRARIES_H_
