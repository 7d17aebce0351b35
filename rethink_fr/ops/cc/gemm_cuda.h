// Single-precision matrix product for CUDA. No TensorFlow, no standard library: nvcc, NVRTC and a g++ emulation compile
// this.
//
// A block of 256 threads computes a tile of 128 x kColumns of c, each thread 8 x (kColumns / 16) of it in registers.
// Slabs of 8 of the depth go through shared memory, twice buffered: the next slab is loaded into registers while this
// one is used. All loads are single floats, a warp's addresses consecutive, so that no size and no alignment is
// special.
#ifndef RETHINK_FR_OPS_CC_GEMM_CUDA_H_
#define RETHINK_FR_OPS_CC_GEMM_CUDA_H_

#include "cuda_arguments.h"

namespace rethink_fr {

constexpr int kGemmThreads = 256;
constexpr int kGemmRows = 128;
constexpr int kGemmDepth = 8;
// Four more floats a line: lines stay aligned for 16-byte loads, and a slab that arrives with its depth in consecutive
// threads is stored without bank conflicts.
constexpr int kGemmPadding = 4;

struct alignas(16) FourFloats {
  float value[4];
};

// A slab of `kLength` lines of a or columns of b, and kGemmDepth of the depth, on its way to shared memory.
// kDepthInner: consecutive floats of memory are along the depth (a as it is, b transposed); else along the lines.
template <int kLength, bool kDepthInner>
struct GemmSlab {
  static constexpr int kLoads = kLength * kGemmDepth / kGemmThreads;
  // From one float of a thread to its next, in lines and in depth.
  static constexpr int kLineStep = kDepthInner ? kGemmThreads / kGemmDepth : 0;
  static constexpr int kDepthStep = kDepthInner ? 0 : kGemmThreads / kLength;

  const float* place;  // of the thread's first float
  long long stride;
  int line, depth;  // of the same, in the slab
  int lines;        // that exist from the slab's first one on
  float value[kLoads];

  __device__ __forceinline__ GemmSlab(const float* matrix, long long stride, long long first_line, int all_lines,
                                      int first_depth)
      : stride(stride), lines(static_cast<int>(all_lines - first_line)) {
    const int thread = threadIdx.x;
    line = kDepthInner ? thread / kGemmDepth : thread % kLength;
    depth = kDepthInner ? thread % kGemmDepth : thread / kLength;
    const long long outer = kDepthInner ? first_line + line : first_depth + depth;
    place = matrix + outer * stride + (kDepthInner ? first_depth + depth : first_line + line);
  }

  // `depths` are left; what is beyond them, and beyond the lines, is zero.
  __device__ __forceinline__ void Load(int depths) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const bool exists = line + i * kLineStep < lines && depth + i * kDepthStep < depths;
      value[i] = exists ? place[i * (kLineStep + kDepthStep) * stride] : 0.0f;
    }
    place += kDepthInner ? kGemmDepth : kGemmDepth * stride;
  }

  __device__ __forceinline__ void Store(float (*shared)[kLength + kGemmPadding]) const {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) shared[depth + i * kDepthStep][line + i * kLineStep] = value[i];
  }
};

template <int kColumns, bool kTransposedA, bool kTransposedB>
__device__ __forceinline__ void Gemm(const GemmArguments& arguments) {
  constexpr int kColumnParts = kColumns / 64;  // of four columns, 64 apart, and two such parts of rows
  alignas(16) __shared__ float shared_a[2][kGemmDepth][kGemmRows + kGemmPadding];
  alignas(16) __shared__ float shared_b[2][kGemmDepth][kColumns + kGemmPadding];

  const int thread = threadIdx.x;
  const int thread_row = thread / 16, thread_column = thread % 16;
  // Tiles of one row of tiles are neighbours in time, so that they find the lines of a in the cache.
  const unsigned column_tiles = (arguments.columns - 1) / kColumns + 1;
  const long long first_row = static_cast<long long>(blockIdx.x / column_tiles) * kGemmRows;
  const long long first_column = static_cast<long long>(blockIdx.x % column_tiles) * kColumns;
  const long long slice_begin = static_cast<long long>(blockIdx.y) * arguments.depth_of_slice;
  const long long slice_end = slice_begin + arguments.depth_of_slice;
  const int begin = static_cast<int>(slice_begin);
  const int end = slice_end < arguments.depth ? static_cast<int>(slice_end) : arguments.depth;

  float sums[8][4 * kColumnParts] = {};
  GemmSlab<kGemmRows, !kTransposedA> slab_a(arguments.a + blockIdx.z * arguments.a_group, arguments.a_stride, first_row,
                                            arguments.rows, begin);
  GemmSlab<kColumns, kTransposedB> slab_b(arguments.b + blockIdx.z * arguments.b_group, arguments.b_stride,
                                          first_column, arguments.columns, begin);
  slab_a.Load(end - begin);
  slab_b.Load(end - begin);
  int buffer = 0;
  for (int depths = end - begin; depths > 0; depths -= kGemmDepth) {
    // Two buffers and one barrier: who stores here has passed the barrier of the step before, and with it everyone has
    // finished the step before that, which read this buffer.
    slab_a.Store(shared_a[buffer]);
    slab_b.Store(shared_b[buffer]);
    __syncthreads();
    if (depths > kGemmDepth) {
      slab_a.Load(depths - kGemmDepth);
      slab_b.Load(depths - kGemmDepth);
    }
// Twice, not wholly: all loads of a slab at once would need more registers than there are.
#pragma unroll 2
    for (int k = 0; k < kGemmDepth; ++k) {
      FourFloats rows[2], columns[kColumnParts];
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        rows[part] = *reinterpret_cast<const FourFloats*>(&shared_a[buffer][k][part * 64 + thread_row * 4]);
      }
#pragma unroll
      for (int part = 0; part < kColumnParts; ++part) {
        columns[part] = *reinterpret_cast<const FourFloats*>(&shared_b[buffer][k][part * 64 + thread_column * 4]);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 4 * kColumnParts; ++j) {
          sums[i][j] = fmaf(rows[i / 4].value[i % 4], columns[j / 4].value[j % 4], sums[i][j]);
        }
      }
    }
    buffer ^= 1;
  }

  // Rows and columns that exist below and to the right of the thread's first.
  const long long row = first_row + thread_row * 4, column = first_column + thread_column * 4;
  const int rows = static_cast<int>(arguments.rows - row), columns = static_cast<int>(arguments.columns - column);
  float* c = arguments.c + blockIdx.z * arguments.c_group + blockIdx.y * arguments.c_slice + row * arguments.c_stride +
             column;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int down = i / 4 * 64 + i % 4;
    if (down >= rows) continue;
    float* line = c + down * arguments.c_stride;
#pragma unroll
    for (int j = 0; j < 4 * kColumnParts; ++j) {
      const int right = j / 4 * 64 + j % 4;
      if (right >= columns) continue;
      line[right] = arguments.accumulate ? line[right] + sums[i][j] : sums[i][j];
    }
  }
}

#define RETHINK_FR_GEMM_KERNEL(name, columns, transposed_a, transposed_b)                              \
  extern "C" __global__ void __launch_bounds__(kGemmThreads, 2) name(const GemmArguments arguments) { \
    Gemm<columns, transposed_a, transposed_b>(arguments);                                              \
  }
RETHINK_FR_GEMM_KERNEL(rethink_fr_gemm_64, 64, false, false)
RETHINK_FR_GEMM_KERNEL(rethink_fr_gemm_128, 128, false, false)
RETHINK_FR_GEMM_KERNEL(rethink_fr_gemm_transposed_a_64, 64, true, false)
RETHINK_FR_GEMM_KERNEL(rethink_fr_gemm_transposed_a_128, 128, true, false)
RETHINK_FR_GEMM_KERNEL(rethink_fr_gemm_transposed_b_64, 64, false, true)
RETHINK_FR_GEMM_KERNEL(rethink_fr_gemm_transposed_b_128, 128, false, true)
#undef RETHINK_FR_GEMM_KERNEL

// The slices of a product, in their order: the result does not depend on which block came first.
extern "C" __global__ void rethink_fr_sum_slices(const SumSlicesArguments arguments) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < arguments.count; i += step) {
    float sum = arguments.accumulate ? arguments.sum[i] : 0.0f;
    for (int slice = 0; slice < arguments.num_slices; ++slice) sum += arguments.slices[slice * arguments.count + i];
    arguments.sum[i] = sum;
  }
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GEMM_CUDA_H_
