// Compiles the text of the kernels that the library carries with NVRTC, which needs no GPU, for each compute capability
// that is an argument, for example 80 90. Exits 0 if all compile, 77 if NVRTC is not found.
#include <cstdio>
#include <cstdlib>

#include "cuda/compile.h"

int main(int count, char** words) {
  rethink_fr::CudaCompiler compiler;
  const std::string missing = rethink_fr::LoadCudaCompiler(&compiler);
  if (!missing.empty()) {
    std::printf("%s\n", missing.c_str());
    return 77;
  }
  int major = 0, minor = 0;
  compiler.version(&major, &minor);
  bool failed = false;
  for (int i = 1; i < count; ++i) {
    const rethink_fr::CudaCode code = rethink_fr::CompileCudaKernels(compiler, std::atoi(words[i]));
    std::printf("NVRTC %d.%d, capability %s: %zu bytes, begins with %s %s\n", major, minor, words[i], code.code.size(),
                code.code.compare(0, 4, "\x7f" "ELF") == 0 ? "ELF" : "text", code.error.c_str());
    failed = failed || !code.error.empty() || code.code.empty();
  }
  return failed ? 1 : 0;
}
