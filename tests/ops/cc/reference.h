// Deformable convolution and group normalization as plain loops in double. The kernels are compared with these.
#ifndef RETHINK_FR_TESTS_OPS_CC_REFERENCE_H_
#define RETHINK_FR_TESTS_OPS_CC_REFERENCE_H_

#include <cmath>
#include <vector>

#include "deform_conv/shape.h"

namespace reference {

using Values = std::vector<double>;
using Floats = std::vector<float>;

struct DeformConv {
  Floats inputs, offsets, mask, filters, upstream;
};
struct DeformConvResult {
  Values outputs, of_inputs, of_offsets, of_mask, of_filters;
};

// The pixels around the place y, x that are inside the image, with their bilinear weights and the weights' derivatives.
struct Corner {
  long long index;  // the pixel's number in the image
  double weight, by_y, by_x;
};
inline std::vector<Corner> Corners(double y, double x, int height, int width) {
  std::vector<Corner> corners;
  if (!(y > -1 && y < height && x > -1 && x < width)) return corners;
  const double top = std::floor(y), left = std::floor(x);
  for (int down = 0; down < 2; ++down) {
    for (int right = 0; right < 2; ++right) {
      const double row = top + down, column = left + right;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      const double weight_y = 1 - std::fabs(y - row), weight_x = 1 - std::fabs(x - column);
      corners.push_back({static_cast<long long>(row * width + column), weight_y * weight_x,
                         (down ? 1 : -1) * weight_x, (right ? 1 : -1) * weight_y});
    }
  }
  return corners;
}

// Everything in one walk over outputs, taps and channels. An output is a sum of products of weight, mask and sample;
// the gradients follow from it by the product rule.
inline DeformConvResult Run(const rethink_fr::DeformConvShape& s, const DeformConv& tensors) {
  const int taps = s.kernel_height * s.kernel_width, per_group = s.channels / s.groups;
  const int sharing = s.channels / s.deformable_groups, filters_per_group = s.filters / s.groups;
  DeformConvResult result;
  result.outputs.assign(static_cast<std::size_t>(s.batch) * s.out_height * s.out_width * s.filters, 0);
  result.of_inputs.assign(tensors.inputs.size(), 0);
  result.of_offsets.assign(tensors.offsets.size(), 0);
  result.of_mask.assign(tensors.mask.size(), 0);
  result.of_filters.assign(tensors.filters.size(), 0);
  long long pixel = 0;
  for (int image = 0; image < s.batch; ++image) {
    for (int row = 0; row < s.out_height; ++row) {
      for (int column = 0; column < s.out_width; ++column, ++pixel) {
        for (int deformable = 0; deformable < s.deformable_groups; ++deformable) {
          for (int tap = 0; tap < taps; ++tap) {
            const long long sample = (pixel * s.deformable_groups + deformable) * taps + tap;
            // This sum is defined in float: its rounding decides on which side of a pixel a sample falls.
            const float y = static_cast<float>(row * s.stride_y - s.padding_y + tap / s.kernel_width * s.dilation_y) +
                            tensors.offsets[sample * 2];
            const float x = static_cast<float>(column * s.stride_x - s.padding_x + tap % s.kernel_width * s.dilation_x) +
                            tensors.offsets[sample * 2 + 1];
            const std::vector<Corner> corners = Corners(y, x, s.height, s.width);
            if (corners.empty()) continue;
            const double mask = tensors.mask[sample];
            for (int channel = deformable * sharing; channel < (deformable + 1) * sharing; ++channel) {
              const long long image_start = static_cast<long long>(image) * s.height * s.width * s.channels + channel;
              double value = 0, by_y = 0, by_x = 0;
              for (const Corner& corner : corners) {
                const double input = tensors.inputs[image_start + corner.index * s.channels];
                value += corner.weight * input;
                by_y += corner.by_y * input;
                by_x += corner.by_x * input;
              }
              const int group = channel / per_group;
              double of_column = 0;
              for (int filter = group * filters_per_group; filter < (group + 1) * filters_per_group; ++filter) {
                const long long weight = (static_cast<long long>(tap) * per_group + channel % per_group) * s.filters + filter;
                const double upstream = tensors.upstream[pixel * s.filters + filter];
                result.outputs[pixel * s.filters + filter] += tensors.filters[weight] * mask * value;
                result.of_filters[weight] += upstream * mask * value;
                of_column += upstream * tensors.filters[weight];
              }
              result.of_mask[sample] += of_column * value;
              result.of_offsets[sample * 2] += of_column * mask * by_y;
              result.of_offsets[sample * 2 + 1] += of_column * mask * by_x;
              for (const Corner& corner : corners) {
                result.of_inputs[image_start + corner.index * s.channels] += of_column * mask * corner.weight;
              }
            }
          }
        }
      }
    }
  }
  return result;
}

struct GroupNormCase {
  const char* name;
  int batch, pixels, channels, groups;
  double mean, deviation;  // of the inputs
};
struct GroupNorm {
  Floats inputs, gamma, beta, upstream;
};
struct GroupNormResult {
  Values outputs, mean, inverse_deviation, of_inputs, of_gamma, of_beta;
};

inline GroupNormResult Run(const GroupNormCase& c, double epsilon, const GroupNorm& tensors) {
  GroupNormResult result;
  result.outputs.assign(tensors.inputs.size(), 0);
  result.of_inputs.assign(tensors.inputs.size(), 0);
  result.of_gamma.assign(c.channels, 0);
  result.of_beta.assign(c.channels, 0);
  const int channels = c.channels / c.groups;
  const double count = static_cast<double>(c.pixels) * channels;
  for (int image = 0; image < c.batch; ++image) {
    for (int group = 0; group < c.groups; ++group) {
      // Calls `visit(place, channel)` for all elements of the group.
      const auto walk = [&](const auto& visit) {
        for (int pixel = 0; pixel < c.pixels; ++pixel) {
          for (int channel = group * channels; channel < (group + 1) * channels; ++channel) {
            visit((static_cast<long long>(image) * c.pixels + pixel) * c.channels + channel, channel);
          }
        }
      };
      double mean = 0, variance = 0;
      walk([&](long long place, int) { mean += tensors.inputs[place] / count; });
      walk([&](long long place, int) { variance += std::pow(tensors.inputs[place] - mean, 2) / count; });
      const double inverse = 1 / std::sqrt(variance + epsilon);
      result.mean.push_back(mean);
      result.inverse_deviation.push_back(inverse);
      const auto normalized = [&](long long place) { return (tensors.inputs[place] - mean) * inverse; };
      const auto z = [&](long long place, int channel) {
        return normalized(place) * tensors.gamma[channel] + tensors.beta[channel];
      };
      // The gradient with respect to z: upstream times the derivative of z / (1 + exp(-z)).
      const auto of_z = [&](long long place, int channel) {
        const double value = z(place, channel), sigmoid = 1 / (1 + std::exp(-value));
        return tensors.upstream[place] * (sigmoid + value * sigmoid * (1 - sigmoid));
      };
      double sum = 0, product = 0;
      walk([&](long long place, int channel) {
        result.outputs[place] = z(place, channel) / (1 + std::exp(-z(place, channel)));
        result.of_beta[channel] += of_z(place, channel);
        result.of_gamma[channel] += of_z(place, channel) * normalized(place);
        sum += of_z(place, channel) * tensors.gamma[channel] / count;
        product += of_z(place, channel) * tensors.gamma[channel] * normalized(place) / count;
      });
      walk([&](long long place, int channel) {
        result.of_inputs[place] =
            inverse * (of_z(place, channel) * tensors.gamma[channel] - sum - normalized(place) * product);
      });
    }
  }
  return result;
}

}  // namespace reference

#endif  // RETHINK_FR_TESTS_OPS_CC_REFERENCE_H_
