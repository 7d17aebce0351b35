// The CUDA kernels of the matrix product, in single precision. No TensorFlow and no standard library, as in all files
// that NVRTC compiles.
//
// A block of 256 threads computes a tile of 128 x kColumns numbers of c; each thread keeps 8 x (kColumns / 16) of them
// in registers. a and b go through shared memory in slabs of 8 terms. There are two buffers: while one slab is used,
// the next is loaded. Every load is of one float, and the threads of a warp load consecutive ones, so no size and no
// alignment needs special treatment.
#ifndef RETHINK_FR_OPS_CC_CUDA_GEMM_KERNELS_H_
#define RETHINK_FR_OPS_CC_CUDA_GEMM_KERNELS_H_

#include "cuda/gemm_arguments.h"

namespace rethink_fr {

constexpr int kGemmThreads = 256;
constexpr int kGemmRows = 128;
constexpr int kGemmDepth = 8;
// Each line in shared memory is four floats longer than needed. The lines stay aligned for loads of 16 bytes, and when
// consecutive threads store consecutive terms of the depth, they use different banks.
constexpr int kGemmPadding = 4;

struct alignas(16) FourFloats {
  float value[4];
};

// A thread's part of a slab on its way to shared memory: kLength lines of a, or columns of b, and kGemmDepth terms of
// the depth. kDepthInner says that consecutive floats in memory run along the depth, as they do in a, and in b
// transposed; otherwise they run along the lines.
template <int kLength, bool kDepthInner>
struct GemmSlab {
  static constexpr int kLoads = kLength * kGemmDepth / kGemmThreads;
  // The steps from one float of a thread to its next, in lines and in depth.
  static constexpr int kLineStep = kDepthInner ? kGemmThreads / kGemmDepth : 0;
  static constexpr int kDepthStep = kDepthInner ? 0 : kGemmThreads / kLength;

  const float* place;  // of the thread's first float
  long long stride;
  int line, depth;  // where in the slab that float is
  int lines;        // how many lines there are from the slab's first one on
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

  // Loads the next slab. `depths` terms are left; what lies beyond them, or beyond the lines, becomes zero.
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

// The product of one tile. Grid: x over tiles, y over slices of the depth, z over groups.
template <int kColumns, bool kTransposedA, bool kTransposedB>
__device__ __forceinline__ void Gemm(const GemmArguments& arguments) {
  // A thread computes this many parts of four columns, 64 apart, and two such parts of rows.
  constexpr int kColumnParts = kColumns / 64;
  alignas(16) __shared__ float shared_a[2][kGemmDepth][kGemmRows + kGemmPadding];
  alignas(16) __shared__ float shared_b[2][kGemmDepth][kColumns + kGemmPadding];

  const int thread = threadIdx.x;
  const int thread_row = thread / 16, thread_column = thread % 16;
  // The tiles of a row are computed one after the other, so that they find their lines of a in the cache.
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
    // With two buffers one barrier is enough. A thread that stores here has passed the barrier of the step before. All
    // threads had then finished the step before that one, and it was the last to read this buffer.
    slab_a.Store(shared_a[buffer]);
    slab_b.Store(shared_b[buffer]);
    __syncthreads();
    if (depths > kGemmDepth) {
      slab_a.Load(depths - kGemmDepth);
      slab_b.Load(depths - kGemmDepth);
    }
// Unrolled twice, not wholly: all loads of a slab at once would need more registers than there are.
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

  // How many rows and columns of c there are from the thread's first one on.
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

// Adds up the slices of a product, always in the same order, so that the result does not depend on the blocks' timing.
extern "C" __global__ void rethink_fr_sum_slices(const SumSlicesArguments arguments) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < arguments.count; i += step) {
    float sum = arguments.accumulate ? arguments.sum[i] : 0.0f;
    for (int slice = 0; slice < arguments.num_slices; ++slice) sum += arguments.slices[slice * arguments.count + i];
    arguments.sum[i] = sum;
  }
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_GEMM_KERNELS_H_
