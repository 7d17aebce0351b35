// What the matrix product's CUDA kernels are given. No TensorFlow and no standard library, as in all files that NVRTC
// compiles.
#ifndef RETHINK_FR_OPS_CC_CUDA_GEMM_ARGUMENTS_H_
#define RETHINK_FR_OPS_CC_CUDA_GEMM_ARGUMENTS_H_

namespace rethink_fr {

// For each group, c[rows, columns] = a[rows, depth] * b[depth, columns]. A stride is the distance between two lines of
// a matrix as it is stored, in floats; a_group, b_group and c_group are the distances between the matrices of two
// groups.
struct GemmArguments {
  const float *a, *b;
  float* c;
  int rows, columns, depth;
  int groups;
  long long a_stride, b_stride, c_stride;
  long long a_group, b_group, c_group;
  // The depth may be cut into slices, one for each y of the grid. Each slice writes a partial product, c_slice floats
  // after that of the slice before.
  int depth_of_slice;
  int accumulate;  // add to c; not together with slices
  long long c_slice;
};

struct SumSlicesArguments {
  const float* slices;  // [num_slices, count]
  float* sum;           // [count]
  long long count;
  int num_slices;
  int accumulate;  // add to sum
};

// The suffixes _64 and _128 are the widths of the tiles that a block of threads computes.
#define RETHINK_FR_GEMM_KERNELS(KERNEL)                   \
  KERNEL(rethink_fr_gemm_64, GemmArguments)               \
  KERNEL(rethink_fr_gemm_128, GemmArguments)              \
  KERNEL(rethink_fr_gemm_transposed_a_64, GemmArguments)  \
  KERNEL(rethink_fr_gemm_transposed_a_128, GemmArguments) \
  KERNEL(rethink_fr_gemm_transposed_b_64, GemmArguments)  \
  KERNEL(rethink_fr_gemm_transposed_b_128, GemmArguments) \
  KERNEL(rethink_fr_sum_slices, SumSlicesArguments)

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_GEMM_ARGUMENTS_H_
