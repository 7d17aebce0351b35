// The TensorFlow operators of group normalization with swish: registration, checks, and the kernels for the CPU.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_

#include <cmath>
#include <vector>

#include "deform_conv_op.h"

namespace rethink_fr {

REGISTER_OP("RethinkFr>GroupNormSwish")
    .Input("inputs: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Attr("groups: int")
    .Attr("epsilon: float")
    .Output("outputs: float")
    .Output("mean: float")
    .Output("inverse_deviation: float")
    .SetShapeFn([](InferenceContext* c) {
      tensorflow::shape_inference::ShapeHandle inputs;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &inputs));
      int groups;
      TF_RETURN_IF_ERROR(c->GetAttr("groups", &groups));
      c->set_output(0, inputs);
      for (int i = 1; i < 3; ++i) c->set_output(i, c->MakeShape({c->Dim(inputs, 0), c->MakeDim(groups)}));
      return tensorflow::OkStatus();
    });

REGISTER_OP("RethinkFr>GroupNormSwishGrad")
    .Input("inputs: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("mean: float")
    .Input("inverse_deviation: float")
    .Input("upstream: float")
    .Attr("groups: int")
    .Output("of_inputs: float")
    .Output("of_gamma: float")
    .Output("of_beta: float")
    .SetShapeFn([](InferenceContext* c) {
      for (int i = 0; i < 3; ++i) c->set_output(i, c->input(i));
      return tensorflow::OkStatus();
    });

// Checks inputs, gamma and beta (of either operator) against `groups`.
inline Status CheckGroupNorm(OpKernelContext* ctx, int groups) {
  const TensorShape& inputs = ctx->input(0).shape();
  const bool right = inputs.dims() == 4 && groups > 0 && inputs.dim_size(3) % groups == 0 && inputs.dim_size(3) > 0 &&
                     ctx->input(1).shape() == TensorShape({inputs.dim_size(3)}) &&
                     ctx->input(2).shape() == TensorShape({inputs.dim_size(3)});
  if (right) return tensorflow::OkStatus();
  return tensorflow::errors::InvalidArgument("group_norm_swish: inputs ", inputs.DebugString(), ", gamma ",
                                             ctx->input(1).shape().DebugString(), ", beta ",
                                             ctx->input(2).shape().DebugString(), " and ", groups,
                                             " groups do not fit");
}

// Sums over an image, its pixels cut in blocks of fixed size, so that the result does not depend on the threads.
class GroupNormBlocks {
 public:
  GroupNormBlocks(OpKernelContext* ctx, long pixels, int channels)
      : workers_(*ctx->device()->tensorflow_cpu_worker_threads()), pixels_(pixels), channels_(channels) {}

  // body(first pixel, last pixel), in any order; `backwards` begins with the last, which a pass before left in cache.
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

  // The two sums of each channel, `[2 * channels]`: body adds those of a block.
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

// Larger images do not stay in cache until they are read again.
constexpr size_t kCachedBytes = 16 << 20;

class GroupNormSwishCpu : public OpKernel {
 public:
  explicit GroupNormSwishCpu(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("epsilon", &epsilon_));
  }

  void Compute(OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNorm(ctx, groups_));
    const Tensor& inputs = ctx->input(0);
    const long batch = inputs.dim_size(0), pixels = inputs.dim_size(1) * inputs.dim_size(2);
    const int channels = inputs.dim_size(3), per_group = channels / groups_;
    Tensor *outputs, *means, *inverses;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, inputs.shape(), &outputs));
    OP_REQUIRES_OK(ctx, ctx->allocate_output(1, TensorShape({batch, groups_}), &means));
    OP_REQUIRES_OK(ctx, ctx->allocate_output(2, TensorShape({batch, groups_}), &inverses));
    if (inputs.NumElements() == 0) return;
    const float* const gamma = ctx->input(1).flat<float>().data();
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const GroupNormBlocks blocks(ctx, pixels, channels);
    std::vector<float> centre(channels), scale(channels);
    const bool stream = pixels * channels * sizeof(float) > kCachedBytes;
    for (long b = 0; b < batch; ++b) {
      const float* const image = inputs.flat<float>().data() + b * pixels * channels;
      const std::vector<double> sums = blocks.Sum(
          [&](long first, long last, double* to) { kernels.moments(channels, image, first, last, to); });
      const double count = static_cast<double>(pixels) * per_group;
      for (int g = 0; g < groups_; ++g) {
        double mean = 0, variance = 0;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) mean += image[c] * double(pixels) + sums[c];
        mean /= count;
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          // Sum of (x - mean)^2, from sums of d = x - shift.
          const double apart = image[c] - mean;
          variance += sums[channels + c] + 2 * apart * sums[c] + apart * apart * pixels;
        }
        variance = variance > 0 ? variance / count : variance * 0;
        const double inverse = 1 / std::sqrt(variance + epsilon_);
        means->matrix<float>()(b, g) = static_cast<float>(mean);
        inverses->matrix<float>()(b, g) = static_cast<float>(inverse);
        for (int c = g * per_group; c < (g + 1) * per_group; ++c) {
          centre[c] = static_cast<float>(mean);
          scale[c] = static_cast<float>(gamma[c] * inverse);
        }
      }
      const GroupNormAffine affine = {centre.data(), scale.data(), ctx->input(2).flat<float>().data()};
      float* const output = outputs->flat<float>().data() + b * pixels * channels;
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
    OP_REQUIRES_OK(ctx, CheckGroupNorm(ctx, groups_));
    const Tensor& inputs = ctx->input(0);
    const long batch = inputs.dim_size(0), pixels = inputs.dim_size(1) * inputs.dim_size(2);
    const int channels = inputs.dim_size(3), per_group = channels / groups_;
    const TensorShape statistics({batch, groups_});
    OP_REQUIRES(ctx,
                ctx->input(3).shape() == statistics && ctx->input(4).shape() == statistics &&
                    ctx->input(5).shape() == inputs.shape(),
                tensorflow::errors::InvalidArgument("group_norm_swish: statistics or upstream gradient do not fit"));
    Tensor* gradients[3];
    for (int i = 0; i < 3; ++i) OP_REQUIRES_OK(ctx, ctx->allocate_output(i, ctx->input(i).shape(), &gradients[i]));
    const float* const gamma = ctx->input(1).flat<float>().data();
    const auto means = ctx->input(3).matrix<float>(), inverses = ctx->input(4).matrix<float>();
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const GroupNormBlocks blocks(ctx, pixels, channels);
    std::vector<float> centre(channels), scale(channels), slope(channels), constant(channels);
    std::vector<double> of_gamma(channels, 0.0), of_beta(channels, 0.0);
    for (long b = 0; b < (pixels > 0 ? batch : 0); ++b) {
      const long start = b * pixels * channels;
      const float* const image = inputs.flat<float>().data() + start;
      const float* const upstream = ctx->input(5).flat<float>().data() + start;
      for (int c = 0; c < channels; ++c) {
        centre[c] = means(b, c / per_group);
        scale[c] = gamma[c] * inverses(b, c / per_group);
      }
      const GroupNormAffine affine = {centre.data(), scale.data(), ctx->input(2).flat<float>().data()};
      const std::vector<double> sums = blocks.Sum([&](long first, long last, double* to) {
        kernels.gradient_sums(channels, image, upstream, affine, first, last, to);
      });
      const double count = static_cast<double>(pixels) * per_group;
      for (int g = 0; g < groups_; ++g) {
        const double inverse = inverses(b, g);
        double mean = 0, product = 0;  // of gamma * gradient, and of that times the normalized input
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
      float* const of_input = gradients[0]->flat<float>().data() + start;
      blocks.ForEach(true, [&](long, long first, long last) {
        kernels.gradient_apply(channels, image, upstream, affine, slope.data(), constant.data(), first, last, of_input);
      });
    }
    for (int c = 0; c < channels; ++c) {
      gradients[1]->flat<float>()(c) = static_cast<float>(of_gamma[c]);
      gradients[2]->flat<float>()(c) = static_cast<float>(of_beta[c]);
    }
  }

 private:
  int groups_ = 0;
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwish").Device(tensorflow::DEVICE_CPU), GroupNormSwishCpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwishGrad").Device(tensorflow::DEVICE_CPU), GroupNormSwishGradCpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_
