// The parts of the CUDA language that our kernels use, for g++. The kernels run on the CPU, one block after the other,
// so that they can be checked where there is no GPU, and under the sanitizers.
//
// Each thread of a block is a fiber. It runs until a barrier or a shuffle, and then the next one runs. CUDA does not
// say in which order threads run between barriers, so the tests try several orders, and a missing barrier shows as a
// wrong result. The emulation is stricter than a GPU: a barrier that not all threads reach is an error.
#ifndef RETHINK_FR_TESTS_OPS_CC_CUDA_EMULATION_H_
#define RETHINK_FR_TESTS_OPS_CC_CUDA_EMULATION_H_

#include <math.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/launch.h"

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block at a time

namespace emulation {

enum class State { kReady, kAtBarrier, kAtShuffle, kDone };
enum class Order { kForward, kBackward, kShuffled };

// A place to go on at, saved by one of GCC's built-in functions. Unlike swapcontext, they do not call the kernel to save
// and restore the signal mask, which would take longer than everything else here.
struct Place {
  void* saved[5];
};

struct Fiber {
  Place place;
  State state = State::kDone;
  float exchanged;
  std::unique_ptr<char[]> stack;
};

constexpr std::size_t kStackBytes = 256 << 10;
constexpr int kWarp = 32;

inline Order order = Order::kForward;
inline std::deque<Fiber> fibers;  // made once and used by all blocks; a deque never moves them
inline Place scheduler;
inline int current;
inline const std::function<void()>* body;

[[noreturn]] inline void Fail(const char* reason) {
  std::fprintf(stderr, "emulation: %s\n", reason);
  std::abort();
}

// The two built-in functions must not be called in the same function. The address sanitizer is kept out of both of ours,
// since it would take a fiber's stack for a damaged one.
[[gnu::noinline, gnu::no_sanitize_address]] inline void GoOn(Place* at) { __builtin_longjmp(at->saved, 1); }

// Goes on at `to`. Returns when something goes on at `from`.
[[gnu::noinline, gnu::no_sanitize_address]] inline void Switch(Place* from, Place* to) {
  if (__builtin_setjmp(from->saved) == 0) GoOn(to);
}

inline void Wait(State state) {
  Fiber& fiber = fibers[current];
  fiber.state = state;
  Switch(&fiber.place, &scheduler);
}

// A fiber runs the same thread of one block after the other.
inline void RunFiber() {
  for (;;) {
    (*body)();
    Wait(State::kDone);
  }
}

// Enters fiber `current`: where it waits, or, the first time, at its beginning, on a stack of its own.
inline void Enter(Fiber* fiber) {
  if (fiber->stack) return Switch(&scheduler, &fiber->place);
  fiber->stack.reset(new char[kStackBytes]);
  ucontext_t start;
  getcontext(&start);
  start.uc_stack.ss_sp = fiber->stack.get();
  start.uc_stack.ss_size = kStackBytes;
  makecontext(&start, RunFiber, 0);
  if (__builtin_setjmp(scheduler.saved) == 0) setcontext(&start);
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

// If all fibers from `first` to `last` - 1 wait in the same state, lets them go on. Returns whether it did.
inline bool Release(int first, int last, State state) {
  const auto waiting = std::count_if(fibers.begin() + first, fibers.begin() + last,
                                     [state](const Fiber& fiber) { return fiber.state == state; });
  if (waiting != last - first) return false;
  for (int i = first; i < last; ++i) fibers[i].state = State::kReady;
  return true;
}

inline void RunBlock(int threads) {
  int done = 0;
  while (done < threads) {
    for (const int thread : Sequence(threads)) {
      Fiber& fiber = fibers[thread];
      if (fiber.state != State::kReady) continue;
      current = thread;
      threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
      Enter(&fiber);
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
  if (fibers.size() < threads) fibers.resize(threads);
  for (const int index : Sequence(grid.x * grid.y * grid.z)) {
    blockIdx = {index % grid.x, index / grid.x % grid.y, index / (grid.x * grid.y)};
    for (unsigned i = 0; i < threads; ++i) fibers[i].state = State::kReady;
    RunBlock(threads);
  }
}

}  // namespace emulation

#endif  // RETHINK_FR_TESTS_OPS_CC_CUDA_EMULATION_H_
