// The CUDA driver, libcuda.so.1, and NVRTC, libnvrtc.so.12, in one library that needs no GPU. The compiler checks that
// it is given the text of the kernels and of every file that they include, and returns a placeholder. The driver runs
// the kernels of the given names in the emulation. Device memory is ordinary memory.
//
// The environment variable EMULATED_FAILURE=compile, load or launch makes that step fail; with values, kernels are
// launched and do nothing.
#include "emulation.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>

#include "cuda/kernels.h"

namespace {

bool Fails(const char* step) {
  const char* chosen = std::getenv("EMULATED_FAILURE");
  return chosen != nullptr && std::strcmp(chosen, step) == 0;
}

using Launcher = void (*)(rethink_fr::LaunchSize, rethink_fr::LaunchSize, void*);

template <class Arguments, void (*kKernel)(Arguments)>
void Run(rethink_fr::LaunchSize grid, rethink_fr::LaunchSize block, void* arguments) {
  emulation::Launch<Arguments>(kKernel, grid, block, *static_cast<Arguments*>(arguments));
}

struct Entry {
  const char* name;
  Launcher launcher;
};
#define RETHINK_FR_ENTRY(name, arguments) {#name, Run<rethink_fr::arguments, rethink_fr::name>},
const Entry kEntries[] = {RETHINK_FR_CUDA_KERNELS(RETHINK_FR_ENTRY)};
#undef RETHINK_FR_ENTRY

constexpr char kCode[] = "emulated";
std::mutex mutex;  // the emulation runs one kernel at a time
int pushed = 0;

}  // namespace

extern "C" {

int cuInit(unsigned) { return 0; }
int cuGetErrorName(int status, const char** name) {
  *name = status == 1 ? "CUDA_ERROR_EMULATED" : "CUDA_ERROR_UNKNOWN";
  return 0;
}
int cuStreamGetCtx(void*, void** context) {
  *context = const_cast<char*>(kCode);
  return 0;
}
int cuCtxPushCurrent_v2(void*) { return ++pushed, 0; }
int cuCtxPopCurrent_v2(void**) { return --pushed < 0; }
int cuCtxGetDevice(int* device) {
  *device = 0;
  return pushed == 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;
  return 0;
}
int cuModuleLoadData(void** module, const void* code) {
  *module = const_cast<char*>(kCode);
  return Fails("load") || std::strcmp(static_cast<const char*>(code), kCode) != 0;
}
int cuModuleGetFunction(void** function, void*, const char* name) {
  for (const Entry& entry : kEntries) {
    if (std::strcmp(entry.name, name) == 0) *function = const_cast<Entry*>(&entry);
  }
  return *function == nullptr;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                   void*, void** parameters, void**) {
  if (Fails("launch")) return 1;
  if (Fails("values")) return 0;
  const std::lock_guard<std::mutex> lock(mutex);
  static_cast<Entry*>(function)->launcher({gx, gy, gz}, {bx, by, bz}, parameters[0]);
  return 0;
}
int cuMemsetD32Async(unsigned long long begin, unsigned value, std::size_t count, void*) {
  if (value != 0) return 1;
  std::memset(reinterpret_cast<void*>(begin), 0, count * 4);
  return 0;
}

const char* nvrtcGetErrorString(int) { return "NVRTC_ERROR_EMULATED"; }
int nvrtcVersion(int* major, int* minor) { return *major = 12, *minor = 2, 0; }
int nvrtcGetNumSupportedArchs(int* count) { return *count = 2, 0; }
int nvrtcGetSupportedArchs(int* architectures) { return architectures[0] = 80, architectures[1] = 90, 0; }
int nvrtcCreateProgram(void** program, const char* text, const char*, int count, const char* const* headers,
                       const char* const* names) {
  std::string all = text;
  std::set<std::string> files;
  for (int i = 0; i < count; ++i) {
    all += headers[i];
    files.insert(names[i]);
  }
  for (const Entry& entry : kEntries) {
    if (all.find(entry.name) == std::string::npos) return 1;
  }
  const std::string include = "#include \"";
  for (std::size_t at = all.find(include); at != std::string::npos; at = all.find(include, at)) {
    at += include.size();
    if (files.count(all.substr(at, all.find('"', at) - at)) == 0) return 1;
  }
  return *program = const_cast<char*>(kCode), 0;
}
int nvrtcDestroyProgram(void** program) { return *program = nullptr, 0; }
int nvrtcCompileProgram(void*, int, const char* const*) { return Fails("compile"); }
int nvrtcGetProgramLogSize(void*, std::size_t* size) { return *size = 15, 0; }
int nvrtcGetProgramLog(void*, char* log) { return std::strcpy(log, "line 1: a fault"), 0; }
int nvrtcGetCUBINSize(void*, std::size_t* size) { return *size = sizeof(kCode), 0; }
int nvrtcGetCUBIN(void*, char* code) { return std::memcpy(code, kCode, sizeof(kCode)), 0; }
int nvrtcGetPTXSize(void*, std::size_t* size) { return *size = 0, 0; }
int nvrtcGetPTX(void*, char*) { return 0; }

}  // extern "C"
