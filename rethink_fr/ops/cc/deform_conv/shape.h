// The sizes of a modulated deformable convolution, and pointers to its tensors.
//
// The kernels for the CPU, those for CUDA and the standalone tests all include this file. It therefore uses neither
// TensorFlow nor the standard library.
//
// Words used throughout this folder:
//   tap         one of the kernel_height * kernel_width positions of the convolution's kernel
//   group       of channels, as in any grouped convolution: a filter sees the channels of one group only
//   deformable group   of channels that share one set of offsets and masks
//   entry       one (deformable group, tap) of an output pixel: it has one offset (dy, dx) and one mask
//
// Layouts of the tensors, innermost axis last:
//   inputs   [batch, height, width, channels]
//   offsets  [batch, out_height, out_width, deformable_groups, taps, 2]   (dy, dx) in pixels
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
  int groups;
  int deformable_groups;
};

// What the gradient reads, and what it writes: `of_x` is the gradient of the loss with respect to x. `upstream` is the
// gradient with respect to the outputs.
struct DeformConvTensors {
  const float *inputs, *offsets, *mask, *filters, *upstream;
  float *of_inputs, *of_offsets, *of_mask, *of_filters;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_SHAPE_H_
