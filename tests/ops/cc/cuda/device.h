// The test program's device, in the sense of cuda/launch.h: the CUDA runtime if nvcc compiles this, the emulation if
// g++ does. It also copies values to the device and back.
#ifndef RETHINK_FR_TESTS_OPS_CC_CUDA_DEVICE_H_
#define RETHINK_FR_TESTS_OPS_CC_CUDA_DEVICE_H_

#if !defined(__CUDACC__)
#include "emulation.h"
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/launch.h"

namespace rethink_fr {

// From a kernel's type to its function.
template <class Kernel>
struct KernelFunction;
#define RETHINK_FR_KERNEL_FUNCTION(name, arguments)                \
  template <>                                                      \
  struct KernelFunction<kernels::name> {                           \
    static void (*Get())(const arguments) { return rethink_fr::name; } \
  };
RETHINK_FR_CUDA_KERNELS(RETHINK_FR_KERNEL_FUNCTION)
#undef RETHINK_FR_KERNEL_FUNCTION

class TestDevice {
 public:
  TestDevice() = default;
  TestDevice(const TestDevice&) = delete;
  TestDevice& operator=(const TestDevice&) = delete;

  float* Upload(const std::vector<float>& values) {
    float* memory = Allocate(values.size());
    Copy(memory, values.data(), values.size());
    return memory;
  }
  std::vector<float> Download(const float* memory, std::size_t count) {
    std::vector<float> values(count);
    Copy(values.data(), memory, count);
    return values;
  }

#if defined(__CUDACC__)
  ~TestDevice() {
    for (float* memory : memory_) cudaFree(memory);
  }
  static bool Exists() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  }
  template <class Kernel>
  void Launch(LaunchSize grid, LaunchSize block, const typename Kernel::Arguments& arguments) {
    KernelFunction<Kernel>::Get()<<<dim3(grid.x, grid.y, grid.z), dim3(block.x, block.y, block.z)>>>(arguments);
    Check(cudaGetLastError());
  }
  float* Allocate(long long floats) {
    float* memory = nullptr;
    Check(cudaMalloc(&memory, (floats > 0 ? floats : 1) * sizeof(float)));
    // What is not written shows as NaN.
    Check(cudaMemset(memory, 0xff, floats * sizeof(float)));
    memory_.push_back(memory);
    return memory;
  }
  void Zero(float* begin, long long floats) { Check(cudaMemsetAsync(begin, 0, floats * sizeof(float))); }
  void Copy(float* to, const float* from, std::size_t count) {
    Check(cudaMemcpy(to, from, count * sizeof(float), cudaMemcpyDefault));
  }
  void Wait() { Check(cudaDeviceSynchronize()); }

 private:
  static void Check(cudaError_t error) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(error));
    std::exit(1);
  }
  std::vector<float*> memory_;
#else
  static bool Exists() { return true; }
  template <class Kernel>
  void Launch(LaunchSize grid, LaunchSize block, const typename Kernel::Arguments& arguments) {
    emulation::Launch<typename Kernel::Arguments>(KernelFunction<Kernel>::Get(), grid, block, arguments);
  }
  float* Allocate(long long floats) {
    // Exactly as many floats as asked for, so that the address sanitizer notices an access to the next one.
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, floats * sizeof(float)) != 0) std::abort();
    memory_.emplace_back(static_cast<float*>(memory), std::free);
    if (floats > 0) std::memset(memory, 0xff, floats * sizeof(float));
    return memory_.back().get();
  }
  void Zero(float* begin, long long floats) {
    if (floats > 0) std::memset(begin, 0, floats * sizeof(float));
  }
  void Copy(float* to, const float* from, std::size_t count) {
    if (count > 0) std::memcpy(to, from, count * sizeof(float));
  }
  void Wait() {}

 private:
  std::vector<std::unique_ptr<float, void (*)(void*)>> memory_;
#endif
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_TESTS_OPS_CC_CUDA_DEVICE_H_
