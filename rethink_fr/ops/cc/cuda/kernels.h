// All CUDA kernels. NVRTC compiles this text when they are first used; in the tests, nvcc compiles it for a program
// that checks the kernels, and g++ for an emulation on the CPU.
//
// Hence this file, and those that it includes, use neither TensorFlow nor the standard library.
#ifndef RETHINK_FR_OPS_CC_CUDA_KERNELS_H_
#define RETHINK_FR_OPS_CC_CUDA_KERNELS_H_

#include "cuda/gemm_kernels.h"
#include "deform_conv/cuda_kernels.h"
#include "group_norm/cuda_kernels.h"

#endif  // RETHINK_FR_OPS_CC_CUDA_KERNELS_H_
