// Scratch memory for one thread's share of the work.
#ifndef RETHINK_FR_OPS_CC_CPU_SCRATCH_H_
#define RETHINK_FR_OPS_CC_CPU_SCRATCH_H_

#include <memory>

#include "tensorflow/core/platform/mem.h"

namespace rethink_fr {

struct AlignedFree {
  void operator()(void* memory) const { tensorflow::port::AlignedFree(memory); }
};

// Floats that are not initialised and start on a cache line (64 bytes).
inline std::unique_ptr<float[], AlignedFree> AllocateScratch(long floats) {
  return std::unique_ptr<float[], AlignedFree>(
      static_cast<float*>(tensorflow::port::AlignedMalloc(floats * sizeof(float), 64)));
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CPU_SCRATCH_H_
