// What the CUDA kernels of group normalization are given. No TensorFlow and no standard library, as in all files that
// NVRTC compiles.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_ARGUMENTS_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_ARGUMENTS_H_

#include "group_norm/tensors.h"

namespace rethink_fr {

struct GroupNormArguments : GroupNormTensors {
  // An image is cut into slabs of pixels, and the first pass leaves two numbers for each slab and channel in of_slabs,
  // [batch, slabs, channels, 2]. Forward they are the mean and the sum of squared differences to it; for the gradient
  // they are the sums that rethink_fr_norm_gradient_slabs describes.
  double* of_slabs = nullptr;
  double* of_channels = nullptr;  // [batch, channels, 2], for the gradient only
  double* of_groups = nullptr;    // [batch, groups, 2], for the gradient only
  int slabs = 0, pixels_of_slab = 0;
};

#define RETHINK_FR_GROUP_NORM_KERNELS(KERNEL)                     \
  KERNEL(rethink_fr_norm_slabs, GroupNormArguments)               \
  KERNEL(rethink_fr_norm_statistics, GroupNormArguments)          \
  KERNEL(rethink_fr_norm_apply, GroupNormArguments)               \
  KERNEL(rethink_fr_norm_gradient_slabs, GroupNormArguments)      \
  KERNEL(rethink_fr_norm_gradient_channels, GroupNormArguments)   \
  KERNEL(rethink_fr_norm_gradient_groups, GroupNormArguments)     \
  KERNEL(rethink_fr_norm_gradient_parameters, GroupNormArguments) \
  KERNEL(rethink_fr_norm_gradient_apply, GroupNormArguments)

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_ARGUMENTS_H_
