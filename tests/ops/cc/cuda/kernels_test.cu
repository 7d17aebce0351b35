// Compares the CUDA kernels with plain loops in double. Prints a table of the largest errors. Exits 0 if all of them
// are small, 1 if not, and 77 if there is no GPU. If g++ compiles this (-x c++), the kernels run in the emulation,
// which needs no GPU.
//
//   nvcc -std=c++17 -O2 -arch=native -I../../../../rethink_fr/ops/cc -I.. kernels_test.cu && ./a.out [--benchmark]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>

#include "device.h"

#include "deform_conv/cuda_launch.h"
#include "group_norm/cuda_launch.h"
#include "reference.h"

#if defined(__CUDACC__)
#include "benchmark.h"
#endif

namespace {

using rethink_fr::DeformConvShape;
using rethink_fr::TestDevice;

enum class Offsets { kNear, kWhole, kFar, kBroken, kBorder };

struct Case {
  const char* name;
  int batch, height, width, channels, filters;
  int kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
  int groups, deformable_groups;
  Offsets offsets;
  long long column_bytes;
};

constexpr long long kAll = rethink_fr::kColumnBytes;
const Case kCases[] = {
    {"plain 3x3", 1, 9, 11, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, Offsets::kNear, kAll},
    {"odd channels", 2, 7, 5, 7, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, Offsets::kNear, kAll},
    {"wide product", 1, 12, 13, 20, 150, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4, Offsets::kNear, kAll},
    {"4 deformable groups", 2, 8, 8, 32, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4, Offsets::kNear, kAll},
    {"many channels", 1, 4, 5, 80, 70, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, Offsets::kNear, kAll},
    {"300 channels", 1, 3, 3, 1200, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1, 2, Offsets::kNear, kAll},
    {"groups", 2, 7, 8, 16, 24, 3, 3, 1, 1, 1, 1, 1, 1, 4, 1, Offsets::kNear, kAll},
    {"groups across deformable", 1, 6, 7, 12, 8, 3, 3, 1, 1, 1, 1, 1, 1, 2, 3, Offsets::kNear, kAll},
    {"deformable within groups", 1, 6, 7, 24, 6, 3, 3, 1, 1, 1, 1, 1, 1, 2, 6, Offsets::kNear, kAll},
    {"depthwise", 1, 6, 6, 10, 10, 3, 3, 1, 1, 1, 1, 1, 1, 10, 5, Offsets::kNear, kAll},
    {"strides and dilations", 1, 13, 17, 8, 4, 3, 2, 2, 3, 3, 1, 2, 3, 1, 2, Offsets::kNear, kAll},
    {"1x1", 1, 5, 6, 12, 9, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, Offsets::kNear, kAll},
    {"5x4, much padding", 1, 6, 5, 6, 4, 5, 4, 1, 1, 7, 6, 1, 1, 1, 3, Offsets::kNear, kAll},
    {"whole offsets", 1, 8, 9, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, Offsets::kWhole, kAll},
    {"offsets at the border", 1, 5, 6, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, Offsets::kBorder, kAll},
    {"offsets far outside", 1, 8, 9, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, Offsets::kFar, kAll},
    {"NaN and infinite offsets", 1, 8, 9, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, Offsets::kBroken, kAll},
    {"one pixel", 3, 1, 1, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, Offsets::kNear, kAll},
    {"empty batch", 0, 8, 9, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, Offsets::kNear, kAll},
    {"runs of one row", 2, 7, 6, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, Offsets::kNear, 1},
    {"runs across images", 3, 7, 6, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 2, 2, Offsets::kNear, 9000},
    {"sliced filter gradient", 1, 36, 36, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, Offsets::kNear, kAll},
    {"sliced, in runs, groups", 2, 30, 36, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 2, 2, Offsets::kNear, 220000},
};

std::mt19937 generator(7);

reference::Floats Normal(long long count, double mean = 0, double deviation = 1) {
  std::normal_distribution<double> distribution(mean, deviation);
  reference::Floats values(count);
  for (float& value : values) value = static_cast<float>(distribution(generator));
  return values;
}

reference::Floats MakeOffsets(Offsets kind, long long count) {
  reference::Floats values = Normal(count, 0, kind == Offsets::kFar ? 1e4 : 1.5);
  std::uniform_int_distribution<int> dice(0, 5);
  const float infinity = std::numeric_limits<float>::infinity();
  const float broken[] = {std::nanf(""), infinity, -infinity, 3e38f, -3e38f, 0};
  for (float& value : values) {
    if (kind == Offsets::kWhole) value = std::round(value);
    if (kind == Offsets::kBroken && dice(generator) < 3) value = broken[dice(generator)];
    // Just inside or just outside the places at the border where a sample begins to count.
    if (kind == Offsets::kBorder) value = std::round(value * 3) + (dice(generator) - 2) * 1e-6f;
    if (kind == Offsets::kFar && dice(generator) == 0) value *= 1e30f;
  }
  return values;
}

// The largest difference, divided by the largest value. A value that is not finite must be so in both.
double Error(const std::vector<float>& found, const reference::Values& expected) {
  double largest = 0, difference = 0;
  if (found.size() != expected.size()) return std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!std::isfinite(expected[i]) && !std::isfinite(found[i])) continue;
    if (!std::isfinite(expected[i]) || !std::isfinite(found[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::fabs(expected[i]));
    difference = std::max(difference, std::fabs(found[i] - expected[i]));
  }
  return difference == 0 ? 0 : difference / largest;
}

bool failed = false;

// One row of the table. Sums of up to 700 products in float32 reach errors of 1e-6; a wrong index gives about 1.
void Row(const char* name, const std::vector<double>& errors, double allowed) {
  std::printf("%-26s", name);
  bool good = true;
  for (const double error : errors) {
    std::printf(" %9.1e", error);
    good = good && error <= allowed;
  }
  std::printf("%s\n", good ? "" : "  WRONG");
  failed = failed || !good;
}

DeformConvShape Shape(const Case& c) {
  DeformConvShape shape = {};
  shape.batch = c.batch;
  shape.height = c.height;
  shape.width = c.width;
  shape.channels = c.channels;
  shape.filters = c.filters;
  shape.kernel_height = c.kernel_height;
  shape.kernel_width = c.kernel_width;
  shape.stride_y = c.stride_y;
  shape.stride_x = c.stride_x;
  shape.padding_y = c.padding_y;
  shape.padding_x = c.padding_x;
  shape.dilation_y = c.dilation_y;
  shape.dilation_x = c.dilation_x;
  shape.groups = c.groups;
  shape.deformable_groups = c.deformable_groups;
  shape.out_height = (c.height + 2 * c.padding_y - c.dilation_y * (c.kernel_height - 1) - 1) / c.stride_y + 1;
  shape.out_width = (c.width + 2 * c.padding_x - c.dilation_x * (c.kernel_width - 1) - 1) / c.stride_x + 1;
  return shape;
}

void CheckDeformConv(const Case& c, bool infinite_pixel) {
  const DeformConvShape shape = Shape(c);
  const long long taps = c.kernel_height * c.kernel_width;
  const long long pixels = static_cast<long long>(c.batch) * shape.out_height * shape.out_width;
  reference::DeformConv tensors;
  tensors.inputs = Normal(static_cast<long long>(c.batch) * c.height * c.width * c.channels);
  tensors.offsets = MakeOffsets(c.offsets, pixels * c.deformable_groups * taps * 2);
  tensors.mask = Normal(pixels * c.deformable_groups * taps, 0.5, 0.3);
  tensors.filters = Normal(taps * (c.channels / c.groups) * c.filters);
  tensors.upstream = Normal(pixels * c.filters);
  if (infinite_pixel) tensors.inputs[c.channels * (c.width + 2)] = std::numeric_limits<float>::infinity();
  // A sample outside the image contributes nothing, even if its mask is NaN.
  if (c.offsets == Offsets::kBroken) {
    for (std::size_t i = 0; i < tensors.mask.size(); i += 2) {
      if (std::isnan(tensors.offsets[i * 2])) tensors.mask[i] = std::nanf("");
    }
  }
  const reference::DeformConvResult expected = reference::Run(shape, tensors);

  TestDevice device;
  rethink_fr::DeformConvTensors pointers = {};
  pointers.inputs = device.Upload(tensors.inputs);
  pointers.offsets = device.Upload(tensors.offsets);
  pointers.mask = device.Upload(tensors.mask);
  pointers.filters = device.Upload(tensors.filters);
  pointers.upstream = device.Upload(tensors.upstream);
  pointers.of_inputs = device.Allocate(tensors.inputs.size());
  pointers.of_offsets = device.Allocate(tensors.offsets.size());
  pointers.of_mask = device.Allocate(tensors.mask.size());
  pointers.of_filters = device.Allocate(tensors.filters.size());
  float* outputs = device.Allocate(expected.outputs.size());
  rethink_fr::LaunchDeformConv(device, shape, pointers, outputs, c.column_bytes);
  std::vector<double> errors = {Error(device.Download(outputs, expected.outputs.size()), expected.outputs)};
  if (!infinite_pixel) {
    rethink_fr::LaunchDeformConvGradient(device, shape, pointers, c.column_bytes);
    errors.push_back(Error(device.Download(pointers.of_inputs, expected.of_inputs.size()), expected.of_inputs));
    errors.push_back(Error(device.Download(pointers.of_offsets, expected.of_offsets.size()), expected.of_offsets));
    errors.push_back(Error(device.Download(pointers.of_mask, expected.of_mask.size()), expected.of_mask));
    errors.push_back(Error(device.Download(pointers.of_filters, expected.of_filters.size()), expected.of_filters));
  }
  Row(infinite_pixel ? "an infinite pixel" : c.name, errors, 4e-6);
}

const reference::GroupNormCase kNormCases[] = {
    {"norm 128 channels", 2, 63, 128, 32, 0, 1},  {"norm odd", 3, 7, 35, 5, 0, 1},
    {"norm one group", 1, 50, 48, 1, 0.5, 2},     {"norm each channel", 1, 300, 8, 8, 0, 1},
    {"norm 320 channels", 2, 5, 320, 32, 0, 1},   {"norm far from zero", 1, 900, 32, 4, 300, 1},
    {"norm one pixel", 1, 1, 64, 4, 0, 1},        {"norm empty batch", 0, 9, 64, 4, 0, 1},
    {"norm no pixels", 2, 0, 64, 4, 0, 1},
};

void CheckGroupNorm(const reference::GroupNormCase& c) {
  const float epsilon = 1e-6f;
  reference::GroupNorm tensors;
  const long long count = static_cast<long long>(c.batch) * c.pixels * c.channels;
  tensors.inputs = Normal(count, c.mean, c.deviation);
  tensors.gamma = Normal(c.channels, 1, 0.3);
  tensors.beta = Normal(c.channels);
  tensors.upstream = Normal(count);
  const reference::GroupNormResult expected = reference::Run(c, epsilon, tensors);

  TestDevice device;
  rethink_fr::GroupNormArguments arguments = {};
  arguments.pixels = c.pixels;
  arguments.batch = c.batch;
  arguments.channels = c.channels;
  arguments.groups = c.groups;
  arguments.epsilon = epsilon;
  arguments.inputs = device.Upload(tensors.inputs);
  arguments.gamma = device.Upload(tensors.gamma);
  arguments.beta = device.Upload(tensors.beta);
  arguments.upstream = device.Upload(tensors.upstream);
  arguments.outputs = device.Allocate(count);
  arguments.mean = device.Allocate(c.batch * c.groups);
  arguments.inverse_deviation = device.Allocate(c.batch * c.groups);
  arguments.of_gamma = device.Allocate(c.channels);
  arguments.of_beta = device.Allocate(c.channels);
  rethink_fr::LaunchGroupNorm(device, arguments);
  std::vector<double> errors = {Error(device.Download(arguments.outputs, count), expected.outputs)};
  if (c.pixels > 0) {
    const long long groups = expected.mean.size();
    errors.push_back(Error(device.Download(arguments.mean, groups), expected.mean));
    errors.push_back(Error(device.Download(arguments.inverse_deviation, groups), expected.inverse_deviation));
  }
  arguments.outputs = device.Allocate(count);
  rethink_fr::LaunchGroupNormGradient(device, arguments);
  errors.push_back(Error(device.Download(arguments.outputs, count), expected.of_inputs));
  errors.push_back(Error(device.Download(arguments.of_gamma, c.channels), expected.of_gamma));
  errors.push_back(Error(device.Download(arguments.of_beta, c.channels), expected.of_beta));
  // With a mean of 300 the error is that of rounding it to float: 300 * 6e-8.
  Row(c.name, errors, c.mean > 1 ? 4e-5 : 4e-6);
}

}  // namespace

int main(int count, char** words) {
  if (!TestDevice::Exists()) {
    std::printf("no GPU here\n");
    return 77;
  }
#if defined(__CUDACC__)
  if (count > 1 && std::strcmp(words[1], "--benchmark") == 0) return rethink_fr::Benchmark();
#else
  if (count > 1 && std::strcmp(words[1], "--backward") == 0) emulation::order = emulation::Order::kBackward;
  if (count > 1 && std::strcmp(words[1], "--shuffled") == 0) emulation::order = emulation::Order::kShuffled;
#endif
  std::printf("largest error / largest value\n%-26s   outputs    inputs   offsets      mask   filters\n", "");
  for (const Case& c : kCases) CheckDeformConv(c, false);
  CheckDeformConv(kCases[0], true);
  std::printf("%-26s   outputs      mean   1/deviat.  inputs     gamma      beta\n", "");
  for (const reference::GroupNormCase& c : kNormCases) CheckGroupNorm(c);
  return failed ? 1 : 0;
}
