// Group normalization with swish, and its gradient, as a sequence of CUDA kernels.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_LAUNCH_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_LAUNCH_H_

#include "cuda/launch.h"

namespace rethink_fr {

// The pixels cut into slabs, one for each block of threads: about 2048 blocks, if there are enough pixels, and at most
// 128 pixels for a thread, because it sums in float. Sets the sizes of the slabs in `arguments`.
struct NormSlabs {
  LaunchSize grid, block;

  explicit NormSlabs(GroupNormArguments& arguments) {
    unsigned x = 32;
    while (x < 256 && x < static_cast<unsigned>(arguments.channels)) x *= 2;
    block = {x, 256 / x, 1};
    long long pixels_of_thread = arguments.pixels * arguments.batch / (2048LL * block.y);
    if (pixels_of_thread < 8) pixels_of_thread = 8;
    if (pixels_of_thread > 128) pixels_of_thread = 128;
    arguments.pixels_of_slab = static_cast<int>(pixels_of_thread * block.y);
    arguments.slabs = static_cast<int>((arguments.pixels - 1) / arguments.pixels_of_slab + 1);
    grid = {static_cast<unsigned>(arguments.batch) * arguments.slabs, 1, 1};
  }
};

// `arguments` has the tensors, not yet the workspace and the slabs. If there are no pixels, the statistics are zero.
template <class Device>
void LaunchGroupNorm(Device& device, GroupNormArguments arguments) {
  if (arguments.batch == 0 || arguments.pixels == 0) {
    device.Zero(arguments.mean, static_cast<long long>(arguments.batch) * arguments.groups);
    device.Zero(arguments.inverse_deviation, static_cast<long long>(arguments.batch) * arguments.groups);
    return;
  }
  const NormSlabs slabs(arguments);
  const LaunchSize groups = {static_cast<unsigned>(arguments.batch) * arguments.groups, 1, 1}, block = {256, 1, 1};
  arguments.of_slabs =
      reinterpret_cast<double*>(device.Allocate(4LL * arguments.batch * arguments.slabs * arguments.channels));
  device.template Launch<kernels::rethink_fr_norm_slabs>(slabs.grid, slabs.block, arguments);
  device.template Launch<kernels::rethink_fr_norm_statistics>(groups, block, arguments);
  device.template Launch<kernels::rethink_fr_norm_apply>(slabs.grid, slabs.block, arguments);
}

template <class Device>
void LaunchGroupNormGradient(Device& device, GroupNormArguments arguments) {
  if (arguments.batch == 0 || arguments.pixels == 0) {
    device.Zero(arguments.of_gamma, arguments.channels);
    device.Zero(arguments.of_beta, arguments.channels);
    return;
  }
  const NormSlabs slabs(arguments);
  const unsigned batch = arguments.batch, channels = arguments.channels;
  const LaunchSize block = {256, 1, 1};
  arguments.of_slabs =
      reinterpret_cast<double*>(device.Allocate(4LL * arguments.batch * arguments.slabs * arguments.channels));
  arguments.of_channels = reinterpret_cast<double*>(device.Allocate(4LL * arguments.batch * arguments.channels));
  arguments.of_groups = reinterpret_cast<double*>(device.Allocate(4LL * arguments.batch * arguments.groups));
  device.template Launch<kernels::rethink_fr_norm_gradient_slabs>(slabs.grid, slabs.block, arguments);
  device.template Launch<kernels::rethink_fr_norm_gradient_channels>({batch, (channels - 1) / 32 + 1, 1}, {32, 8, 1},
                                                                     arguments);
  device.template Launch<kernels::rethink_fr_norm_gradient_groups>({batch * arguments.groups, 1, 1}, block, arguments);
  device.template Launch<kernels::rethink_fr_norm_gradient_parameters>({(channels - 1) / 256 + 1, 1, 1}, block,
                                                                       arguments);
  device.template Launch<kernels::rethink_fr_norm_gradient_apply>(slabs.grid, slabs.block, arguments);
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_LAUNCH_H_
