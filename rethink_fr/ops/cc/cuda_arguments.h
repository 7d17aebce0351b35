// What the CUDA kernels are given, and their names. Host and device read the same text: no TensorFlow, no standard
// library.
//
// Each kernel takes one structure, so that a launch through the driver, which sees only untyped pointers, cannot mix up
// arguments. Structures hold 32- and 64-bit numbers and pointers only: every compiler lays them out alike.
#ifndef RETHINK_FR_OPS_CC_CUDA_ARGUMENTS_H_
#define RETHINK_FR_OPS_CC_CUDA_ARGUMENTS_H_

#include "deform_conv_shape.h"

namespace rethink_fr {

// Of a grid in blocks, or of a block in threads.
struct LaunchSize {
  unsigned x, y, z;
};

// c[rows, columns] = a[rows, depth] * b[depth, columns] for each group. A stride is the distance between lines as the
// matrix is stored; a *_group is the distance between the matrices of two groups.
struct GemmArguments {
  const float *a, *b;
  float* c;
  int rows, columns, depth;
  int groups;
  long long a_stride, b_stride, c_stride;
  long long a_group, b_group, c_group;
  // The depth may be cut into slices, the blocks of y in the grid: each writes a partial product of its own.
  int depth_of_slice;
  int accumulate;  // add to c; not with slices
  long long c_slice;
};

struct SumSlicesArguments {
  const float* slices;  // [slices, count]
  float* sum;           // [count]
  long long count;
  int num_slices;
  int accumulate;
};

// A run of output pixels, in the order of memory across images, for which columns fit into the workspace.
struct ColumnArguments {
  DeformConvShape shape;
  const float *inputs, *offsets, *mask;
  // [groups, pixels, taps, channels / groups]: written by the sampling, read by the gradient.
  float* columns;
  float *of_inputs, *of_offsets, *of_mask;  // the gradient only
  long long first_pixel;                    // of the run, among those of the batch
  int first_image, first_row;               // where that is; a run starts with a row
  int pixels;
};

struct GroupNormArguments {
  long long pixels;  // of one image
  int batch, channels, groups;
  float epsilon;
  const float *inputs, *gamma, *beta, *upstream;
  float *outputs, *mean, *inverse_deviation;  // outputs or of_inputs; the others [batch, groups]
  float *of_gamma, *of_beta;
  // An image is cut into slabs of pixels. The first pass leaves two numbers for each slab and channel,
  // [batch, slabs, channels, 2]: mean and sum of squared differences; for the gradient the sums described there.
  double* of_slabs;
  double* of_channels;  // [batch, channels, 2]
  double* of_groups;    // [batch, groups, 2]
  int slabs, pixels_of_slab;
};

// KERNEL(name, arguments). The suffix _4 is for channels taken four at a time, _64 and _128 are widths of a tile.
#define RETHINK_FR_CUDA_KERNELS(KERNEL)                           \
  KERNEL(rethink_fr_gemm_64, GemmArguments)                       \
  KERNEL(rethink_fr_gemm_128, GemmArguments)                      \
  KERNEL(rethink_fr_gemm_transposed_a_64, GemmArguments)          \
  KERNEL(rethink_fr_gemm_transposed_a_128, GemmArguments)         \
  KERNEL(rethink_fr_gemm_transposed_b_64, GemmArguments)          \
  KERNEL(rethink_fr_gemm_transposed_b_128, GemmArguments)         \
  KERNEL(rethink_fr_sum_slices, SumSlicesArguments)               \
  KERNEL(rethink_fr_sample_columns, ColumnArguments)              \
  KERNEL(rethink_fr_sample_columns_4, ColumnArguments)            \
  KERNEL(rethink_fr_sampling_gradient, ColumnArguments)           \
  KERNEL(rethink_fr_norm_slabs, GroupNormArguments)               \
  KERNEL(rethink_fr_norm_statistics, GroupNormArguments)          \
  KERNEL(rethink_fr_norm_apply, GroupNormArguments)               \
  KERNEL(rethink_fr_norm_gradient_slabs, GroupNormArguments)      \
  KERNEL(rethink_fr_norm_gradient_channels, GroupNormArguments)   \
  KERNEL(rethink_fr_norm_gradient_groups, GroupNormArguments)     \
  KERNEL(rethink_fr_norm_gradient_parameters, GroupNormArguments) \
  KERNEL(rethink_fr_norm_gradient_apply, GroupNormArguments)

// One type for each kernel, by which a launch names it: Launch<kernels::rethink_fr_gemm_64>(...).
namespace kernels {
#define RETHINK_FR_KERNEL_TYPE(name, arguments) \
  struct name {                                 \
    using Arguments = arguments;                \
  };
RETHINK_FR_CUDA_KERNELS(RETHINK_FR_KERNEL_TYPE)
#undef RETHINK_FR_KERNEL_TYPE
}  // namespace kernels

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_ARGUMENTS_H_
