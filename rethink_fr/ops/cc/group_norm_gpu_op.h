// The operators of group normalization with swish on a GPU; as deform_conv_gpu_op.h.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_GPU_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_GPU_OP_H_

#include "gpu_op_device.h"
#include "group_norm_launch.h"
#include "group_norm_op.h"

namespace rethink_fr {

// Sizes and the three inputs that both operators have.
inline GroupNormArguments ParseGroupNorm(tensorflow::OpKernelContext* ctx, int groups) {
  const tensorflow::TensorShape& size = ctx->input(0).shape();
  GroupNormArguments arguments = {};
  arguments.batch = static_cast<int>(size.dim_size(0));
  arguments.pixels = size.dim_size(1) * size.dim_size(2);
  arguments.channels = static_cast<int>(size.dim_size(3));
  arguments.groups = groups;
  arguments.inputs = InputFloats(ctx, 0);
  arguments.gamma = InputFloats(ctx, 1);
  arguments.beta = InputFloats(ctx, 2);
  return arguments;
}

class GroupNormSwishGpu : public tensorflow::OpKernel {
 public:
  explicit GroupNormSwishGpu(tensorflow::OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("epsilon", &epsilon_));
  }

  void Compute(tensorflow::OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNorm(ctx, groups_));
    GroupNormArguments arguments = ParseGroupNorm(ctx, groups_);
    arguments.epsilon = epsilon_;
    const tensorflow::TensorShape statistics({arguments.batch, groups_});
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, ctx->input(0).shape(), &arguments.outputs));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 1, statistics, &arguments.mean));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 2, statistics, &arguments.inverse_deviation));
    if (arguments.batch == 0) return;
    GpuOpDevice device(ctx);
    LaunchGroupNorm(device, arguments);
    OP_REQUIRES_OK(ctx, device.Finish("group_norm_swish"));
  }

 private:
  int groups_ = 0;
  float epsilon_ = 0;
};

class GroupNormSwishGradGpu : public tensorflow::OpKernel {
 public:
  explicit GroupNormSwishGradGpu(tensorflow::OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
  }

  void Compute(tensorflow::OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNorm(ctx, groups_));
    GroupNormArguments arguments = ParseGroupNorm(ctx, groups_);
    const tensorflow::TensorShape statistics({arguments.batch, groups_});
    OP_REQUIRES(ctx,
                ctx->input(3).shape() == statistics && ctx->input(4).shape() == statistics &&
                    ctx->input(5).shape() == ctx->input(0).shape(),
                tensorflow::errors::InvalidArgument("group_norm_swish: statistics or upstream gradient do not fit"));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, ctx->input(0).shape(), &arguments.outputs));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 1, ctx->input(1).shape(), &arguments.of_gamma));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 2, ctx->input(2).shape(), &arguments.of_beta));
    // The kernels only read them; one structure serves the forward pass too.
    arguments.mean = const_cast<float*>(InputFloats(ctx, 3));
    arguments.inverse_deviation = const_cast<float*>(InputFloats(ctx, 4));
    arguments.upstream = InputFloats(ctx, 5);
    GpuOpDevice device(ctx);
    LaunchGroupNormGradient(device, arguments);
    OP_REQUIRES_OK(ctx, device.Finish("gradient of group_norm_swish"));
  }

 private:
  int groups_ = 0;
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwish").Device(RETHINK_FR_GPU_DEVICE).Priority(1), GroupNormSwishGpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwishGrad").Device(RETHINK_FR_GPU_DEVICE).Priority(1),
                        GroupNormSwishGradGpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_GPU_OP_H_
