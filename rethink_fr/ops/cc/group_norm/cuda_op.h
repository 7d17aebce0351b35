// Group normalization with swish, and its gradient, on a GPU. Plain C++, as deform_conv/cuda_op.h.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_OP_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_OP_H_

#include "cuda/op_device.h"
#include "group_norm/cuda_launch.h"
#include "group_norm/op.h"

namespace rethink_fr {

class GroupNormSwishGpu : public GroupNormSwishOp {
 public:
  using GroupNormSwishOp::GroupNormSwishOp;

 private:
  void Run(OpKernelContext* ctx, const GroupNormTensors& tensors) const override {
    GpuOpDevice device(ctx);
    LaunchGroupNorm(device, GroupNormArguments{tensors});
    OP_REQUIRES_OK(ctx, device.Finish("group_norm_swish"));
  }
};

class GroupNormSwishGradGpu : public GroupNormSwishGradOp {
 public:
  using GroupNormSwishGradOp::GroupNormSwishGradOp;

 private:
  void Run(OpKernelContext* ctx, const GroupNormTensors& tensors) const override {
    GpuOpDevice device(ctx);
    LaunchGroupNormGradient(device, GroupNormArguments{tensors});
    OP_REQUIRES_OK(ctx, device.Finish("gradient of group_norm_swish"));
  }
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwish").Device(RETHINK_FR_GPU_DEVICE), GroupNormSwishGpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>GroupNormSwishGrad").Device(RETHINK_FR_GPU_DEVICE), GroupNormSwishGradGpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_CUDA_OP_H_
