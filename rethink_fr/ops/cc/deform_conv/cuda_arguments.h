// What the deformable convolution's CUDA kernels are given. No TensorFlow and no standard library, as in all files that
// NVRTC compiles.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_ARGUMENTS_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_ARGUMENTS_H_

#include "deform_conv/shape.h"

namespace rethink_fr {

// The kernels work on a run of output pixels: as many as the workspace has room for their columns. The column of a
// pixel is the vector of all its masked samples, so that the convolution is a matrix product of columns and filters.
struct ColumnArguments {
  DeformConvShape shape;
  const float *inputs, *offsets, *mask;
  // [groups, pixels, taps, channels / groups]. The sampling writes them; the gradient reads their gradient here.
  float* columns;
  float *of_inputs, *of_offsets, *of_mask;  // set for the gradient only
  // The run's first pixel, counted in the batch. It is the first one of row first_row of image first_image. The pixels
  // of a run follow each other in memory and may belong to several images.
  long long first_pixel;
  int first_image, first_row;
  int pixels;
};

// The suffix _4 is for channels that are taken four at a time.
#define RETHINK_FR_DEFORM_CONV_KERNELS(KERNEL)         \
  KERNEL(rethink_fr_sample_columns, ColumnArguments)   \
  KERNEL(rethink_fr_sample_columns_4, ColumnArguments) \
  KERNEL(rethink_fr_sampling_gradient, ColumnArguments)

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_ARGUMENTS_H_
