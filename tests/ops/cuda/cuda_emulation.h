// CUDA's part of the language for g++: kernels run on the CPU, one block after the other, so that they can be checked
// where there is no GPU, and under the sanitizers.
//
// Each thread of a block is a fiber. A fiber runs until a barrier or a shuffle, then the next one does; within those
// spans the order of the threads is free in CUDA, so the tests use several, and a missing barrier shows as a wrong
// result. Stricter than a GPU: a barrier that a thread does not reach is an error.
#ifndef RETHINK_FR_TESTS_OPS_CUDA_CUDA_EMULATION_H_
#define RETHINK_FR_TESTS_OPS_CUDA_CUDA_EMULATION_H_

#include <math.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda_arguments.h"

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block at a time

namespace emulation {

enum class State { kReady, kAtBarrier, kAtShuffle, kDone };
enum class Order { kForward, kBackward, kShuffled };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  State state;
  float exchanged;
};

constexpr std::size_t kStackBytes = 256 << 10;
constexpr int kWarp = 32;

inline Order order = Order::kForward;
inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline int current;
inline const std::function<void()>* body;

[[noreturn]] inline void Fail(const char* reason) {
  std::fprintf(stderr, "emulation: %s\n", reason);
  std::abort();
}

inline void RunFiber() {
  (*body)();
  fibers[current].state = State::kDone;
  swapcontext(&fibers[current].context, &scheduler);
}

inline void Wait(State state) {
  Fiber& fiber = fibers[current];
  fiber.state = state;
  swapcontext(&fiber.context, &scheduler);
}

inline std::vector<int> Sequence(int count) {
  static std::mt19937 generator(1);
  std::vector<int> sequence(count);
  std::iota(sequence.begin(), sequence.end(), 0);
  if (order == Order::kBackward) std::reverse(sequence.begin(), sequence.end());
  if (order == Order::kShuffled) std::shuffle(sequence.begin(), sequence.end(), generator);
  return sequence;
}

}  // namespace emulation

// CUDA's own names, as the kernels use them.
inline rethink_fr::LaunchSize threadIdx, blockIdx, blockDim, gridDim;

inline void __syncthreads() { emulation::Wait(emulation::State::kAtBarrier); }

inline float __shfl_xor_sync(unsigned mask, float value, int lanes) {
  if (mask != 0xffffffffu) emulation::Fail("a shuffle that leaves out lanes is not emulated");
  const int self = emulation::current;
  emulation::fibers[self].exchanged = value;
  emulation::Wait(emulation::State::kAtShuffle);
  const float result = emulation::fibers[self ^ lanes].exchanged;
  emulation::Wait(emulation::State::kAtShuffle);
  return result;
}

inline float atomicAdd(float* place, float value) {
  const float before = *place;
  *place += value;
  return before;
}

namespace emulation {

// Lets those go on who wait for each other; false if there is nobody.
inline bool Release(int first, int last, State state) {
  const auto waiting = std::count_if(fibers.begin() + first, fibers.begin() + last,
                                     [state](const Fiber& fiber) { return fiber.state == state; });
  if (waiting != last - first) return false;
  for (int i = first; i < last; ++i) fibers[i].state = State::kReady;
  return true;
}

inline void RunBlock() {
  const int threads = fibers.size();
  int done = 0;
  while (done < threads) {
    for (const int thread : Sequence(threads)) {
      Fiber& fiber = fibers[thread];
      if (fiber.state != State::kReady) continue;
      current = thread;
      threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
      swapcontext(&scheduler, &fiber.context);
      done += fiber.state == State::kDone;
    }
    if (done == threads) return;
    bool released = Release(0, threads, State::kAtBarrier);
    for (int first = 0; first + kWarp <= threads; first += kWarp) {
      released |= Release(first, first + kWarp, State::kAtShuffle);
    }
    if (!released) Fail("threads wait for others that do not come to the same barrier or shuffle");
  }
}

template <class Arguments>
void Launch(void (*kernel)(Arguments), rethink_fr::LaunchSize grid, rethink_fr::LaunchSize block,
            const Arguments& arguments) {
  const unsigned threads = block.x * block.y * block.z;
  if (threads == 0 || threads > 1024 || grid.x == 0 || grid.x > 0x7fffffffu || grid.y == 0 || grid.y > 65535 ||
      grid.z == 0 || grid.z > 65535) {
    Fail("a launch of a size that CUDA refuses");
  }
  const std::function<void()> call = [&] { kernel(arguments); };
  body = &call;
  gridDim = grid;
  blockDim = block;
  fibers.resize(threads);
  for (const int index : Sequence(grid.x * grid.y * grid.z)) {
    blockIdx = {index % grid.x, index / grid.x % grid.y, index / (grid.x * grid.y)};
    for (Fiber& fiber : fibers) {
      if (!fiber.stack) fiber.stack.reset(new char[kStackBytes]);
      fiber.state = State::kReady;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = kStackBytes;
      fiber.context.uc_link = &scheduler;
      makecontext(&fiber.context, RunFiber, 0);
    }
    RunBlock();
  }
}

}  // namespace emulation

#endif  // RETHINK_FR_TESTS_OPS_CUDA_CUDA_EMULATION_H_
