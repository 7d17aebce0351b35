// Times of the deformable convolution, as ratios to those of a plain 3x3 convolution of the same shape that uses the
// same matrix product. What a ratio exceeds 1 by is the price of sampling, whatever the GPU.
#ifndef RETHINK_FR_TESTS_OPS_CC_CUDA_BENCHMARK_H_
#define RETHINK_FR_TESTS_OPS_CC_CUDA_BENCHMARK_H_

#include <algorithm>
#include <functional>
#include <vector>

#include "deform_conv/cuda_launch.h"
#include "device.h"

namespace rethink_fr {

// The columns of a plain 3x3 convolution with stride 1 and padding 1. Threads as in SampleColumns, one channel at a
// time.
__global__ void CopyColumns(const ColumnArguments arguments) {
  const DeformConvShape& shape = arguments.shape;
  const unsigned pixel = blockIdx.x * blockDim.y + threadIdx.y;
  if (pixel >= static_cast<unsigned>(arguments.pixels)) return;
  const OutputPixel output = LocatePixel(arguments, pixel);
  for (int channel = threadIdx.x; channel < shape.channels; channel += blockDim.x) {
    for (int tap = 0; tap < 9; ++tap) {
      const int row = output.row + tap / 3 - 1, column = output.column + tap % 3 - 1;
      const bool inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
      const long long place = output.image + (static_cast<long long>(row) * shape.width + column) * shape.channels;
      arguments.columns[ColumnIndex(arguments, pixel, tap, channel)] = inside ? arguments.inputs[place + channel] : 0.0f;
    }
  }
}

// The gradient of that: each input pixel adds up what the columns that copied it have. One run must hold all pixels.
__global__ void GatherColumns(const ColumnArguments arguments) {
  const DeformConvShape& shape = arguments.shape;
  const unsigned pixel = blockIdx.x * blockDim.y + threadIdx.y;
  if (pixel >= static_cast<unsigned>(arguments.pixels)) return;
  const OutputPixel output = LocatePixel(arguments, pixel);
  for (int channel = threadIdx.x; channel < shape.channels; channel += blockDim.x) {
    float sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int down = 1 - tap / 3, right = 1 - tap % 3;
      const int row = output.row + down, column = output.column + right;
      if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
      sum += arguments.columns[ColumnIndex(arguments, pixel + down * shape.width + right, tap, channel)];
    }
    arguments.of_inputs[output.index * shape.channels + channel] = sum;
  }
}

// The median time of seven repetitions in milliseconds, after two that are not counted.
inline double Milliseconds(const std::function<void()>& work) {
  std::vector<double> times;
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  for (int i = 0; i < 9; ++i) {
    cudaEventRecord(begin);
    work();
    cudaEventRecord(end);
    cudaEventSynchronize(end);
    float time = 0;
    cudaEventElapsedTime(&time, begin, end);
    if (i >= 2) times.push_back(time);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Gives out the same memory again in each repetition, so that allocations are not timed after the first.
class RepeatingDevice {
 public:
  explicit RepeatingDevice(TestDevice& device) : device_(device) {}
  template <class Kernel>
  void Launch(LaunchSize grid, LaunchSize block, const typename Kernel::Arguments& arguments) {
    device_.Launch<Kernel>(grid, block, arguments);
  }
  void Zero(float* begin, long long floats) { device_.Zero(begin, floats); }
  float* Allocate(long long floats) {
    for (Piece& piece : pieces_) {
      if (piece.taken || piece.floats != floats) continue;
      piece.taken = true;
      return piece.memory;
    }
    pieces_.push_back({device_.Allocate(floats), floats, true});
    return pieces_.back().memory;
  }
  void StartAgain() {
    for (Piece& piece : pieces_) piece.taken = false;
  }

 private:
  struct Piece {
    float* memory;
    long long floats;
    bool taken;
  };
  TestDevice& device_;
  std::vector<Piece> pieces_;
};

inline void BenchmarkShape(int size, int channels) {
  DeformConvShape shape = {};
  shape.batch = shape.stride_y = shape.stride_x = shape.padding_y = shape.padding_x = shape.groups = 1;
  shape.dilation_y = shape.dilation_x = 1;
  shape.height = shape.width = shape.out_height = shape.out_width = size;
  shape.channels = shape.filters = channels;
  shape.kernel_height = shape.kernel_width = 3;
  shape.deformable_groups = 4;
  const long long pixels = static_cast<long long>(size) * size;

  TestDevice memory;
  RepeatingDevice device(memory);
  // Pseudo-random offsets between -2 and 2. The other values do not matter.
  std::vector<float> offsets(pixels * 72);
  unsigned state = 1;
  for (float& offset : offsets) {
    state = state * 1664525u + 1013904223u;
    offset = static_cast<float>(state >> 8) / (1 << 22) - 2;
  }
  const std::vector<float> ones(pixels * std::max(channels, 36), 1.0f);
  DeformConvTensors tensors = {};
  tensors.inputs = memory.Upload(ones);
  tensors.offsets = memory.Upload(offsets);
  tensors.mask = memory.Upload(ones);
  tensors.filters = memory.Upload(std::vector<float>(9LL * channels * channels, 0.01f));
  tensors.upstream = memory.Upload(ones);
  tensors.of_inputs = memory.Allocate(pixels * channels);
  tensors.of_offsets = memory.Allocate(pixels * 72);
  tensors.of_mask = memory.Allocate(pixels * 36);
  tensors.of_filters = memory.Allocate(9LL * channels * channels);
  float* outputs = memory.Allocate(pixels * channels);

  const auto plain_forward = [&] {
    ColumnArguments arguments = {};
    arguments.shape = shape;
    arguments.inputs = tensors.inputs;
    const ColumnRuns runs(shape, kColumnBytes);
    arguments.columns = device.Allocate(runs.floats);
    ForEachRun(arguments, runs, [&](const ColumnArguments& run) {
      const unsigned x = std::min(channels, 256), y = 256 / x;
      CopyColumns<<<dim3((run.pixels + y - 1) / y), dim3(x, y)>>>(run);
      GemmArguments product = ProductOfColumns(shape, run.pixels);
      product.a = run.columns;
      product.a_stride = product.depth;
      product.b = tensors.filters;
      product.c = outputs + run.first_pixel * channels;
      product.b_stride = product.c_stride = channels;
      LaunchGemm(device, GemmForm::kPlain, product);
    });
  };
  const auto plain_backward = [&] {
    ColumnArguments arguments = {};
    arguments.shape = shape;
    arguments.inputs = tensors.inputs;
    arguments.of_inputs = tensors.of_inputs;
    const ColumnRuns runs(shape, pixels * 9 * channels * 4);
    arguments.columns = device.Allocate(runs.floats);
    ForEachRun(arguments, runs, [&](const ColumnArguments& run) {
      const unsigned x = std::min(channels, 256), y = 256 / x;
      CopyColumns<<<dim3((run.pixels + y - 1) / y), dim3(x, y)>>>(run);
      LaunchFilterGradient(device, shape, run.columns, tensors.upstream, run.pixels, false, tensors.of_filters);
      GemmArguments product = ProductOfColumns(shape, run.pixels);
      product.columns = product.depth;
      product.depth = product.depth_of_slice = channels;
      product.a = tensors.upstream;
      product.b = tensors.filters;
      product.a_stride = product.b_stride = channels;
      product.c = run.columns;
      product.c_stride = product.columns;
      LaunchGemm(device, GemmForm::kTransposedB, product);
      GatherColumns<<<dim3((run.pixels + y - 1) / y), dim3(x, y)>>>(run);
    });
  };
  const auto time = [&](const auto& forward, const auto& backward) {
    return Milliseconds([&] {
      device.StartAgain();
      forward();
      backward();
    });
  };
  const auto forward = [&] { LaunchDeformConv(device, shape, tensors, outputs); };
  const auto backward = [&] { LaunchDeformConvGradient(device, shape, tensors); };
  const auto nothing = [] {};
  const double plain = time(plain_forward, nothing), plain_both = time(plain_forward, plain_backward);
  const double deformable = time(forward, nothing), both = time(forward, backward);
  const double work = 2.0 * pixels * 9 * channels * channels;
  std::printf("%4dx%-4dx%-4d %8.3f %8.3f %6.2f %10.3f %8.3f %6.2f %10.1f\n", size, size, channels, plain, deformable,
              deformable / plain, plain_both, both, both / plain_both, work / plain / 1e9);
}

inline int Benchmark() {
  std::printf("milliseconds      plain  deform.  ratio    plain f+b    f+b   ratio   TFLOP/s of plain\n");
  BenchmarkShape(64, 256);
  BenchmarkShape(128, 256);
  BenchmarkShape(256, 128);
  BenchmarkShape(512, 64);
  return 0;
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_TESTS_OPS_CC_CUDA_BENCHMARK_H_
