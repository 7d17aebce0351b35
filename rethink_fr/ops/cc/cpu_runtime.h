// What the CPU ops share: the instruction set in use, and scratch memory.
#ifndef RETHINK_FR_OPS_CC_CPU_RUNTIME_H_
#define RETHINK_FR_OPS_CC_CPU_RUNTIME_H_

#include <atomic>
#include <memory>

#include "cpu_kernels.h"
#include "tensorflow/core/platform/mem.h"

namespace rethink_fr {

inline std::atomic<const CpuKernels*>& CpuKernelsInUse() {
  static std::atomic<const CpuKernels*> in_use(FindCpuKernels(nullptr));
  return in_use;
}

struct AlignedFree {
  void operator()(void* memory) const { tensorflow::port::AlignedFree(memory); }
};

// Floats that start on a cache line; for use inside one thread's share of the work.
inline std::unique_ptr<float[], AlignedFree> AllocateScratch(long floats) {
  return std::unique_ptr<float[], AlignedFree>(
      static_cast<float*>(tensorflow::port::AlignedMalloc(floats * sizeof(float), 64)));
}

}  // namespace rethink_fr

// For `rethink-fr info`, the tests and the benchmarks, which call them through ctypes.
extern "C" const char* rethink_fr_instruction_set() { return rethink_fr::CpuKernelsInUse().load()->name; }

// Returns 1, or 0 and changes nothing if this machine or this build has no such set.
extern "C" int rethink_fr_use_instruction_set(const char* name) {
  const rethink_fr::CpuKernels* kernels = rethink_fr::FindCpuKernels(name);
  if (kernels == nullptr) return 0;
  rethink_fr::CpuKernelsInUse().store(kernels);
  return 1;
}

#endif  // RETHINK_FR_OPS_CC_CPU_RUNTIME_H_
