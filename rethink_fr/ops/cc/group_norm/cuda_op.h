// Group normalization with swish, and its gradient, on a GPU. Plain C++, as deform_conv/cuda_op.h.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_OP_H_

#include "cuda/op_device.h"
#include "group_norm/cuda_launch.h"
#include "group_norm/op.h"

namespace rethink_fr {

// The sizes, and the three inputs that both operators have.
inline GroupNormArguments ParseGroupNorm(OpKernelContext* ctx, int groups) {
  const TensorShape& size = ctx->input(0).shape();
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

class GroupNormSwishGpu : public OpKernel {
 public:
  explicit GroupNormSwishGpu(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("epsilon", &epsilon_));
  }

  void Compute(OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNorm(ctx, groups_));
    GroupNormArguments arguments = ParseGroupNorm(ctx, groups_);
    arguments.epsilon = epsilon_;
    const TensorShape statistics({arguments.batch, groups_});
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

class GroupNormSwishGradGpu : public OpKernel {
 public:
  explicit GroupNormSwishGradGpu(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("groups", &groups_));
  }

  void Compute(OpKernelContext* ctx) override {
    OP_REQUIRES_OK(ctx, CheckGroupNormGradient(ctx, groups_));
    GroupNormArguments arguments = ParseGroupNorm(ctx, groups_);
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, ctx->input(0).shape(), &arguments.outputs));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 1, ctx->input(1).shape(), &arguments.of_gamma));
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 2, ctx->input(2).shape(), &arguments.of_beta));
    // The kernels only read these two. They are not const because the forward pass uses the same structure.
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

REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwish").Device(RETHINK_FR_GPU_DEVICE), GroupNormSwishGpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwishGrad").Device(RETHINK_FR_GPU_DEVICE), GroupNormSwishGradGpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_OP_H_
