// The CPU kernels alone, without TensorFlow, for AddressSanitizer and UndefinedBehaviorSanitizer.
//
//   kernels_test SEEDS [CASE_FILE...]
//
// Runs each instruction set of this machine on the cases in the files and on SEEDS random shapes and offsets, some of
// these infinite or NaN, and compares with loops over the definition in double. Buffers have their exact size, so
// that a read past their end is seen. A case file holds the 17 integers of a DeformConvShape, then float32: inputs,
// offsets, mask, filters, upstream, and what is expected of outputs and of the four gradients.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cpu_kernels.h"

namespace {

using rethink_fr::CpuKernels;
using rethink_fr::DeformConvShape;
using rethink_fr::DeformConvTensors;

struct Case {
  DeformConvShape s;
  std::vector<float> inputs, offsets, mask, filters, upstream;
};

struct Results {
  std::vector<float> parts[5];  // outputs, of_inputs, of_offsets, of_mask, of_filters
};

long Pixels(const DeformConvShape& s) { return static_cast<long>(s.batch) * s.out_height * s.out_width; }
long Entries(const DeformConvShape& s) { return static_cast<long>(s.deformable_groups) * s.kernel_height * s.kernel_width; }

void SizeOf(const DeformConvShape& s, long sizes[5]) {
  sizes[0] = static_cast<long>(s.batch) * s.height * s.width * s.channels;
  sizes[1] = 2 * Pixels(s) * Entries(s);
  sizes[2] = Pixels(s) * Entries(s);
  sizes[3] = static_cast<long>(s.kernel_height) * s.kernel_width * (s.channels / s.groups) * s.filters;
  sizes[4] = Pixels(s) * s.filters;
}

// malloc, not new: the kernels must fill what they promise; the sanitizers see what is read before.
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

// The definition, in double. `scale[part]` is the largest sum of absolute terms, which rounding errors go with.
void Define(const Case& c, std::vector<double> parts[5]) {
  const DeformConvShape& s = c.s;
  long sizes[5];
  SizeOf(s, sizes);
  parts[0].assign(sizes[4], 0);
  for (int i = 0; i < 4; ++i) parts[1 + i].assign(sizes[i], 0);
  const int taps = s.kernel_height * s.kernel_width, per_group = s.channels / s.groups;
  const int of_group = s.filters / s.groups, per_deformable = s.channels / s.deformable_groups;
  for (long pixel = 0; pixel < Pixels(s); ++pixel) {
    const long b = pixel / (s.out_height * s.out_width);
    const int row = pixel / s.out_width % s.out_height, column = pixel % s.out_width;
    for (int tap = 0; tap < taps; ++tap) {
      for (int channel = 0; channel < s.channels; ++channel) {
        const long entry = pixel * Entries(s) + channel / per_deformable * taps + tap;
        // The sum in float, as the operator defines it: near 500 pixels a float's step is 3e-5.
        const float y = float(row * s.stride_y + tap / s.kernel_width * s.dilation_y - s.padding_y) + c.offsets[2 * entry];
        const float x =
            float(column * s.stride_x + tap % s.kernel_width * s.dilation_x - s.padding_x) + c.offsets[2 * entry + 1];
        if (!(y > -1 && y < s.height && x > -1 && x < s.width)) continue;
        const double top = std::floor(y), left = std::floor(x), down = y - top, right = x - left;
        double value[2][2], weight[2][2] = {{(1 - down) * (1 - right), (1 - down) * right}, {down * (1 - right), down * right}};
        long at[2][2];
        for (int i = 0; i < 2; ++i) {
          for (int j = 0; j < 2; ++j) {
            const long r = static_cast<long>(top) + i, q = static_cast<long>(left) + j;
            const bool inside = r >= 0 && r < s.height && q >= 0 && q < s.width;
            at[i][j] = inside ? ((b * s.height + r) * s.width + q) * s.channels + channel : -1;
            value[i][j] = inside ? c.inputs[at[i][j]] : 0;
          }
        }
        const double sample = weight[0][0] * value[0][0] + weight[0][1] * value[0][1] + weight[1][0] * value[1][0] +
                              weight[1][1] * value[1][1];
        const int group = channel / per_group;
        double of_sample = 0;
        for (int n = 0; n < of_group; ++n) {
          const long filter = (static_cast<long>(tap) * per_group + channel % per_group) * s.filters + group * of_group + n;
          const long output = pixel * s.filters + group * of_group + n;
          parts[0][output] += sample * c.mask[entry] * c.filters[filter];
          parts[4][filter] += sample * c.mask[entry] * c.upstream[output];
          of_sample += double(c.filters[filter]) * c.upstream[output];
        }
        for (int i = 0; i < 2; ++i) {
          for (int j = 0; j < 2; ++j) {
            if (at[i][j] >= 0) parts[1][at[i][j]] += weight[i][j] * c.mask[entry] * of_sample;
          }
        }
        parts[2][2 * entry] += c.mask[entry] * of_sample *
                               ((value[1][0] - value[0][0]) * (1 - right) + (value[1][1] - value[0][1]) * right);
        parts[2][2 * entry + 1] += c.mask[entry] * of_sample *
                                   ((value[0][1] - value[0][0]) * (1 - down) + (value[1][1] - value[1][0]) * down);
        parts[3][entry] += sample * of_sample;
      }
    }
  }
}

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
      std::vector<double> expected[5];
      Define(c, expected);
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
