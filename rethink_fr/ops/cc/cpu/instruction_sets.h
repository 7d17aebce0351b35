// The CPU kernels, compiled from one text for three instruction sets, and the choice between these at run time.
//
// The compiler is not told -march, so a library built on one machine runs on any other x86-64. Instead, the text is
// included three times, each time with other instructions allowed.
//
// The .inc files must not use templates of the standard library or of Eigen. The linker keeps only one copy of such a
// function, and that could be the copy with instructions that this machine lacks.
#ifndef RETHINK_FR_OPS_CC_CPU_INSTRUCTION_SETS_H_
#define RETHINK_FR_OPS_CC_CPU_INSTRUCTION_SETS_H_

#include "deform_conv/shape.h"
#include "group_norm/tensors.h"

namespace rethink_fr {

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
namespace avx512 {
#define RETHINK_FR_VECTOR 16
#define RETHINK_FR_BLOCK_ROWS 14
#define RETHINK_FR_STREAM(to, value) __builtin_ia32_movntps512(to, value)
#define RETHINK_FR_STREAM_END() __builtin_ia32_sfence()
#include "cpu/kernels.inc"
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
#include "cpu/kernels.inc"
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
#include "cpu/kernels.inc"
#undef RETHINK_FR_VECTOR
#undef RETHINK_FR_BLOCK_ROWS
#undef RETHINK_FR_STREAM
#undef RETHINK_FR_STREAM_END
}  // namespace baseline

// The functions of one instruction set that the operators call.
struct CpuKernels {
  const char* name;
  // Described in deform_conv/cpu_forward.inc and deform_conv/cpu_backward.inc.
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
  // Described in group_norm/cpu_kernels.inc.
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

// The kernels of the instruction set `name`: "avx512", "avx2" or "baseline". Null asks for the best set that this
// machine has. The result is null if there is no set of that name, or if this machine lacks it.
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

#endif  // RETHINK_FR_OPS_CC_CPU_INSTRUCTION_SETS_H_
