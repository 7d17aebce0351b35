// The native library. This is the only file that is given to the compiler; it includes all others.
//
//   deform_conv/, group_norm/   one operator each, and its gradient:
//       op.h                    name, inputs and outputs, as TensorFlow sees them; the checks of shapes
//       cpu_op.h, cpu_*.inc     what TensorFlow runs on a CPU, and the kernels that do the work
//       cuda_op.h, cuda_*.h     what TensorFlow runs on a GPU, the launches of CUDA kernels, and the kernels
//   cpu/                        shared by the CPU kernels: instruction sets, vectors, matrix product, scratch memory
//   cuda/                       shared by the CUDA kernels: matrix product, compilation at first use, launching
//   tensorflow_op.h             shared by all operators
#include "deform_conv/cpu_op.h"
#include "deform_conv/cuda_op.h"
#include "group_norm/cpu_op.h"
#include "group_norm/cuda_op.h"
