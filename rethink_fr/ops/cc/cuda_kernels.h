// All kernels: the one text that nvcc, NVRTC and the emulation compile.
#ifndef RETHINK_FR_OPS_CC_CUDA_KERNELS_H_
#define RETHINK_FR_OPS_CC_CUDA_KERNELS_H_

#include "deform_conv_cuda.h"
#include "gemm_cuda.h"
#include "group_norm_cuda.h"

#endif  // RETHINK_FR_OPS_CC_CUDA_KERNELS_H_
