// A deformable convolution, and its gradient, as a sequence of CUDA kernels.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_LAUNCH_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_LAUNCH_H_

#include "cuda/gemm_launch.h"

namespace rethink_fr {

// How much memory the columns of one run of pixels may take. With less, a large GPU would not have a tile of the
// product for each multiprocessor (the columns of 128 pixels, for a 3x3 kernel and 256 channels, are 1.2 MB); more
// gains nothing.
constexpr long long kColumnBytes = 128LL << 20;
// A product should have at least so many tiles. The filters' gradient has fewer, so its depth is cut into slices.
constexpr long long kEnoughTiles = 256;
constexpr long long kSliceBytes = 32LL << 20;  // the most memory for the slices

// The output pixels cut into runs of whole rows, as equal as possible, whose columns fit into `column_bytes`.
struct ColumnRuns {
  long long rows, rows_of_run, floats;

  ColumnRuns(const DeformConvShape& shape, long long column_bytes) {
    rows = static_cast<long long>(shape.batch) * shape.out_height;
    const long long floats_of_row =
        static_cast<long long>(shape.out_width) * shape.kernel_height * shape.kernel_width * shape.channels;
    long long most = floats_of_row > 0 ? column_bytes / 4 / floats_of_row : 1;
    if (most < 1) most = 1;
    const long long most_pixels = 0x7fffffffLL / (shape.out_width > 0 ? shape.out_width : 1);
    if (most > most_pixels) most = most_pixels;
    const long long runs = CeilDivide(rows, most);
    rows_of_run = runs > 0 ? CeilDivide(rows, runs) : 0;
    floats = rows_of_run * floats_of_row;
    if (floats_of_row == 0) rows = 0;
  }
};

// The sizes of the product of columns and filters; the matrices are set by the caller.
inline GemmArguments ProductOfColumns(const DeformConvShape& shape, int pixels) {
  GemmArguments product = {};
  product.groups = shape.groups;
  product.rows = pixels;
  product.columns = shape.filters / shape.groups;
  product.depth = product.depth_of_slice = shape.kernel_height * shape.kernel_width * (shape.channels / shape.groups);
  return product;
}

// Writes the columns of a run.
template <class Device>
void LaunchSampling(Device& device, const ColumnArguments& arguments) {
  const DeformConvShape& shape = arguments.shape;
  const bool by_four = shape.channels / shape.groups % 4 == 0 && shape.channels / shape.deformable_groups % 4 == 0 &&
                       reinterpret_cast<unsigned long long>(arguments.inputs) % 16 == 0 &&
                       reinterpret_cast<unsigned long long>(arguments.columns) % 16 == 0;
  const unsigned lanes = by_four ? shape.channels / 4 : shape.channels;
  const unsigned x = lanes < 256 ? lanes : 256, y = 256 / x;
  const LaunchSize grid = {static_cast<unsigned>(CeilDivide(arguments.pixels, y)), 1, 1}, block = {x, y, 1};
  if (by_four) {
    device.template Launch<kernels::rethink_fr_sample_columns_4>(grid, block, arguments);
  } else {
    device.template Launch<kernels::rethink_fr_sample_columns>(grid, block, arguments);
  }
}

// From the gradient of a run's columns to those of inputs, offsets and mask.
template <class Device>
void LaunchSamplingGradient(Device& device, const ColumnArguments& arguments) {
  const DeformConvShape& shape = arguments.shape;
  const unsigned channels = shape.channels / shape.deformable_groups;
  const unsigned samples = shape.deformable_groups * shape.kernel_height * shape.kernel_width;
  unsigned lanes = 1;
  while (lanes < 32 && lanes * 2 <= channels) lanes *= 2;
  const unsigned steps = CeilDivide(samples, 12);
  const LaunchSize block = {lanes, static_cast<unsigned>(CeilDivide(samples, steps)), 32 / lanes};
  const LaunchSize grid = {static_cast<unsigned>(CeilDivide(arguments.pixels, block.z)), 1, 1};
  device.template Launch<kernels::rethink_fr_sampling_gradient>(grid, block, arguments);
}

// The filters' gradient, columns^T upstream, of a run; `accumulate` adds it to that of the runs before. The sum is over
// all pixels, but the product has few tiles, so the pixels are cut into slices, which are added up afterwards.
template <class Device>
void LaunchFilterGradient(Device& device, const DeformConvShape& shape, const float* columns, const float* upstream,
                          int pixels, bool accumulate, float* of_filters) {
  GemmArguments product = ProductOfColumns(shape, pixels);
  product.rows = product.depth;
  product.depth = pixels;
  product.a = columns;
  product.a_stride = product.rows;
  product.a_group = static_cast<long long>(pixels) * product.rows;
  product.b = upstream;
  product.b_stride = product.c_stride = shape.filters;
  product.b_group = product.c_group = product.columns;
  const long long count = static_cast<long long>(product.rows) * shape.filters;
  const long long tiles =
      CeilDivide(product.rows, 128) * CeilDivide(product.columns, product.columns <= 64 ? 64 : 128) * shape.groups;
  long long slices = CeilDivide(kEnoughTiles, tiles);
  if (slices > pixels / 256) slices = pixels / 256;
  if (slices > kSliceBytes / 4 / count) slices = kSliceBytes / 4 / count;
  if (slices < 1) slices = 1;
  product.depth_of_slice = static_cast<int>(CeilDivide(CeilDivide(pixels, slices), 8) * 8);
  slices = CeilDivide(pixels, product.depth_of_slice);
  if (slices == 1) {
    product.c = of_filters;
    product.accumulate = accumulate;
    return LaunchGemm(device, GemmForm::kTransposedA, product);
  }
  float* workspace = device.Allocate(slices * count);
  product.c = workspace;
  product.c_slice = count;
  LaunchGemm(device, GemmForm::kTransposedA, product);
  const long long blocks = CeilDivide(count, 256);
  const LaunchSize grid = {static_cast<unsigned>(blocks < 65536 ? blocks : 65536), 1, 1}, block = {256, 1, 1};
  device.template Launch<kernels::rethink_fr_sum_slices>(
      grid, block, SumSlicesArguments{workspace, of_filters, count, static_cast<int>(slices), accumulate});
}

// Calls `work(arguments)` for each run of pixels.
template <class Work>
void ForEachRun(ColumnArguments arguments, const ColumnRuns& runs, const Work& work) {
  const DeformConvShape& shape = arguments.shape;
  for (long long row = 0; row < runs.rows; row += runs.rows_of_run) {
    const long long rows = runs.rows - row < runs.rows_of_run ? runs.rows - row : runs.rows_of_run;
    arguments.pixels = static_cast<int>(rows * shape.out_width);
    arguments.first_pixel = row * shape.out_width;
    arguments.first_image = static_cast<int>(row / shape.out_height);
    arguments.first_row = static_cast<int>(row % shape.out_height);
    work(arguments);
  }
}

// Uses inputs, offsets, mask and filters of `tensors`.
template <class Device>
void LaunchDeformConv(Device& device, const DeformConvShape& shape, const DeformConvTensors& tensors, float* outputs,
                      long long column_bytes = kColumnBytes) {
  const ColumnRuns runs(shape, column_bytes);
  if (runs.rows == 0 || shape.filters == 0) return;
  ColumnArguments arguments = {};
  arguments.shape = shape;
  arguments.inputs = tensors.inputs;
  arguments.offsets = tensors.offsets;
  arguments.mask = tensors.mask;
  arguments.columns = device.Allocate(runs.floats);
  ForEachRun(arguments, runs, [&](const ColumnArguments& run) {
    LaunchSampling(device, run);
    GemmArguments product = ProductOfColumns(shape, run.pixels);
    product.a = run.columns;
    product.a_stride = product.depth;
    product.a_group = static_cast<long long>(run.pixels) * product.depth;
    product.b = tensors.filters;
    product.c = outputs + run.first_pixel * shape.filters;
    product.b_stride = product.c_stride = shape.filters;
    product.b_group = product.c_group = product.columns;
    LaunchGemm(device, GemmForm::kPlain, product);
  });
}

// Uses all of `tensors`.
template <class Device>
void LaunchDeformConvGradient(Device& device, const DeformConvShape& shape, const DeformConvTensors& tensors,
                              long long column_bytes = kColumnBytes) {
  const long long taps = static_cast<long long>(shape.kernel_height) * shape.kernel_width;
  device.Zero(tensors.of_inputs, static_cast<long long>(shape.batch) * shape.height * shape.width * shape.channels);
  const ColumnRuns runs(shape, column_bytes);
  if (runs.rows == 0) device.Zero(tensors.of_filters, taps * (shape.channels / shape.groups) * shape.filters);
  if (runs.rows == 0) return;
  ColumnArguments arguments = {};
  arguments.shape = shape;
  arguments.inputs = tensors.inputs;
  arguments.offsets = tensors.offsets;
  arguments.mask = tensors.mask;
  arguments.of_inputs = tensors.of_inputs;
  arguments.of_offsets = tensors.of_offsets;
  arguments.of_mask = tensors.of_mask;
  arguments.columns = device.Allocate(runs.floats);
  ForEachRun(arguments, runs, [&](const ColumnArguments& run) {
    const float* upstream = tensors.upstream + run.first_pixel * shape.filters;
    LaunchSampling(device, run);
    if (shape.filters > 0) {
      LaunchFilterGradient(device, shape, run.columns, upstream, run.pixels, run.first_pixel > 0, tensors.of_filters);
    }
    // The columns are not needed any more. Their memory takes their gradient, upstream filters^T.
    GemmArguments product = ProductOfColumns(shape, run.pixels);
    product.columns = product.depth;
    product.depth = product.depth_of_slice = shape.filters / shape.groups;
    product.a = upstream;
    product.b = tensors.filters;
    product.a_stride = product.b_stride = shape.filters;
    product.a_group = product.b_group = product.depth;
    product.c = run.columns;
    product.c_stride = product.columns;
    product.c_group = static_cast<long long>(run.pixels) * product.columns;
    LaunchGemm(device, GemmForm::kTransposedB, product);
    LaunchSamplingGradient(device, run);
  });
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_LAUNCH_H_
