// Group normalization with swish, and its gradient, as TensorFlow sees them: names, inputs, outputs, attributes and
// checks. Each device computes the results in `Run`.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_

#include "group_norm/tensors.h"
#include "tensorflow_op.h"

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

// What CPU and GPU share of both operators: the attributes, and the checks of the inputs.
class GroupNormOp : public OpKernel {
 public:
  explicit GroupNormOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
  }

 protected:
  // Checks that inputs, gamma and beta fit together, and sets them and the sizes in `tensors`.
  Status ReadInputs(OpKernelContext* ctx, GroupNormTensors* tensors) const {
    const TensorShape &inputs = ctx->input(0).shape(), &gamma = ctx->input(1).shape(), &beta = ctx->input(2).shape();
    const bool right = inputs.dims() == 4 && groups_ > 0 && inputs.dim_size(3) % groups_ == 0 &&
                       inputs.dim_size(3) > 0 && gamma == TensorShape({inputs.dim_size(3)}) &&
                       beta == TensorShape({inputs.dim_size(3)});
    if (!right) {
      return tensorflow::errors::InvalidArgument("group_norm_swish: inputs ", inputs.DebugString(), ", gamma ",
                                                 gamma.DebugString(), ", beta ", beta.DebugString(), " and ", groups_,
                                                 " groups do not fit");
    }
    *tensors = {};
    tensors->batch = static_cast<int>(inputs.dim_size(0));
    tensors->pixels = inputs.dim_size(1) * inputs.dim_size(2);
    tensors->channels = static_cast<int>(inputs.dim_size(3));
    tensors->groups = groups_;
    tensors->inputs = InputFloats(ctx, 0);
    tensors->gamma = InputFloats(ctx, 1);
    tensors->beta = InputFloats(ctx, 2);
    return tensorflow::OkStatus();
  }

  int groups_ = 0;
};

class GroupNormSwishOp : public GroupNormOp {
 public:
  explicit GroupNormSwishOp(OpKernelConstruction* ctx) : GroupNormOp(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("epsilon", &epsilon_));
  }

  void Compute(OpKernelContext* ctx) final {
    GroupNormTensors tensors;
    OP_REQUIRES_OK(ctx, ReadInputs(ctx, &tensors));
    tensors.epsilon = epsilon_;
    const TensorShape statistics({tensors.batch, groups_});
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, ctx->input(0).shape(), &tensors.outputs));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 1, statistics, &tensors.mean));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 2, statistics, &tensors.inverse_deviation));
    if (tensors.batch > 0) Run(ctx, tensors);
  }

 private:
  virtual void Run(OpKernelContext* ctx, const GroupNormTensors& tensors) const = 0;

  float epsilon_ = 0;
};

class GroupNormSwishGradOp : public GroupNormOp {
 public:
  using GroupNormOp::GroupNormOp;

  void Compute(OpKernelContext* ctx) final {
    GroupNormTensors tensors;
    OP_REQUIRES_OK(ctx, ReadInputs(ctx, &tensors));
    const TensorShape statistics({tensors.batch, groups_});
    OP_REQUIRES(ctx,
                ctx->input(3).shape() == statistics && ctx->input(4).shape() == statistics &&
                    ctx->input(5).shape() == ctx->input(0).shape(),
                tensorflow::errors::InvalidArgument("group_norm_swish: statistics or upstream gradient do not fit"));
    // These two are not const in the structure, because the forward pass writes them. Here they are only read.
    tensors.mean = const_cast<float*>(InputFloats(ctx, 3));
    tensors.inverse_deviation = const_cast<float*>(InputFloats(ctx, 4));
    tensors.upstream = InputFloats(ctx, 5);
    float** gradients[] = {&tensors.outputs, &tensors.of_gamma, &tensors.of_beta};
    for (int i = 0; i < 3; ++i) OP_REQUIRES_OK(ctx, OutputFloats(ctx, i, ctx->input(i).shape(), gradients[i]));
    Run(ctx, tensors);
  }

 private:
  virtual void Run(OpKernelContext* ctx, const GroupNormTensors& tensors) const = 0;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_
