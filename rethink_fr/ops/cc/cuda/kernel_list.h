// The names of all CUDA kernels, each with the structure that it is given.
//
// Every kernel takes one structure. A launch through the driver sees only untyped pointers, so separate arguments could
// be mixed up. The structures hold 32- and 64-bit numbers and pointers only, which every compiler lays out alike.
#ifndef RETHINK_FR_OPS_CC_CUDA_KERNEL_LIST_H_
#define RETHINK_FR_OPS_CC_CUDA_KERNEL_LIST_H_

#include "cuda/gemm_arguments.h"
#include "deform_conv/cuda_arguments.h"
#include "group_norm/cuda_arguments.h"

namespace rethink_fr {

// Expands to KERNEL(name, arguments) for each kernel.
#define RETHINK_FR_CUDA_KERNELS(KERNEL)  \
  RETHINK_FR_GEMM_KERNELS(KERNEL)        \
  RETHINK_FR_DEFORM_CONV_KERNELS(KERNEL) \
  RETHINK_FR_GROUP_NORM_KERNELS(KERNEL)

// One type for each kernel. A launch names the kernel by it, Launch<kernels::rethink_fr_gemm_64>(...), and the compiler
// then checks that the arguments are the right ones.
namespace kernels {
#define RETHINK_FR_KERNEL_TYPE(name, arguments) \
  struct name {                                 \
    using Arguments = arguments;                \
  };
RETHINK_FR_CUDA_KERNELS(RETHINK_FR_KERNEL_TYPE)
#undef RETHINK_FR_KERNEL_TYPE
}  // namespace kernels

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_KERNEL_LIST_H_
