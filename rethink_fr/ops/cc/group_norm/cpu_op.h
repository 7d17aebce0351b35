// Group normalization with swish, and its gradient, on a CPU: sums over the pixels first, then one pass that computes
// the result.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_CPU_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_CPU_OP_H_

#include <cmath>
#include <vector>

#include "cpu/in_use.h"
#include "group_norm/op.h"
#include "tensorflow/core/util/work_sharder.h"

namespace rethink_fr {

// The pixels of one image, cut into blocks that TensorFlow's threads share. The blocks have a fixed size, so that sums
// do not depend on the number of threads.
class GroupNormBlocks {
 public:
  GroupNormBlocks(OpKernelContext* ctx, long pixels, int channels)
      : workers_(*ctx->device()->tensorflow_cpu_worker_threads()), pixels_(pixels), channels_(channels) {}

  // Calls body(block, first pixel, last pixel) for each block. `backwards` begins with the last block, which a pass in
  // the other direction has left in the caches.
  template <typename Body>
  void ForEach(bool backwards, const Body& body) const {
    const long count = Count();
    tensorflow::Shard(workers_.num_threads, workers_.workers, count, kPixels * channels_ / 4, [&](long first, long last) {
      for (long i = first; i < last; ++i) {
        const long block = backwards ? first + last - 1 - i : i;
        const long end = (block + 1) * kPixels;
        body(block, block * kPixels, end < pixels_ ? end : pixels_);
      }
    });
  }

  // Two sums for each channel, `[2][channels]`. body(first pixel, last pixel, sums) adds those of a block.
  template <typename Body>
  std::vector<double> Sum(const Body& body) const {
    std::vector<double> blocks(Count() * 2 * channels_, 0.0), total(2 * channels_, 0.0);
    ForEach(false, [&](long block, long first, long last) { body(first, last, &blocks[block * 2 * channels_]); });
    for (size_t i = 0; i < blocks.size(); ++i) total[i % total.size()] += blocks[i];
    return total;
  }

 private:
  static constexpr long kPixels = 1024;

  long Count() const { return (pixels_ + kPixels - 1) / kPixels; }

  const tensorflow::DeviceBase::CpuWorkerThreads& workers_;
  const long pixels_;
  const int channels_;
};

// A larger image does not stay in the caches until it is read again.
constexpr size_t kCachedBytes = 16 << 20;

class GroupNormSwishCpu : public GroupNormSwishOp {
 public:
  using GroupNormSwishOp::GroupNormSwishOp;

 private:
  void Run(OpKernelContext* ctx, const GroupNormTensors& t) const override {
    const long pixels = t.pixels;
    const int channels = t.channels, per_group = channels / t.groups;
    if (pixels == 0) return;
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const GroupNormBlocks blocks(ctx, pixels, channels);
    std::vector<float> centre(channels), scale(channels);
    const bool stream = pixels * channels * sizeof(float) > kCachedBytes;
    for (long b = 0; b < t.batch; ++b) {
      const float* const image = t.inputs + b * pixels * channels;
      const std::vector<double> sums = blocks.Sum(
          [&](long first, long last, double* to) { kernels.moments(channels, image, first, last, to); });
      const double count = static_cast<double>(pixels) * per_group;
      for (int g = 0; g < t.groups; ++g) {
        double mean = 0, variance = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) mean += image[c] * double(pixels) + sums[c];
        mean /= count;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          // The sum of (x - mean)^2 from the sums of x - shift and of (x - shift)^2.
          const double apart = image[c] - mean;
          variance += sums[channels + c] + 2 * apart * sums[c] + apart * apart * pixels;
        }
        variance = variance > 0 ? variance / count : variance * 0;
        const double inverse = 1 / std::sqrt(variance + t.epsilon);
        t.mean[b * t.groups + g] = static_cast<float>(mean);
        t.inverse_deviation[b * t.groups + g] = static_cast<float>(inverse);
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          centre[c] = static_cast<float>(mean);
          scale[c] = static_cast<float>(t.gamma[c] * inverse);
        }
      }
      const GroupNormAffine affine = {centre.data(), scale.data(), t.beta};
      float* const output = t.outputs + b * pixels * channels;
      blocks.ForEach(true, [&](long, long first, long last) {
        kernels.apply(channels, image, affine, stream, first, last, output);
      });
    }
  }
};

class GroupNormSwishGradCpu : public GroupNormSwishGradOp {
 public:
  using GroupNormSwishGradOp::GroupNormSwishGradOp;

 private:
  void Run(OpKernelContext* ctx, const GroupNormTensors& t) const override {
    const long pixels = t.pixels;
    const int channels = t.channels, per_group = channels / t.groups;
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const GroupNormBlocks blocks(ctx, pixels, channels);
    std::vector<float> centre(channels), scale(channels), slope(channels), constant(channels);
    std::vector<double> of_gamma(channels, 0.0), of_beta(channels, 0.0);
    for (long b = 0; b < (pixels > 0 ? t.batch : 0); ++b) {
      const float* const image = t.inputs + b * pixels * channels;
      const float* const upstream = t.upstream + b * pixels * channels;
      const float *const means = t.mean + b * t.groups, *const inverses = t.inverse_deviation + b * t.groups;
      for (int c = 0; c < channels; ++c) {
        centre[c] = means[c / per_group];
        scale[c] = t.gamma[c] * inverses[c / per_group];
      }
      const GroupNormAffine affine = {centre.data(), scale.data(), t.beta};
      const std::vector<double> sums = blocks.Sum([&](long first, long last, double* to) {
        kernels.gradient_sums(channels, image, upstream, affine, first, last, to);
      });
      const double count = static_cast<double>(pixels) * per_group;
      for (int g = 0; g < t.groups; ++g) {
        const double inverse = inverses[g];
        // The means of gamma times the gradient, and of that times the normalized input.
        double mean = 0, product = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          of_beta[c] += sums[c];
          of_gamma[c] += sums[channels + c] * inverse;
          mean += t.gamma[c] * sums[c] / count;
          product += t.gamma[c] * sums[channels + c] * inverse / count;
        }
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          constant[c] = static_cast<float>(inverse * mean);
          slope[c] = static_cast<float>(inverse * inverse * product);
        }
      }
      float* const of_input = t.outputs + b * pixels * channels;
      blocks.ForEach(true, [&](long, long first, long last) {
        kernels.gradient_apply(channels, image, upstream, affine, slope.data(), constant.data(), first, last, of_input);
      });
    }
    for (int c = 0; c < channels; ++c) {
      t.of_gamma[c] = static_cast<float>(of_gamma[c]);
      t.of_beta[c] = static_cast<float>(of_beta[c]);
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwish").Device(tensorflow::DEVICE_CPU), GroupNormSwishCpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwishGrad").Device(tensorflow::DEVICE_CPU), GroupNormSwishGradCpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CPU_OP_H_
