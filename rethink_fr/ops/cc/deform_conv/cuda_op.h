// The deformable convolution and its gradient on a GPU.
//
// This is plain C++. The CUDA kernels are compiled when they are first used, see cuda/loaded_kernels.h. A TensorFlow
// without GPU support ignores these registrations.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_OP_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_OP_H_

#include "cuda/op_device.h"
#include "deform_conv/cuda_launch.h"
#include "deform_conv/op.h"
#include "tensorflow/core/util/determinism.h"

namespace rethink_fr {

class DeformConv2dGpu : public OpKernel {
 public:
  explicit DeformConv2dGpu(OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    DeformConvShape shape;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &shape));
    float* outputs = nullptr;
    const TensorShape size = DeformConvAttributes::OutputShape(shape);
    OP_REQUIRES_OK(ctx, OutputFloats(ctx, 0, size, &outputs));
    if (size.num_elements() == 0) return;
    DeformConvTensors tensors = {};
    tensors.inputs = InputFloats(ctx, 0);
    tensors.offsets = InputFloats(ctx, 1);
    tensors.mask = InputFloats(ctx, 2);
    tensors.filters = InputFloats(ctx, 3);
    GpuOpDevice device(ctx);
    LaunchDeformConv(device, shape, tensors, outputs);
    OP_REQUIRES_OK(ctx, device.Finish("deform_conv2d"));
  }

 private:
  DeformConvAttributes attributes_;
};

class DeformConv2dGradGpu : public OpKernel {
 public:
  explicit DeformConv2dGradGpu(OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    OP_REQUIRES(ctx, !tensorflow::OpDeterminismRequired(),
                tensorflow::errors::Unimplemented(
                    "the gradient of deform_conv2d on a GPU adds with atomics, and determinism was asked for; use "
                    "implementation=\"reference\", or do without tf.config.experimental.enable_op_determinism"));
    DeformConvShape shape;
    DeformConvTensors tensors;
    OP_REQUIRES_OK(ctx, attributes_.GradientTensors(ctx, &shape, &tensors));
    GpuOpDevice device(ctx);
    LaunchDeformConvGradient(device, shape, tensors);
    OP_REQUIRES_OK(ctx, device.Finish("gradient of deform_conv2d"));
  }

 private:
  DeformConvAttributes attributes_;
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2d").Device(RETHINK_FR_GPU_DEVICE), DeformConv2dGpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2dGrad").Device(RETHINK_FR_GPU_DEVICE), DeformConv2dGradGpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_CUDA_OP_H_
