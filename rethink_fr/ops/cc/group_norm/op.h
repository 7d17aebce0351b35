// Group normalization with swish, and its gradient, as TensorFlow sees them: names, inputs, outputs and attributes, and
// the checks that CPU and GPU share.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_

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

// Checks that inputs, gamma and beta, of either operator, fit together and fall in `groups` groups.
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

// The same for the gradient, whose other inputs are mean, inverse deviation and the upstream gradient.
inline Status CheckGroupNormGradient(OpKernelContext* ctx, int groups) {
  TF_RETURN_IF_ERROR(CheckGroupNorm(ctx, groups));
  const TensorShape& inputs = ctx->input(0).shape();
  const TensorShape statistics({inputs.dim_size(0), groups});
  if (ctx->input(3).shape() == statistics && ctx->input(4).shape() == statistics && ctx->input(5).shape() == inputs) {
    return tensorflow::OkStatus();
  }
  return tensorflow::errors::InvalidArgument("group_norm_swish: statistics or upstream gradient do not fit");
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_OP_H_
