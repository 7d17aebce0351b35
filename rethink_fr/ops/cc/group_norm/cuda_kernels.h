// The CUDA kernels of group normalization followed by swish, and of its gradient; float32, NHWC. No TensorFlow and no
// standard library, as in all files that NVRTC compiles.
//
// Wu and He 2018, Eqs. 1 to 6; swish(z) = z sigmoid(z), Ramachandran et al. 2017. The statistics are as good as if they
// were computed in double: a thread sums at most 128 differences to its first value in float, and all further sums are
// in double. There are no atomics, so the result is the same in every run.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_KERNELS_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_KERNELS_H_

#include "group_norm/cuda_arguments.h"

namespace rethink_fr {

constexpr int kNormThreads = 256;

// The slab of pixels that a block of threads works on. Grid: x over the slabs of all images. Block: x over channels, y
// over pixels of the slab.
struct NormSlab {
  int image, slab;
  long long begin, end;  // the slab's pixels, counted in the image; `end` is the one after the last

  __device__ __forceinline__ explicit NormSlab(const GroupNormArguments& arguments)
      : image(blockIdx.x / arguments.slabs), slab(blockIdx.x % arguments.slabs) {
    begin = static_cast<long long>(slab) * arguments.pixels_of_slab;
    end = begin + arguments.pixels_of_slab;
    if (end > arguments.pixels) end = arguments.pixels;
  }
  // How many pixels of the slab a thread with this y has.
  __device__ __forceinline__ long long Count(int y) const {
    return end - begin > y ? (end - begin - y - 1) / blockDim.y + 1 : 0;
  }
  // Where the slab's two numbers for a channel are.
  __device__ __forceinline__ double* Result(const GroupNormArguments& arguments, int channel) const {
    return arguments.of_slabs + ((static_cast<long long>(image) * arguments.slabs + slab) * arguments.channels + channel) * 2;
  }
};

// Adds up both numbers over the threads of a block, whose number is a power of two. All threads get the sums.
__device__ __forceinline__ void SumOverBlock(double* sums) {
  __shared__ double shared[2][kNormThreads];
  const int thread = threadIdx.x + threadIdx.y * blockDim.x;
  __syncthreads();  // an earlier sum may still be read
  shared[0][thread] = sums[0];
  shared[1][thread] = sums[1];
  for (int distance = blockDim.x * blockDim.y / 2; distance > 0; distance /= 2) {
    __syncthreads();
    if (thread < distance) {
      shared[0][thread] += shared[0][thread + distance];
      shared[1][thread] += shared[1][thread + distance];
    }
  }
  __syncthreads();
  sums[0] = shared[0][0];
  sums[1] = shared[1][0];
}

__device__ __forceinline__ float Sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }

// For each slab and channel: the mean, and the sum of squared differences to it.
extern "C" __global__ void __launch_bounds__(kNormThreads) rethink_fr_norm_slabs(const GroupNormArguments arguments) {
  __shared__ double shared[2][kNormThreads];
  const NormSlab slab(arguments);
  const int thread = threadIdx.x + threadIdx.y * blockDim.x;
  const float* image = arguments.inputs + slab.image * arguments.pixels * arguments.channels;
  for (int first = 0; first < arguments.channels; first += blockDim.x) {
    const int channel = first + threadIdx.x;
    if (channel < arguments.channels && slab.begin + threadIdx.y < slab.end) {
      const float start = image[(slab.begin + threadIdx.y) * arguments.channels + channel];
      float sum = 0, squares = 0;
#pragma unroll 4
      for (long long pixel = slab.begin + threadIdx.y; pixel < slab.end; pixel += blockDim.y) {
        const float difference = image[pixel * arguments.channels + channel] - start;
        sum += difference;
        squares += difference * difference;
      }
      const double average = sum / static_cast<double>(slab.Count(threadIdx.y));
      shared[0][thread] = start + average;
      shared[1][thread] = squares - sum * average;
    }
    __syncthreads();
    if (channel < arguments.channels && threadIdx.y == 0) {
      // The threads' parts joined: sum (x - m)^2 is the sum, over the parts, of squares_part + n_part (m_part - m)^2.
      const int lines = slab.end - slab.begin < blockDim.y ? static_cast<int>(slab.end - slab.begin) : blockDim.y;
      double mean = 0, squares = 0;
      for (int y = 0; y < lines; ++y) mean += shared[0][y * blockDim.x + threadIdx.x] * slab.Count(y);
      mean /= static_cast<double>(slab.end - slab.begin);
      for (int y = 0; y < lines; ++y) {
        const double difference = shared[0][y * blockDim.x + threadIdx.x] - mean;
        squares += shared[1][y * blockDim.x + threadIdx.x] + slab.Count(y) * difference * difference;
      }
      double* result = slab.Result(arguments, channel);
      result[0] = mean;
      result[1] = squares;
    }
    __syncthreads();
  }
}

// For each image and group, which has a block of its own: the mean and 1 / sqrt(variance + epsilon), from the slabs.
extern "C" __global__ void __launch_bounds__(kNormThreads) rethink_fr_norm_statistics(const GroupNormArguments arguments) {
  const int image = blockIdx.x / arguments.groups, group = blockIdx.x % arguments.groups;
  const int channels = arguments.channels / arguments.groups;
  const double* slabs = arguments.of_slabs + static_cast<long long>(image) * arguments.slabs * arguments.channels * 2;
  const double count = static_cast<double>(arguments.pixels) * channels;
  double mean = 0;
  for (int pass = 0; pass < 2; ++pass) {
    double sums[2] = {};
    for (long long i = threadIdx.x; i < static_cast<long long>(arguments.slabs) * channels; i += blockDim.x) {
      const long long slab = i / channels;
      const long long begin = slab * arguments.pixels_of_slab;
      const long long rest = arguments.pixels - begin;
      const double pixels = static_cast<double>(rest < arguments.pixels_of_slab ? rest : arguments.pixels_of_slab);
      const double* of_slab = slabs + (slab * arguments.channels + group * channels + i % channels) * 2;
      const double difference = of_slab[0] - mean;
      sums[0] += pixels * difference;
      sums[1] += of_slab[1] + pixels * difference * difference;
    }
    SumOverBlock(sums);
    if (pass == 0) {
      mean = sums[0] / count;
    } else if (threadIdx.x == 0) {
      arguments.mean[blockIdx.x] = static_cast<float>(mean);
      arguments.inverse_deviation[blockIdx.x] = static_cast<float>(1 / sqrt(sums[1] / count + arguments.epsilon));
    }
  }
}

// The outputs, swish((x - mean) * inverse_deviation * gamma + beta).
extern "C" __global__ void __launch_bounds__(kNormThreads) rethink_fr_norm_apply(const GroupNormArguments arguments) {
  const NormSlab slab(arguments);
  const int channels_of_group = arguments.channels / arguments.groups;
  const long long first_of_image = slab.image * arguments.pixels * arguments.channels;
  for (int channel = threadIdx.x; channel < arguments.channels; channel += blockDim.x) {
    const long long group = static_cast<long long>(slab.image) * arguments.groups + channel / channels_of_group;
    const float mean = arguments.mean[group];
    const float scale = arguments.inverse_deviation[group] * arguments.gamma[channel];
    const float beta = arguments.beta[channel];
#pragma unroll 4
    for (long long pixel = slab.begin + threadIdx.y; pixel < slab.end; pixel += blockDim.y) {
      const long long place = first_of_image + pixel * arguments.channels + channel;
      const float z = (arguments.inputs[place] - mean) * scale + beta;
      arguments.outputs[place] = z * Sigmoid(z);
    }
  }
}

// What the gradient needs for each input value: the normalized value, and the gradient with respect to
// z = gamma * normalized + beta.
struct NormGradient {
  float mean, inverse_deviation, gamma, beta;

  __device__ __forceinline__ NormGradient(const GroupNormArguments& arguments, int image, int channel) {
    const long long group =
        static_cast<long long>(image) * arguments.groups + channel / (arguments.channels / arguments.groups);
    mean = arguments.mean[group];
    inverse_deviation = arguments.inverse_deviation[group];
    gamma = arguments.gamma[channel];
    beta = arguments.beta[channel];
  }
  __device__ __forceinline__ float Normalized(float input) const { return (input - mean) * inverse_deviation; }
  // The derivative of swish is s + z s (1 - s) with s = sigmoid(z).
  __device__ __forceinline__ float OfZ(float normalized, float upstream) const {
    const float z = normalized * gamma + beta;
    const float sigmoid = Sigmoid(z);
    return upstream * sigmoid * (1 + z * (1 - sigmoid));
  }
};

// For each slab and channel: the sum of the gradient with respect to z, and the sum of that times the normalized value.
// Summed over all slabs and images, these are the gradients of beta and gamma.
extern "C" __global__ void __launch_bounds__(kNormThreads)
    rethink_fr_norm_gradient_slabs(const GroupNormArguments arguments) {
  __shared__ double shared[2][kNormThreads];
  const NormSlab slab(arguments);
  const int thread = threadIdx.x + threadIdx.y * blockDim.x;
  const long long first_of_image = slab.image * arguments.pixels * arguments.channels;
  for (int first = 0; first < arguments.channels; first += blockDim.x) {
    const int channel = first + threadIdx.x;
    if (channel < arguments.channels) {
      const NormGradient gradient(arguments, slab.image, channel);
      float sum = 0, products = 0;
#pragma unroll 4
      for (long long pixel = slab.begin + threadIdx.y; pixel < slab.end; pixel += blockDim.y) {
        const long long place = first_of_image + pixel * arguments.channels + channel;
        const float normalized = gradient.Normalized(arguments.inputs[place]);
        const float of_z = gradient.OfZ(normalized, arguments.upstream[place]);
        sum += of_z;
        products += of_z * normalized;
      }
      shared[0][thread] = sum;
      shared[1][thread] = products;
    }
    __syncthreads();
    if (channel < arguments.channels && threadIdx.y == 0) {
      double sums[2] = {};
      for (unsigned y = 0; y < blockDim.y; ++y) {
        sums[0] += shared[0][y * blockDim.x + threadIdx.x];
        sums[1] += shared[1][y * blockDim.x + threadIdx.x];
      }
      double* result = slab.Result(arguments, channel);
      result[0] = sums[0];
      result[1] = sums[1];
    }
    __syncthreads();
  }
}

// For each image and channel: both numbers, summed over the slabs. Block: x over channels, y over slabs. Grid: x over
// images, y over channels.
extern "C" __global__ void __launch_bounds__(kNormThreads)
    rethink_fr_norm_gradient_channels(const GroupNormArguments arguments) {
  __shared__ double shared[2][kNormThreads];
  const int channel = blockIdx.y * blockDim.x + threadIdx.x;
  const long long image = blockIdx.x;
  const int thread = threadIdx.x + threadIdx.y * blockDim.x;
  double sums[2] = {};
  if (channel < arguments.channels) {
    for (long long slab = threadIdx.y; slab < arguments.slabs; slab += blockDim.y) {
      const double* part = arguments.of_slabs + ((image * arguments.slabs + slab) * arguments.channels + channel) * 2;
      sums[0] += part[0];
      sums[1] += part[1];
    }
  }
  shared[0][thread] = sums[0];
  shared[1][thread] = sums[1];
  __syncthreads();
  if (threadIdx.y != 0 || channel >= arguments.channels) return;
  for (unsigned y = 1; y < blockDim.y; ++y) {
    sums[0] += shared[0][y * blockDim.x + threadIdx.x];
    sums[1] += shared[1][y * blockDim.x + threadIdx.x];
  }
  double* result = arguments.of_channels + (image * arguments.channels + channel) * 2;
  result[0] = sums[0];
  result[1] = sums[1];
}

// For each image and group, which has a block of its own: the means over the group of gamma times both numbers.
extern "C" __global__ void __launch_bounds__(kNormThreads)
    rethink_fr_norm_gradient_groups(const GroupNormArguments arguments) {
  const int image = blockIdx.x / arguments.groups, group = blockIdx.x % arguments.groups;
  const int channels = arguments.channels / arguments.groups;
  const double* of_channels =
      arguments.of_channels + (static_cast<long long>(image) * arguments.channels + group * channels) * 2;
  double sums[2] = {};
  for (int i = threadIdx.x; i < channels; i += blockDim.x) {
    const double gamma = arguments.gamma[group * channels + i];
    sums[0] += gamma * of_channels[i * 2];
    sums[1] += gamma * of_channels[i * 2 + 1];
  }
  SumOverBlock(sums);
  if (threadIdx.x != 0) return;
  const double count = static_cast<double>(arguments.pixels) * channels;
  arguments.of_groups[blockIdx.x * 2LL] = sums[0] / count;
  arguments.of_groups[blockIdx.x * 2LL + 1] = sums[1] / count;
}

// The gradients of beta and gamma: both numbers, summed over the images. One thread for each channel.
extern "C" __global__ void __launch_bounds__(kNormThreads)
    rethink_fr_norm_gradient_parameters(const GroupNormArguments arguments) {
  const int channel = blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= arguments.channels) return;
  double sums[2] = {};
  for (long long image = 0; image < arguments.batch; ++image) {
    sums[0] += arguments.of_channels[(image * arguments.channels + channel) * 2];
    sums[1] += arguments.of_channels[(image * arguments.channels + channel) * 2 + 1];
  }
  arguments.of_beta[channel] = static_cast<float>(sums[0]);
  arguments.of_gamma[channel] = static_cast<float>(sums[1]);
}

// The gradient with respect to the inputs. Let g be gamma times the gradient with respect to z; the means are over the
// group:  (g - mean(g) - normalized * mean(g * normalized)) * inverse_deviation.
extern "C" __global__ void __launch_bounds__(kNormThreads)
    rethink_fr_norm_gradient_apply(const GroupNormArguments arguments) {
  const NormSlab slab(arguments);
  const int channels_of_group = arguments.channels / arguments.groups;
  const long long first_of_image = slab.image * arguments.pixels * arguments.channels;
  for (int channel = threadIdx.x; channel < arguments.channels; channel += blockDim.x) {
    const NormGradient gradient(arguments, slab.image, channel);
    const double* of_group =
        arguments.of_groups + (static_cast<long long>(slab.image) * arguments.groups + channel / channels_of_group) * 2;
    const float mean_of_z = static_cast<float>(of_group[0]), mean_of_product = static_cast<float>(of_group[1]);
#pragma unroll 4
    for (long long pixel = slab.begin + threadIdx.y; pixel < slab.end; pixel += blockDim.y) {
      const long long place = first_of_image + pixel * arguments.channels + channel;
      const float normalized = gradient.Normalized(arguments.inputs[place]);
      const float of_normalized = gradient.gamma * gradient.OfZ(normalized, arguments.upstream[place]);
      arguments.outputs[place] =
          gradient.inverse_deviation * (of_normalized - mean_of_z - normalized * mean_of_product);
    }
  }
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_KERNELS_H_
