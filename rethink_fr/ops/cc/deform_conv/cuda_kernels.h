// The CUDA kernels of the deformable convolution: the sampling, which writes the columns, and its gradient. The
// products with the filters are those of cuda/gemm_kernels.h. No TensorFlow and no standard library, as in all files
// that NVRTC compiles.
//
// Zhu et al. 2019 (arXiv:1811.11168), Eq. 1, written from the equations; float32. Consecutive threads take consecutive
// channels, the innermost axis in memory, so a warp reads whole cache lines wherever the offsets lead.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_KERNELS_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_KERNELS_H_

#include "deform_conv/cuda_arguments.h"

namespace rethink_fr {

template <int kWidth>
struct alignas(kWidth * sizeof(float)) Channels {
  float value[kWidth];
};

// An output pixel and the image that it belongs to.
struct OutputPixel {
  long long image;  // where the image starts in the inputs
  long long index;  // the pixel's number in the batch
  int row, column;
};

// Pixel number `pixel` of the run.
__device__ __forceinline__ OutputPixel LocatePixel(const ColumnArguments& arguments, unsigned pixel) {
  const DeformConvShape& shape = arguments.shape;
  const unsigned row = arguments.first_row + pixel / shape.out_width;
  OutputPixel result;
  result.column = pixel % shape.out_width;
  result.row = row % shape.out_height;
  result.image = static_cast<long long>(arguments.first_image + row / shape.out_height) * shape.height * shape.width *
                 shape.channels;
  result.index = arguments.first_pixel + pixel;
  return result;
}

// Where a tap samples: the input pixel above and to the left, which may be outside the image, and how far down and to
// the right of it the sample is.
struct SamplePlace {
  bool inside;
  int top, left;
  float down, right;
  bool corner[4];  // whether it is inside the image: above left, above right, below left, below right

  __device__ __forceinline__ float Weight(int corner_index) const {
    return (corner_index / 2 ? down : 1 - down) * (corner_index % 2 ? right : 1 - right);
  }
};

__device__ __forceinline__ SamplePlace PlaceSample(const DeformConvShape& shape, const OutputPixel& pixel, int tap_row,
                                                   int tap_column, float offset_y, float offset_x) {
  const float y = static_cast<float>(pixel.row * shape.stride_y - shape.padding_y + tap_row * shape.dilation_y) + offset_y;
  const float x =
      static_cast<float>(pixel.column * shape.stride_x - shape.padding_x + tap_column * shape.dilation_x) + offset_x;
  SamplePlace place = {};
  // A comparison with NaN is false: a sample with such an offset counts as outside, as an infinite one does.
  place.inside = y > -1 && x > -1 && y < static_cast<float>(shape.height) && x < static_cast<float>(shape.width);
  if (!place.inside) return place;
  const float top = floorf(y), left = floorf(x);
  place.down = y - top;
  place.right = x - left;
  place.top = static_cast<int>(top);
  place.left = static_cast<int>(left);
  // A float does not hold sizes beyond 2^24 exactly, so each corner is checked at both ends of the image.
  const bool above = place.top >= 0 && place.top < shape.height, below = place.top + 1 < shape.height;
  const bool before = place.left >= 0 && place.left < shape.width, after = place.left + 1 < shape.width;
  place.corner[0] = above && before;
  place.corner[1] = above && after;
  place.corner[2] = below && before;
  place.corner[3] = below && after;
  return place;
}

// Where a corner's first channel is in its image.
__device__ __forceinline__ long long CornerIndex(const DeformConvShape& shape, const SamplePlace& place, int corner) {
  return ((place.top + corner / 2) * static_cast<long long>(shape.width) + place.left + corner % 2) * shape.channels;
}

// Where a sample is in the columns `[groups, pixels, taps, channels / groups]`, which are one matrix for each group.
__device__ __forceinline__ long long ColumnIndex(const ColumnArguments& arguments, unsigned pixel, int tap, int channel) {
  const DeformConvShape& shape = arguments.shape;
  const int taps = shape.kernel_height * shape.kernel_width;
  if (shape.groups == 1) return (static_cast<long long>(pixel) * taps + tap) * shape.channels + channel;
  const int channels = shape.channels / shape.groups;
  const long long line = static_cast<long long>(channel / channels) * arguments.pixels + pixel;
  return (line * taps + tap) * channels + channel % channels;
}

// Writes the columns of a run. Block: x over channels, kWidth at a time; y over pixels. Grid: x over pixels.
template <int kWidth>
__device__ __forceinline__ void SampleColumns(const ColumnArguments& arguments) {
  const DeformConvShape& shape = arguments.shape;
  const unsigned pixel = blockIdx.x * blockDim.y + threadIdx.y;
  if (pixel >= static_cast<unsigned>(arguments.pixels)) return;
  const OutputPixel output = LocatePixel(arguments, pixel);
  const float* image = arguments.inputs + output.image;
  const int taps = shape.kernel_height * shape.kernel_width;
  const int channels_sharing_offsets = shape.channels / shape.deformable_groups;

  for (int channel = threadIdx.x * kWidth; channel < shape.channels; channel += blockDim.x * kWidth) {
    const long long first_sample =
        (output.index * shape.deformable_groups + channel / channels_sharing_offsets) * taps;
    int tap = 0;
    for (int tap_row = 0; tap_row < shape.kernel_height; ++tap_row) {
      for (int tap_column = 0; tap_column < shape.kernel_width; ++tap_column, ++tap) {
        const float* offset = arguments.offsets + (first_sample + tap) * 2;
        const SamplePlace place = PlaceSample(shape, output, tap_row, tap_column, offset[0], offset[1]);
        Channels<kWidth> sample = {};
        if (place.inside) {
#pragma unroll
          for (int corner = 0; corner < 4; ++corner) {
            // A corner outside is left out. Any value times zero is not the same: it might be an infinity.
            if (!place.corner[corner]) continue;
            const Channels<kWidth> values = *reinterpret_cast<const Channels<kWidth>*>(
                image + CornerIndex(shape, place, corner) + channel);
            const float weight = place.Weight(corner);
#pragma unroll
            for (int i = 0; i < kWidth; ++i) sample.value[i] += values.value[i] * weight;
          }
          const float mask = arguments.mask[first_sample + tap];
#pragma unroll
          for (int i = 0; i < kWidth; ++i) sample.value[i] *= mask;
        }
        *reinterpret_cast<Channels<kWidth>*>(arguments.columns + ColumnIndex(arguments, pixel, tap, channel)) = sample;
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(256) rethink_fr_sample_columns(const ColumnArguments arguments) {
  SampleColumns<1>(arguments);
}

extern "C" __global__ void __launch_bounds__(256) rethink_fr_sample_columns_4(const ColumnArguments arguments) {
  SampleColumns<4>(arguments);
}

// From the gradient of the columns to those of inputs, offsets and mask.
//
// Block: x, a power of two up to 32, over the channels that share an offset; y over the samples of a pixel; z = 32 / x
// over pixels. The threads of one x are part of one warp, which sums over the channels in a fixed order. The gradient
// of the inputs is added with atomics, whose order varies, and with it the last bits of the result.
extern "C" __global__ void __launch_bounds__(512) rethink_fr_sampling_gradient(const ColumnArguments arguments) {
  const DeformConvShape& shape = arguments.shape;
  const int taps = shape.kernel_height * shape.kernel_width;
  const int channels_sharing_offsets = shape.channels / shape.deformable_groups;
  const int samples = shape.deformable_groups * taps;
  const unsigned pixel = blockIdx.x * blockDim.z + threadIdx.z;
  const bool has_pixel = pixel < static_cast<unsigned>(arguments.pixels);
  const OutputPixel output = LocatePixel(arguments, has_pixel ? pixel : 0);
  const float* image = arguments.inputs + output.image;
  float* of_image = arguments.of_inputs + output.image;

  // No thread leaves early, because all threads of a warp must take part in its sums.
  for (int first = 0; first < samples; first += blockDim.y) {
    const int sample = first + threadIdx.y;
    const bool active = has_pixel && sample < samples;
    const long long index = output.index * samples + sample;
    float of_mask = 0, of_y = 0, of_x = 0;
    if (active) {
      const int tap = sample % taps, group = sample / taps;
      const SamplePlace place =
          PlaceSample(shape, output, tap / shape.kernel_width, tap % shape.kernel_width, arguments.offsets[index * 2],
                      arguments.offsets[index * 2 + 1]);
      if (place.inside) {
        const float mask = arguments.mask[index];
        const int end = (group + 1) * channels_sharing_offsets;
        for (int channel = group * channels_sharing_offsets + threadIdx.x; channel < end; channel += blockDim.x) {
          const float of_column = arguments.columns[ColumnIndex(arguments, pixel, tap, channel)];
          const float of_sample = of_column * mask;
          float value[4] = {};
          float interpolated = 0;
#pragma unroll
          for (int corner = 0; corner < 4; ++corner) {
            if (!place.corner[corner]) continue;
            const long long corner_index = CornerIndex(shape, place, corner) + channel;
            const float weight = place.Weight(corner);
            value[corner] = image[corner_index];
            interpolated += value[corner] * weight;
            atomicAdd(of_image + corner_index, of_sample * weight);
          }
          of_mask += of_column * interpolated;
          of_y += of_sample * ((1 - place.right) * (value[2] - value[0]) + place.right * (value[3] - value[1]));
          of_x += of_sample * ((1 - place.down) * (value[1] - value[0]) + place.down * (value[3] - value[2]));
        }
      }
    }
    for (int distance = blockDim.x / 2; distance > 0; distance /= 2) {
      of_mask += __shfl_xor_sync(0xffffffffu, of_mask, distance);
      of_y += __shfl_xor_sync(0xffffffffu, of_y, distance);
      of_x += __shfl_xor_sync(0xffffffffu, of_x, distance);
    }
    if (active && threadIdx.x == 0) {
      arguments.of_mask[index] = of_mask;
      arguments.of_offsets[index * 2] = of_y;
      arguments.of_offsets[index * 2 + 1] = of_x;
    }
  }
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_KERNELS_H_
