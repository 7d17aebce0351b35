// The deformable convolution and its gradient on a CPU: the work is cut into pieces, which TensorFlow's threads share.
#ifndef RETHINK_FR_OPS_CC_DEFORM_CONV_CPU_OP_H_
#define RETHINK_FR_OPS_CC_DEFORM_CONV_CPU_OP_H_

#include "cpu/in_use.h"
#include "cpu/scratch.h"
#include "deform_conv/op.h"
#include "tensorflow/core/util/work_sharder.h"

namespace rethink_fr {

class DeformConv2dCpu : public DeformConv2dOp {
 public:
  using DeformConv2dOp::DeformConv2dOp;

 private:
  void Run(OpKernelContext* ctx, const DeformConvShape& s, const DeformConvTensors& t, float* outputs) const override {
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const auto packed = AllocateScratch(kernels.packed_floats(s));
    kernels.pack_filters(s, t.filters, packed.get());
    const auto& workers = *ctx->device()->tensorflow_cpu_worker_threads();
    const long tiles = kernels.forward_tiles(s);
    // Shares so small that no thread waits long for the last one of another, and so large that most neighbours of a
    // tile are in the same share, which finds their input in the L2 cache.
    const long share = tiles / (16L * workers.num_threads) + 1;
    const tsl::thread::ThreadPool::SchedulingParams shares(
        tsl::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize, absl::nullopt, share);
    workers.workers->ParallelFor(tiles, shares, [&](long first, long last) {
      const auto scratch = AllocateScratch(kernels.forward_scratch_floats(s));
      kernels.forward_tile_range(s, t.inputs, t.offsets, t.mask, packed.get(), outputs, first, last, scratch.get());
    });
  }
};

class DeformConv2dGradCpu : public DeformConv2dGradOp {
 public:
  using DeformConv2dGradOp::DeformConv2dGradOp;

 private:
  void Run(OpKernelContext* ctx, const DeformConvShape& s, const DeformConvTensors& t) const override {
    const CpuKernels& kernels = *CpuKernelsInUse().load();
    const auto& workers = *ctx->device()->tensorflow_cpu_worker_threads();
    const int threads = workers.num_threads;
    const auto partial = AllocateScratch(kernels.backward_partial_floats(s, threads));
    const long each = 1L << 40;  // nanoseconds that a shard is said to take: always worth a thread of its own
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
};

REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2d").Device(tensorflow::DEVICE_CPU), DeformConv2dCpu);
REGISTER_KERNEL_BUILDER(Name("RethinkFr>DeformConv2dGrad").Device(tensorflow::DEVICE_CPU), DeformConv2dGradCpu);

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_DEFORM_CONV_CPU_OP_H_
