// The deformable convolution's operators on a GPU. Plain C++: the kernels are compiled at first use, see cuda_driver.h.
// Where TensorFlow has no GPU these registrations are never looked up.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_GPU_OP_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_GPU_OP_H_

#include "deform_conv_launch.h"
#include "deform_conv_op.h"
#include "gpu_op_device.h"
#include "tensorflow/core/util/determinism.h"

namespace rethink_fr {

class DeformConv2dGpu : public tensorflow::OpKernel {
 public:
  explicit DeformConv2dGpu(tensorflow::OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(tensorflow::OpKernelContext* ctx) override {
    DeformConvShape shape;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &shape));
    const tensorflow::TensorShape size = DeformConvAttributes::OutputShape(shape);
    float* outputs = nullptr;
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

class DeformConv2dGradGpu : public tensorflow::OpKernel {
 public:
  explicit DeformConv2dGradGpu(tensorflow::OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(tensorflow::OpKernelContext* ctx) override {
    OP_REQUIRES(ctx, !tensorflow::OpDeterminismRequired(),
                tensorflow::errors::Unimplemented(
                    "the gradient of deform_conv2d on a GPU adds with atomics, and determinism was asked for; use "
                    "implementation=\"reference\", or do without tf.config.experimental.enable_op_determinism"));
    DeformConvShape shape;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &shape));
    const tensorflow::TensorShape expected = DeformConvAttributes::OutputShape(shape);
    OP_REQUIRES(ctx, ctx->input(4).shape() == expected,
                tensorflow::errors::InvalidArgument("deform_conv2d: upstream gradient is ",
                                                    ctx->input(4).shape().DebugString(), ", expected ",
                                                    expected.DebugString()));
    DeformConvTensors tensors = {};
    float** gradients[] = {&tensors.of_inputs, &tensors.of_offsets, &tensors.of_mask, &tensors.of_filters};
    for (int i = 0; i < 4; ++i) OP_REQUIRES_OK(ctx, OutputFloats(ctx, i, ctx->input(i).shape(), gradients[i]));
    tensors.inputs = InputFloats(ctx, 0);
    tensors.offsets = InputFloats(ctx, 1);
    tensors.mask = InputFloats(ctx, 2);
    tensors.filters = InputFloats(ctx, 3);
    tensors.upstream = InputFloats(ctx, 4);
    GpuOpDevice device(ctx);
    LaunchDeformConvGradient(device, shape, tensors);
    OP_REQUIRES_OK(ctx, device.Finish("gradient of deform_conv2d"));
  }

 private:
  DeformConvAttributes attributes_;
};

// The priority decides only in the test that registers them beside the CPU's.
REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2d").Device(RETHINK_FR_GPU_DEVICE).Priority(1), DeformConv2dGpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2dGrad").Device(RETHINK_FR_GPU_DEVICE).Priority(1),
                        DeformConv2dGradGpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_GPU_OP_H_
