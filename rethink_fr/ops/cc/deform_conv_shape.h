// The integers of a modulated deformable convolution. No TensorFlow and no standard library: kernels for the CPU and for
// CUDA, and the standalone tests, all include this.
//
// Layouts, innermost last:
//   inputs   [batch, height, width, channels]
//   offsets  [batch, out_height, out_width, deformable_groups, taps, 2]   (dy, dx), pixels
//   mask     [batch, out_height, out_width, deformable_groups, taps]
//   filters  [taps, channels / groups, filters]
//   outputs  [batch, out_height, out_width, filters]
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_SHAPE_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_SHAPE_H_

namespace rethink_fr {

struct DeformConvShape {
  int batch, height, width, channels;
  int out_height, out_width, filters;
  int kernel_height, kernel_width;
  int stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
  int groups;             // of the convolution: filters see channels / groups channels
  int deformable_groups;  // of channels that share offsets and mask
};

// What the gradient reads and writes.
struct DeformConvTensors {
  const float *inputs, *offsets, *mask, *filters, *upstream;
  float *of_inputs, *of_offsets, *of_mask, *of_filters;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_SHAPE_H_
