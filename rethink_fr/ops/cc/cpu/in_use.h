// The instruction set that the CPU operators use in this process.
#ifndef RETHINK_FR_OPS_CC_CPU_IN_USE_H_
#define RETHINK_FR_OPS_CC_CPU_IN_USE_H_

#include <atomic>

#include "cpu/instruction_sets.h"

namespace rethink_fr {

inline std::atomic<const CpuKernels*>& CpuKernelsInUse() {
  static std::atomic<const CpuKernels*> in_use(FindCpuKernels(nullptr));
  return in_use;
}

}  // namespace rethink_fr

// Python calls the following two through ctypes: `rethink-fr info`, the tests and the benchmarks need them.
extern "C" const char* rethink_fr_instruction_set() { return rethink_fr::CpuKernelsInUse().load()->name; }

// Returns 1. If this machine has no instruction set of that name, it returns 0 and changes nothing.
extern "C" int rethink_fr_use_instruction_set(const char* name) {
  const rethink_fr::CpuKernels* kernels = rethink_fr::FindCpuKernels(name);
  if (kernels == nullptr) return 0;
  rethink_fr::CpuKernelsInUse().store(kernels);
  return 1;
}

#endif  // RETHINK_FR_OPS_CC_CPU_IN_USE_H_
