// Launches of the matrix product, for all groups at once.
#ifndef RETHINK_FR_OPS_CC_CUDA_GEMM_LAUNCH_H_
#define RETHINK_FR_OPS_CC_CUDA_GEMM_LAUNCH_H_

#include "cuda/launch.h"

namespace rethink_fr {

enum class GemmForm { kPlain, kTransposedA, kTransposedB };

template <class Device>
void LaunchGemm(Device& device, GemmForm form, GemmArguments arguments) {
  constexpr int kMostGroups = 65535;  // the largest z of a grid
  if (arguments.rows == 0 || arguments.columns == 0) return;
  const bool narrow = arguments.columns <= 64;
  const long long tiles = CeilDivide(arguments.rows, 128) * CeilDivide(arguments.columns, narrow ? 64 : 128);
  const long long slices = arguments.depth == 0 ? 1 : CeilDivide(arguments.depth, arguments.depth_of_slice);
  const LaunchSize block = {256, 1, 1};
  for (int first = 0; first < arguments.groups; first += kMostGroups) {
    const int groups = arguments.groups - first < kMostGroups ? arguments.groups - first : kMostGroups;
    const LaunchSize grid = {static_cast<unsigned>(tiles), static_cast<unsigned>(slices), static_cast<unsigned>(groups)};
    if (form == GemmForm::kPlain && narrow) {
      device.template Launch<kernels::rethink_fr_gemm_64>(grid, block, arguments);
    } else if (form == GemmForm::kPlain) {
      device.template Launch<kernels::rethink_fr_gemm_128>(grid, block, arguments);
    } else if (form == GemmForm::kTransposedA && narrow) {
      device.template Launch<kernels::rethink_fr_gemm_transposed_a_64>(grid, block, arguments);
    } else if (form == GemmForm::kTransposedA) {
      device.template Launch<kernels::rethink_fr_gemm_transposed_a_128>(grid, block, arguments);
    } else if (narrow) {
      device.template Launch<kernels::rethink_fr_gemm_transposed_b_64>(grid, block, arguments);
    } else {
      device.template Launch<kernels::rethink_fr_gemm_transposed_b_128>(grid, block, arguments);
    }
    arguments.a += groups * arguments.a_group;
    arguments.b += groups * arguments.b_group;
    arguments.c += groups * arguments.c_group;
  }
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_GEMM_LAUNCH_H_
