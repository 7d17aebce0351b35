// Checks the CPU kernels alone, without TensorFlow, so that AddressSanitizer and UndefinedBehaviorSanitizer can watch
// them. Exits 0 if all is right.
//
//   cpu_kernels_test SEEDS [CASE_FILE...]
//
// Each instruction set of this machine runs on the cases in the files, and on SEEDS random shapes and offsets, of which
// some are infinite or NaN; these are compared with plain loops in double. Buffers have exactly the size that they
// need, so that a read beyond their end is noticed.
//
// A case file holds the 17 integers of a DeformConvShape and then, in float32, inputs, offsets, mask, filters, the
// upstream gradient, and what is expected: the outputs and the four gradients.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cpu/instruction_sets.h"
#include "reference.h"

namespace {

using rethink_fr::CpuKernels;
using rethink_fr::DeformConvShape;
using rethink_fr::DeformConvTensors;

struct Case : reference::DeformConv {
  DeformConvShape s;
};

struct Results {
  std::vector<float> parts[5];  // outputs, of_inputs, of_offsets, of_mask, of_filters
};

long Pixels(const DeformConvShape& s) { return static_cast<long>(s.batch) * s.out_height * s.out_width; }
long Entries(const DeformConvShape& s) { return static_cast<long>(s.deformable_groups) * s.kernel_height * s.kernel_width; }

// How many floats inputs, offsets, mask, filters and outputs have.
void SizeOf(const DeformConvShape& s, long sizes[5]) {
  sizes[0] = static_cast<long>(s.batch) * s.height * s.width * s.channels;
  sizes[1] = 2 * Pixels(s) * Entries(s);
  sizes[2] = Pixels(s) * Entries(s);
  sizes[3] = static_cast<long>(s.kernel_height) * s.kernel_width * (s.channels / s.groups) * s.filters;
  sizes[4] = Pixels(s) * s.filters;
}

// Filled with NaN: a kernel that reads what it has not written gives a wrong result.
struct Buffer {
  explicit Buffer(long floats) : data(static_cast<float*>(aligned_alloc(64, (floats * 4 + 63) / 64 * 64 + 64))) {
    std::fill(data, data + floats, std::numeric_limits<float>::quiet_NaN());
  }
  ~Buffer() { free(data); }
  float* data;
};

Results Run(const CpuKernels& kernels, const Case& c, int threads) {
  const DeformConvShape& s = c.s;
  long sizes[5];
  SizeOf(s, sizes);
  Results r;
  r.parts[0].assign(sizes[4], 0);
  for (int i = 0; i < 4; ++i) r.parts[1 + i].assign(sizes[i], std::numeric_limits<float>::quiet_NaN());
  Buffer packed(kernels.packed_floats(s));
  kernels.pack_filters(s, c.filters.data(), packed.data);
  const long tiles = kernels.forward_tiles(s);
  for (long first = 0; first < tiles; first += 3) {
    Buffer scratch(kernels.forward_scratch_floats(s));
    kernels.forward_tile_range(s, c.inputs.data(), c.offsets.data(), c.mask.data(), packed.data, r.parts[0].data(), first,
                               std::min(first + 3, tiles), scratch.data);
  }
  const DeformConvTensors t = {c.inputs.data(),      c.offsets.data(),     c.mask.data(),
                               c.filters.data(),     c.upstream.data(),    r.parts[1].data(),
                               r.parts[2].data(),    r.parts[3].data(),    r.parts[4].data()};
  Buffer partial(kernels.backward_partial_floats(s, threads));
  for (long shard = 0; shard < kernels.backward_shards(s, threads); ++shard) {
    Buffer scratch(kernels.backward_scratch_floats(s));
    kernels.backward_shard(s, t, threads, shard, partial.data, scratch.data);
  }
  kernels.add_partials(s, partial.data, threads, 0, Pixels(s), r.parts[2].data(), r.parts[3].data());
  return r;
}

// The largest difference; 1e300 if one is not a number.
template <typename Number>
double Difference(const std::vector<float>& found, const std::vector<Number>& expected) {
  double largest = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(double(found[i]) - double(expected[i]));
    if (!(difference <= largest)) largest = std::isnan(difference) ? 1e300 : difference;
  }
  return largest;
}

Case RandomCase(unsigned seed) {
  std::mt19937 random(seed);
  const auto draw = [&](int low, int high) { return low + static_cast<int>(random() % (high - low + 1)); };
  Case c;
  DeformConvShape& s = c.s;
  s.batch = draw(0, 2), s.kernel_height = draw(1, 4), s.kernel_width = draw(1, 4);
  s.stride_y = draw(1, 3), s.stride_x = draw(1, 3), s.padding_y = draw(0, 3), s.padding_x = draw(0, 3);
  s.dilation_y = draw(1, 2), s.dilation_x = draw(1, 2), s.groups = draw(1, 3), s.deformable_groups = draw(1, 4);
  s.channels = s.groups * s.deformable_groups * draw(1, seed % 5 == 0 ? 90 : 12), s.filters = s.groups * draw(1, 40);
  const int reach_y = s.dilation_y * (s.kernel_height - 1) + 1, reach_x = s.dilation_x * (s.kernel_width - 1) + 1;
  s.height = std::max(1, reach_y - 2 * s.padding_y) + draw(0, 9), s.width = std::max(1, reach_x - 2 * s.padding_x) + draw(0, 9);
  s.out_height = (s.height + 2 * s.padding_y - reach_y) / s.stride_y + 1;
  s.out_width = (s.width + 2 * s.padding_x - reach_x) / s.stride_x + 1;
  long sizes[5];
  SizeOf(s, sizes);
  std::normal_distribution<float> normal;
  std::vector<float>* const tensors[] = {&c.inputs, &c.offsets, &c.mask, &c.filters, &c.upstream};
  for (int i = 0; i < 5; ++i) {
    tensors[i]->resize(sizes[i]);
    for (float& value : *tensors[i]) value = normal(random);
  }
  const float extremes[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), 3e38f, -3e38f, 2147483648.0f, -1.0f, 1e6f};
  const float spread = seed % 3 == 0 ? 0.3f : seed % 3 == 1 ? 3.0f : 30.0f;
  for (float& value : c.offsets) {
    value *= spread;
    if (random() % 50 == 0) value = extremes[random() % 8];
  }
  return c;
}

bool Check(const char* set, const char* name, const double differences[5], double tolerance) {
  bool right = true;
  for (int i = 0; i < 5; ++i) right = right && differences[i] <= tolerance;
  if (!right) {
    std::printf("%s %s: outputs %.1e, inputs %.1e, offsets %.1e, mask %.1e, filters %.1e; allowed %.1e\n", set, name,
                differences[0], differences[1], differences[2], differences[3], differences[4], tolerance);
  }
  return right;
}

bool CheckGroupNorm(const CpuKernels& kernels, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const int channels = 1 + random() % 70;
  const long pixels = 1 + random() % 90;
  std::vector<float> x(pixels * channels), g(x.size()), y(x.size()), dx(x.size()), fixed[5];
  for (float& value : x) value = 3 * normal(random);
  for (float& value : g) value = normal(random);
  for (auto& values : fixed) {
    values.resize(channels);
    for (float& value : values) value = normal(random);
  }
  const rethink_fr::GroupNormAffine affine = {fixed[0].data(), fixed[1].data(), fixed[2].data()};
  std::vector<double> moments(2 * channels, 0.0), sums(2 * channels, 0.0), right(2 * channels, 0.0), right_sums(right);
  kernels.moments(channels, x.data(), 0, pixels, moments.data());
  kernels.apply(channels, x.data(), affine, seed % 2 == 0, 0, pixels, y.data());
  kernels.gradient_sums(channels, x.data(), g.data(), affine, 0, pixels, sums.data());
  kernels.gradient_apply(channels, x.data(), g.data(), affine, fixed[3].data(), fixed[4].data(), 0, pixels, dx.data());
  double worst = 0;
  for (long i = 0; i < pixels * channels; ++i) {
    const int c = i % channels;
    const double shifted = double(x[i]) - x[c], centred = double(x[i]) - fixed[0][c];
    const double z = centred * fixed[1][c] + fixed[2][c], sigmoid = 1 / (1 + std::exp(-z));
    const double of_z = g[i] * sigmoid * (1 + z * (1 - sigmoid));
    right[c] += shifted, right[channels + c] += shifted * shifted;
    right_sums[c] += of_z, right_sums[channels + c] += of_z * centred;
    worst = std::max(worst, std::abs(y[i] - z * sigmoid));
    worst = std::max(worst, std::abs(dx[i] - (of_z * fixed[1][c] - centred * fixed[3][c] - fixed[4][c])));
  }
  for (int c = 0; c < 2 * channels; ++c) {
    worst = std::max(worst, std::abs(moments[c] - right[c]) / 1e2);
    worst = std::max(worst, std::abs(sums[c] - right_sums[c]) / 1e2);
  }
  if (worst > 2e-5) std::printf("%s group norm, seed %u: %.1e\n", kernels.name, seed, worst);
  return worst <= 2e-5;
}

bool ReadCase(const char* path, Case* c, std::vector<float> expected[5]) {
  FILE* const file = std::fopen(path, "rb");
  if (file == nullptr) return false;
  bool right = std::fread(&c->s, sizeof(int), 17, file) == 17;
  long sizes[5];
  SizeOf(c->s, sizes);
  const long expected_sizes[] = {sizes[4], sizes[0], sizes[1], sizes[2], sizes[3]};
  std::vector<float>* const tensors[] = {&c->inputs, &c->offsets, &c->mask, &c->filters, &c->upstream};
  for (int i = 0; i < 10 && right; ++i) {
    std::vector<float>& values = i < 5 ? *tensors[i] : expected[i - 5];
    values.resize(i < 5 ? sizes[i] : expected_sizes[i - 5]);
    right = std::fread(values.data(), sizeof(float), values.size(), file) == values.size();
  }
  std::fclose(file);
  return right;
}

}  // namespace

static_assert(sizeof(DeformConvShape) == 17 * sizeof(int), "the case files hold 17 integers");

int main(int count, char** arguments) {
  bool right = true;
  const int seeds = count > 1 ? std::atoi(arguments[1]) : 20;
  for (const char* set : {"avx512", "avx2", "baseline"}) {
    const CpuKernels* const kernels = rethink_fr::FindCpuKernels(set);
    if (kernels == nullptr) continue;
    double differences[5];
    for (int i = 2; i < count; ++i) {
      Case c;
      std::vector<float> expected[5];
      if (!ReadCase(arguments[i], &c, expected)) {
        std::printf("%s: not a case file\n", arguments[i]);
        return 2;
      }
      const Results results = Run(*kernels, c, 2);
      for (int part = 0; part < 5; ++part) differences[part] = Difference(results.parts[part], expected[part]);
      right = Check(set, arguments[i], differences, 5e-5) && right;
    }
    for (int seed = 0; seed < seeds; ++seed) {
      const Case c = RandomCase(seed);
      const Results results = Run(*kernels, c, 1 + seed % 7);
      const reference::DeformConvResult result = reference::Run(c.s, c);
      const reference::Values expected[] = {result.outputs, result.of_inputs, result.of_offsets, result.of_mask,
                                            result.of_filters};
      for (int part = 0; part < 5; ++part) {
        double largest = 1;
        for (const double value : expected[part]) largest = std::max(largest, std::abs(value));
        differences[part] = Difference(results.parts[part], expected[part]) / largest;
      }
      char name[32];
      std::snprintf(name, sizeof(name), "seed %d", seed);
      right = Check(set, name, differences, 1e-5) && right;
      right = CheckGroupNorm(*kernels, seed) && right;
    }
    std::printf("%s: %d files, %d seeds\n", set, count > 2 ? count - 2 : 0, seeds);
  }
  std::printf(right ? "all right\n" : "wrong\n");
  return right ? 0 : 1;
}
