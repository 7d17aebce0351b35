// How CUDA kernels are launched, whatever it is that launches them.
//
// The launches in cuda/gemm_launch.h and in each operator's cuda_launch.h are templates over a `Device`. The library
// has one that uses the driver (cuda/op_device.h); the tests have one that uses the CUDA runtime or an emulation on the
// CPU. A device has these functions:
//   Launch<kernels::name>(LaunchSize blocks, LaunchSize threads, arguments)
//   float* Allocate(long long floats)          memory that is kept until the work is done; null after a failure
//   void Zero(float* begin, long long floats)
// The work is done in the order of the calls. The device keeps the first failure, and does nothing after it.
#ifndef RETHINK_FR_OPS_CC_CUDA_LAUNCH_H_
#define RETHINK_FR_OPS_CC_CUDA_LAUNCH_H_

#include "cuda/kernel_list.h"

namespace rethink_fr {

// The size of a grid in blocks, or of a block in threads.
struct LaunchSize {
  unsigned x, y, z;
};

inline long long CeilDivide(long long a, long long b) { return (a + b - 1) / b; }

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_LAUNCH_H_
