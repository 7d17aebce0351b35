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

class GroupNormSwishCpu : public OpKernel {
 public:
  explicit GroupNormSwishCpu(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("epsilon", &epsilon_));
  }

  void Compute(OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNorm(ctx, groups_));
    const tensorflow::Tensor& inputs = ctx->input(0);
    const long batch = inputs.dim_size(0), pixels = inputs.dim_size(1) * inputs.dim_size(2);
    const int channels = inputs.dim_size(3), per_group = channels / groups_;
    float *outputs = nullptr, *means = nullptr, *inverses = nullptr;
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, inputs.shape(), &outputs));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 1, TensorShape({batch, groups_}), &means));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 2, TensorShape({batch, groups_}), &inverses));
    if (inputs.NumElements() == 0) return;
    const float* const gamma = InputFloats(ctx, 1);
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const GroupNormBlocks blocks(ctx, pixels, channels);
    std::vector<float> centre(channels), scale(channels);
    const bool stream = pixels * channels * sizeof(float) > kCachedBytes;
    for (long b = 0; b < batch; ++b) {
      const float* const image = InputFloats(ctx, 0) + b * pixels * channels;
      const std::vector<double> sums = blocks.Sum(
          [&](long first, long last, double* to) { kernels.moments(channels, image, first, last, to); });
      const double count = static_cast<double>(pixels) * per_group;
      for (int g = 0; g < groups_; ++g) {
        double mean = 0, variance = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) mean += image[c] * double(pixels) + sums[c];
        mean /= count;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          // The sum of (x - mean)^2 from the sums of x - shift and of (x - shift)^2.
          const double apart = image[c] - mean;
          variance += sums[channels + c] + 2 * apart * sums[c] + apart * apart * pixels;
        }
        variance = variance > 0 ? variance / count : variance * 0;
        const double inverse = 1 / std::sqrt(variance + epsilon_);
        means[b * groups_ + g] = static_cast<float>(mean);
        inverses[b * groups_ + g] = static_cast<float>(inverse);
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          centre[c] = static_cast<float>(mean);
          scale[c] = static_cast<float>(gamma[c] * inverse);
        }
      }
      const GroupNormAffine affine = {centre.data(), scale.data(), InputFloats(ctx, 2)};
      float* const output = outputs + b * pixels * channels;
      blocks.ForEach(true, [&](long, long first, long last) {
        kernels.apply(channels, image, affine, stream, first, last, output);
      });
    }
  }

 private:
  int groups_ = 0;
  float epsilon_ = 0;
};

class GroupNormSwishGradCpu : public OpKernel {
 public:
  explicit GroupNormSwishGradCpu(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
  }

  void Compute(OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNormGradient(ctx, groups_));
    const tensorflow::Tensor& inputs = ctx->input(0);
    const long batch = inputs.dim_size(0), pixels = inputs.dim_size(1) * inputs.dim_size(2);
    const int channels = inputs.dim_size(3), per_group = channels / groups_;
    float* gradients[3];
    for (int i = 0; i < 3; ++i) OP_REQUIRES_OK(ctx, OutputFloats(ctx, i, ctx->input(i).shape(), &gradients[i]));
    const float* const gamma = InputFloats(ctx, 1);
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const GroupNormBlocks blocks(ctx, pixels, channels);
    std::vector<float> centre(channels), scale(channels), slope(channels), constant(channels);
    std::vector<double> of_gamma(channels, 0.0), of_beta(channels, 0.0);
    for (long b = 0; b < (pixels > 0 ? batch : 0); ++b) {
      const long start = b * pixels * channels;
      const float* const image = InputFloats(ctx, 0) + start;
      const float* const upstream = InputFloats(ctx, 5) + start;
      const float* const means = InputFloats(ctx, 3) + b * groups_;
      const float* const inverses = InputFloats(ctx, 4) + b * groups_;
      for (int c = 0; c < channels; ++c) {
        centre[c] = means[c / per_group];
        scale[c] = gamma[c] * inverses[c / per_group];
      }
      const GroupNormAffine affine = {centre.data(), scale.data(), InputFloats(ctx, 2)};
      const std::vector<double> sums = blocks.Sum([&](long first, long last, double* to) {
        kernels.gradient_sums(channels, image, upstream, affine, first, last, to);
      });
      const double count = static_cast<double>(pixels) * per_group;
      for (int g = 0; g < groups_; ++g) {
        const double inverse = inverses[g];
        // The means of gamma times the gradient, and of that times the normalized input.
        double mean = 0, product = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          of_beta[c] += sums[c];
          of_gamma[c] += sums[channels + c] * inverse;
          mean += gamma[c] * sums[c] / count;
          product += gamma[c] * sums[channels + c] * inverse / count;
        }
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          constant[c] = static_cast<float>(inverse * mean);
          slope[c] = static_cast<float>(inverse * inverse * product);
        }
      }
      float* const of_input = gradients[0] + start;
      blocks.ForEach(true, [&](long, long first, long last) {
        kernels.gradient_apply(channels, image, upstream, affine, slope.data(), constant.data(), first, last, of_input);
      });
    }
    for (int c = 0; c < channels; ++c) {
      gradients[1][c] = static_cast<float>(of_gamma[c]);
      gradients[2][c] = static_cast<float>(of_beta[c]);
    }
  }

 private:
  int groups_ = 0;
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwish").Device(tensorflow::DEVICE_CPU), GroupNormSwishCpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwishGrad").Device(tensorflow::DEVICE_CPU), GroupNormSwishGradCpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CPU_OP_H_
