// The deformable convolution and its gradient as TensorFlow sees them: names, inputs, outputs, attributes and checks.
// Each device computes the results in `Run`.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_OP_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_OP_H_

#include <limits>
#include <vector>

#include "deform_conv/shape.h"
#include "tensorflow_op.h"

namespace rethink_fr {

REGISTER_OP("RethinkFr>DeformConv2d")
    .Input("inputs: float")
    .Input("offsets: float")
    .Input("mask: float")
    .Input("filters: float")
    .Attr("strides: list(int)")
    .Attr("padding: list(int)")
    .Attr("dilations: list(int)")
    .Attr("deformable_groups: int")
    .Output("outputs: float")
    .SetShapeFn([](InferenceContext* c) {
      tensorflow::shape_inference::ShapeHandle offsets, filters;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 4, &offsets));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 4, &filters));
      c->set_output(0, c->MakeShape({c->Dim(offsets, 0), c->Dim(offsets, 1), c->Dim(offsets, 2), c->Dim(filters, 3)}));
      return tensorflow::OkStatus();
    });

REGISTER_OP("RethinkFr>DeformConv2dGrad")
    .Input("inputs: float")
    .Input("offsets: float")
    .Input("mask: float")
    .Input("filters: float")
    .Input("upstream: float")
    .Attr("strides: list(int)")
    .Attr("padding: list(int)")
    .Attr("dilations: list(int)")
    .Attr("deformable_groups: int")
    .Output("of_inputs: float")
    .Output("of_offsets: float")
    .Output("of_mask: float")
    .Output("of_filters: float")
    .SetShapeFn([](InferenceContext* c) {
      for (int i = 0; i < 4; ++i) c->set_output(i, c->input(i));
      return tensorflow::OkStatus();
    });

// The attributes of either operator. Together with the shapes of its inputs they give the DeformConvShape.
class DeformConvAttributes {
 public:
  explicit DeformConvAttributes(OpKernelConstruction* ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("padding", &padding_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("dilations", &dilations_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("deformable_groups", &deformable_groups_));
    OP_REQUIRES(ctx, strides_.size() == 2 && padding_.size() == 2 && dilations_.size() == 2,
                tensorflow::errors::InvalidArgument("strides, padding and dilations are (row, column) pairs"));
    OP_REQUIRES(ctx,
                strides_[0] > 0 && strides_[1] > 0 && padding_[0] >= 0 && padding_[1] >= 0 && dilations_[0] > 0 &&
                    dilations_[1] > 0 && deformable_groups_ > 0,
                tensorflow::errors::InvalidArgument("a stride, dilation or number of groups below 1"));
  }

  // Checks that inputs, offsets, mask and filters fit together, and fills `shape`.
  Status Shape(OpKernelContext* ctx, DeformConvShape* shape) const {
    const TensorShape &inputs = ctx->input(0).shape(), &offsets = ctx->input(1).shape(), &mask = ctx->input(2).shape(),
                      &filters = ctx->input(3).shape();
    for (int i = 0; i < 4; ++i) {
      if (ctx->input(i).dims() != 4) return Wrong("input ", i, " has shape ", ctx->input(i).shape().DebugString());
    }
    if (inputs.dim_size(1) * inputs.dim_size(2) * inputs.dim_size(3) > std::numeric_limits<int>::max() / 2) {
      return Wrong("one image of inputs ", inputs.DebugString(), " has more than 2^30 values");
    }
    DeformConvShape& s = *shape;
    s.batch = inputs.dim_size(0), s.height = inputs.dim_size(1), s.width = inputs.dim_size(2);
    s.channels = inputs.dim_size(3), s.filters = filters.dim_size(3);
    s.kernel_height = filters.dim_size(0), s.kernel_width = filters.dim_size(1);
    s.stride_y = strides_[0], s.stride_x = strides_[1], s.padding_y = padding_[0], s.padding_x = padding_[1];
    s.dilation_y = dilations_[0], s.dilation_x = dilations_[1], s.deformable_groups = deformable_groups_;
    s.out_height = offsets.dim_size(1), s.out_width = offsets.dim_size(2);
    const int per_group = filters.dim_size(2), taps = s.kernel_height * s.kernel_width;
    if (taps == 0 || per_group == 0 || s.filters == 0 || s.channels % per_group != 0) {
      return Wrong("filters ", filters.DebugString(), " do not fit inputs ", inputs.DebugString());
    }
    s.groups = s.channels / per_group;
    if (s.groups == 0 || s.filters % s.groups != 0 || s.channels % s.deformable_groups != 0) {
      return Wrong("inputs ", inputs.DebugString(), " and filters ", filters.DebugString(),
                   " do not fall in equal groups");
    }
    const TensorShape taken({s.batch, OutputSize(s.height, s.kernel_height, 0), OutputSize(s.width, s.kernel_width, 1),
                             s.deformable_groups * taps});
    TensorShape doubled = taken;
    doubled.set_dim(3, 2 * taken.dim_size(3));
    if (offsets != doubled) return Wrong("offsets are ", offsets.DebugString(), ", expected ", doubled.DebugString());
    if (mask != taken) return Wrong("mask is ", mask.DebugString(), ", expected ", taken.DebugString());
    return tensorflow::OkStatus();
  }

  static TensorShape OutputShape(const DeformConvShape& s) {
    return TensorShape({s.batch, s.out_height, s.out_width, s.filters});
  }

  template <typename... Parts>
  static Status Wrong(Parts... parts) {
    return tensorflow::errors::InvalidArgument("deform_conv2d: ", parts...);
  }

 private:
  int OutputSize(int size, int kernel, int axis) const {
    const int room = size + 2 * padding_[axis] - dilations_[axis] * (kernel - 1) - 1;
    return room < 0 ? 0 : room / strides_[axis] + 1;
  }

  std::vector<tensorflow::int32> strides_, padding_, dilations_;
  tensorflow::int32 deformable_groups_ = 0;
};

class DeformConv2dOp : public OpKernel {
 public:
  explicit DeformConv2dOp(OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(OpKernelContext* ctx) final {
    DeformConvShape shape;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &shape));
    DeformConvTensors tensors = {};
    const float** inputs[] = {&tensors.inputs, &tensors.offsets, &tensors.mask, &tensors.filters};
    for (int i = 0; i < 4; ++i) *inputs[i] = InputFloats(ctx, i);
    float* outputs = nullptr;
    const TensorShape size = DeformConvAttributes::OutputShape(shape);
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, size, &outputs));
    if (size.num_elements() > 0) Run(ctx, shape, tensors, outputs);
  }

 private:
  virtual void Run(OpKernelContext* ctx, const DeformConvShape& shape, const DeformConvTensors& tensors,
                   float* outputs) const = 0;

  DeformConvAttributes attributes_;
};

class DeformConv2dGradOp : public OpKernel {
 public:
  explicit DeformConv2dGradOp(OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(OpKernelContext* ctx) final {
    DeformConvShape shape;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &shape));
    const TensorShape &upstream = ctx->input(4).shape(), expected = DeformConvAttributes::OutputShape(shape);
    OP_REQUIRES(ctx, upstream == expected,
                DeformConvAttributes::Wrong("upstream gradient is ", upstream.DebugString(), ", expected ",
                                            expected.DebugString()));
    DeformConvTensors tensors = {};
    const float** inputs[] = {&tensors.inputs, &tensors.offsets, &tensors.mask, &tensors.filters, &tensors.upstream};
    for (int i = 0; i < 5; ++i) *inputs[i] = InputFloats(ctx, i);
    float** gradients[] = {&tensors.of_inputs, &tensors.of_offsets, &tensors.of_mask, &tensors.of_filters};
    for (int i = 0; i < 4; ++i) OP_REQUIRES_OK(ctx, OutputFloats(ctx, i, ctx->input(i).shape(), gradients[i]));
    Run(ctx, shape, tensors);
  }

 private:
  virtual void Run(OpKernelContext* ctx, const DeformConvShape& shape, const DeformConvTensors& tensors) const = 0;

  DeformConvAttributes attributes_;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_OP_H_
