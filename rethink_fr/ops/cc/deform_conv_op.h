// The TensorFlow operators of the deformable convolution: registration, checks, and the kernels for the CPU.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_OP_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_OP_H_

#include <limits>
#include <vector>

#include "cpu_runtime.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace rethink_fr {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Status;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::InferenceContext;

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

// The attributes of either operator; with the shapes of the inputs they make a DeformConvShape.
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

  // Checks the four inputs against each other and fills `shape`.
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

 private:
  int OutputSize(int size, int kernel, int axis) const {
    const int room = size + 2 * padding_[axis] - dilations_[axis] * (kernel - 1) - 1;
    return room < 0 ? 0 : room / strides_[axis] + 1;
  }

  template <typename... Parts>
  static Status Wrong(Parts... parts) {
    return tensorflow::errors::InvalidArgument("deform_conv2d: ", parts...);
  }

  std::vector<tensorflow::int32> strides_, padding_, dilations_;
  tensorflow::int32 deformable_groups_ = 0;
};

class DeformConv2dCpu : public OpKernel {
 public:
  explicit DeformConv2dCpu(OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    DeformConvShape s;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &s));
    Tensor* outputs = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, DeformConvAttributes::OutputShape(s), &outputs));
    if (outputs->NumElements() == 0) return;
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const auto packed = AllocateScratch(kernels.packed_floats(s));
    kernels.pack_filters(s, ctx->input(3).flat<float>().data(), packed.get());
    const auto& workers = *ctx->device()->tensorflow_cpu_worker_threads();
    const long tiles = kernels.forward_tiles(s);
    // Small enough shares that no thread is left waiting for another's last one, large enough to have neighbours in L2.
    const long share = tiles / (16L * workers.num_threads) + 1;
    const tsl::thread::ThreadPool::SchedulingParams shares(
        tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, absl::nullopt, share);
    workers.workers->ParallelFor(tiles, shares, [&](long first, long last) {
      const auto scratch = AllocateScratch(kernels.forward_scratch_floats(s));
      kernels.forward_tile_range(s, ctx->input(0).flat<float>().data(), ctx->input(1).flat<float>().data(),
                                 ctx->input(2).flat<float>().data(), packed.get(), outputs->flat<float>().data(), first,
                                 last, scratch.get());
    });
  }

 private:
  DeformConvAttributes attributes_;
};

class DeformConv2dGradCpu : public OpKernel {
 public:
  explicit DeformConv2dGradCpu(OpKernelConstruction* ctx) : OpKernel(ctx), attributes_(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    DeformConvShape s;
    OP_REQUIRES_OK(ctx, attributes_.Shape(ctx, &s));
    const TensorShape expected = DeformConvAttributes::OutputShape(s);
    OP_REQUIRES(ctx, ctx->input(4).shape() == expected,
                tensorflow::errors::InvalidArgument("deform_conv2d: upstream gradient is ",
                                                    ctx->input(4).shape().DebugString(), ", expected ",
                                                    expected.DebugString()));
    Tensor* gradients[4];
    for (int i = 0; i < 4; ++i) OP_REQUIRES_OK(ctx, ctx->allocate_output(i, ctx->input(i).shape(), &gradients[i]));
    DeformConvTensors t;
    const float** sources[] = {&t.inputs, &t.offsets, &t.mask, &t.filters, &t.upstream};
    float** targets[] = {&t.of_inputs, &t.of_offsets, &t.of_mask, &t.of_filters};
    for (int i = 0; i < 5; ++i) *sources[i] = ctx->input(i).flat<float>().data();
    for (int i = 0; i < 4; ++i) *targets[i] = gradients[i]->flat<float>().data();

    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const auto& workers = *ctx->device()->tensorflow_cpu_worker_threads();
    const int threads = workers.num_threads;
    const auto partial = AllocateScratch(kernels.backward_partial_floats(s, threads));
    const long each = 1L << 40;  // nanoseconds: worth a thread, whatever the size
    tensorflow::Shard(threads, workers.workers, kernels.backward_shards(s, threads), each, [&](long first, long last) {
      const auto scratch = AllocateScratch(kernels.backward_scratch_floats(s));
      for (long shard = first; shard < last; ++shard) {
        kernels.backward_shard(s, t, threads, shard, partial.get(), scratch.get());
      }
    });
    const long pixels = static_cast<long>(s.batch) * s.out_height * s.out_width;
    tensorflow::Shard(threads, workers.workers, pixels, 1000, [&](long first, long last) {
      kernels.add_partials(s, partial.get(), threads, first, last, t.of_offsets, t.of_mask);
    });
  }

 private:
  DeformConvAttributes attributes_;
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2d").Device(tensorflow::DEVICE_CPU), DeformConv2dCpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2dGrad").Device(tensorflow::DEVICE_CPU), DeformConv2dGradCpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_OP_H_
