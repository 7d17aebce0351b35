// The CPU kernels, compiled for three instruction sets from one text, and the choice between them at run time.
//
// No -march: a library built here runs on any x86-64. The .inc files contain no template of the standard library or of
// Eigen: the linker keeps one copy of such a function, and might keep the one with instructions that a machine lacks.
#ifndef RETHINK_FR_OPS_CC_CPU_KERNELS_H_
#define RETHINK_FR_OPS_CC_CPU_KERNELS_H_

#include "deform_conv_shape.h"

namespace rethink_fr {

// What group normalization does to all pixels of an image, `[channels]` each: z = (x - centre) * scale + beta.
struct GroupNormAffine {
  const float *centre, *scale, *beta;
};

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
namespace avx512 {
#define RETHINK_FR_VECTOR 16
#define RETHINK_FR_BLOCK_ROWS 14
#define RETHINK_FR_STREAM(to, value) __builtin_ia32_movntps512(to, value)
#define RETHINK_FR_STREAM_END() __builtin_ia32_sfence()
#include "cpu_kernels.inc"
#undef RETHINK_FR_VECTOR
#undef RETHINK_FR_BLOCK_ROWS
#undef RETHINK_FR_STREAM
#undef RETHINK_FR_STREAM_END
}  // namespace avx512
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define RETHINK_FR_VECTOR 8
#define RETHINK_FR_BLOCK_ROWS 6
#define RETHINK_FR_STREAM(to, value) __builtin_ia32_movntps256(to, value)
#define RETHINK_FR_STREAM_END() __builtin_ia32_sfence()
#include "cpu_kernels.inc"
#undef RETHINK_FR_VECTOR
#undef RETHINK_FR_BLOCK_ROWS
#undef RETHINK_FR_STREAM
#undef RETHINK_FR_STREAM_END
}  // namespace avx2
#pragma GCC pop_options
#endif

namespace baseline {
#define RETHINK_FR_VECTOR 4
#define RETHINK_FR_BLOCK_ROWS 6
#define RETHINK_FR_STREAM(to, value) Store(to, value)
#define RETHINK_FR_STREAM_END()
#include "cpu_kernels.inc"
#undef RETHINK_FR_VECTOR
#undef RETHINK_FR_BLOCK_ROWS
#undef RETHINK_FR_STREAM
#undef RETHINK_FR_STREAM_END
}  // namespace baseline

struct CpuKernels {
  const char* name;
  // Deformable convolution, see deform_conv_forward.inc and deform_conv_backward.inc.
  long (*packed_floats)(const DeformConvShape&);
  void (*pack_filters)(const DeformConvShape&, const float*, float*);
  long (*forward_scratch_floats)(const DeformConvShape&);
  long (*forward_tiles)(const DeformConvShape&);
  void (*forward_tile_range)(const DeformConvShape&, const float*, const float*, const float*, const float*, float*,
                             long, long, float*);
  long (*backward_shards)(const DeformConvShape&, int);
  long (*backward_partial_floats)(const DeformConvShape&, int);
  long (*backward_scratch_floats)(const DeformConvShape&);
  void (*backward_shard)(const DeformConvShape&, const DeformConvTensors&, int, long, float*, float*);
  void (*add_partials)(const DeformConvShape&, const float*, int, long, long, float*, float*);
  // Group normalization, see group_norm.inc.
  void (*moments)(int, const float*, long, long, double*);
  void (*apply)(int, const float*, const GroupNormAffine&, bool, long, long, float*);
  void (*gradient_sums)(int, const float*, const float*, const GroupNormAffine&, long, long, double*);
  void (*gradient_apply)(int, const float*, const float*, const GroupNormAffine&, const float*, const float*, long,
                         long, float*);
};

#define RETHINK_FR_TABLE(set)                                                                                        \
  {                                                                                                                  \
    #set, set::PackedFloats, set::PackFilters, set::ForwardScratchFloats, set::ForwardTiles, set::ForwardTileRange,  \
        set::BackwardShards, set::BackwardPartialFloats, set::BackwardScratchFloats, set::BackwardShard,             \
        set::AddPartials, set::GroupNormMoments, set::GroupNormApply, set::GroupNormGradientSums,                    \
        set::GroupNormGradientApply                                                                                  \
  }

// The kernels for the best instruction set of this machine, or the one named (null: the best). An unknown name, or one that
// the machine lacks, gives null.
inline const CpuKernels* FindCpuKernels(const char* name) {
  static const CpuKernels baseline_kernels = RETHINK_FR_TABLE(baseline);
#if defined(__x86_64__)
  static const CpuKernels avx512_kernels = RETHINK_FR_TABLE(avx512);
  static const CpuKernels avx2_kernels = RETHINK_FR_TABLE(avx2);
  const auto asked = [name](const CpuKernels& set) { return name == nullptr || __builtin_strcmp(name, set.name) == 0; };
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && asked(avx512_kernels)) return &avx512_kernels;
  if (has_avx2 && asked(avx2_kernels)) return &avx2_kernels;
#endif
  if (name == nullptr || __builtin_strcmp(name, baseline_kernels.name) == 0) return &baseline_kernels;
  return nullptr;
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CPU_KERNELS_H_
