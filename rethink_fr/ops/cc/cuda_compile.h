// The kernels' text, carried in the library, and its compilation for one GPU by NVRTC (about a second, once in a
// process).
#ifndef RETHINK_FR_OPS_CC_CUDA_COMPILE_H_
#define RETHINK_FR_OPS_CC_CUDA_COMPILE_H_

#include <algorithm>
#include <string>
#include <vector>

#include "cuda_libraries.h"

// The assembler finds the files in the folder that the compiler names with -Wa,-I. The symbols are local to this
// object.
#define RETHINK_FR_EMBED(symbol, file)                       \
  asm(".pushsection .rodata\n" #symbol ":\n.incbin \"" file \
      "\"\n.byte 0\n.size " #symbol ", . - " #symbol "\n.popsection\n"); \
  extern "C" __attribute__((visibility("hidden"))) const char symbol[]
RETHINK_FR_EMBED(rethink_fr_text_deform_conv_shape, "deform_conv_shape.h");
RETHINK_FR_EMBED(rethink_fr_text_cuda_arguments, "cuda_arguments.h");
RETHINK_FR_EMBED(rethink_fr_text_gemm, "gemm_cuda.h");
RETHINK_FR_EMBED(rethink_fr_text_deform_conv, "deform_conv_cuda.h");
RETHINK_FR_EMBED(rethink_fr_text_group_norm, "group_norm_cuda.h");
RETHINK_FR_EMBED(rethink_fr_text_cuda_kernels, "cuda_kernels.h");
#undef RETHINK_FR_EMBED

namespace rethink_fr {

// What the driver loads; or an error.
struct CudaCode {
  std::string code;
  std::string error;
};

// For compute capability `capability` = 10 * major + minor. Machine code where NVRTC knows the generation, which any
// driver of its major version loads; for a newer GPU its newest assembly, which the driver translates.
inline CudaCode CompileCudaKernels(const CudaCompiler& compiler, int capability) {
  const auto failure = [&](const char* what, int status) {
    return CudaCode{"", std::string("NVRTC could not ") + what + ": " + compiler.error_text(status)};
  };
  int count = 0;
  int status = compiler.count_architectures(&count);
  if (status != 0) return failure("name its architectures", status);
  std::vector<int> architectures(count);
  status = compiler.architectures(architectures.data());
  if (status != 0) return failure("name its architectures", status);
  std::sort(architectures.begin(), architectures.end());
  const auto beyond = std::upper_bound(architectures.begin(), architectures.end(), capability);
  if (beyond == architectures.begin()) {
    return {"", "this NVRTC does not compile for a GPU of compute capability " + std::to_string(capability / 10) + "." +
                    std::to_string(capability % 10)};
  }
  const int architecture = beyond[-1];
  const bool machine_code = architecture / 10 == capability / 10;

  const char* headers[] = {rethink_fr_text_deform_conv_shape, rethink_fr_text_cuda_arguments, rethink_fr_text_gemm,
                           rethink_fr_text_deform_conv, rethink_fr_text_group_norm};
  const char* names[] = {"deform_conv_shape.h", "cuda_arguments.h", "gemm_cuda.h", "deform_conv_cuda.h",
                         "group_norm_cuda.h"};
  CudaCompiler::Program program = nullptr;
  status = compiler.create(&program, rethink_fr_text_cuda_kernels, "cuda_kernels.h", 5, headers, names);
  if (status != 0) return failure("begin", status);
  const std::string target = (machine_code ? "--gpu-architecture=sm_" : "--gpu-architecture=compute_") +
                             std::to_string(architecture);
  const char* options[] = {target.c_str(), "--std=c++17"};
  status = compiler.compile(program, 2, options);
  CudaCode result;
  if (status != 0) {
    result = failure("compile the kernels", status);
    std::size_t size = 0;
    if (compiler.log_size(program, &size) == 0 && size > 1) {
      std::string log(size, ' ');
      if (compiler.log(program, &log[0]) == 0) result.error += "\n" + log;
    }
  } else {
    std::size_t size = 0;
    status = machine_code ? compiler.machine_code_size(program, &size) : compiler.assembly_size(program, &size);
    result.code.resize(size);
    if (status == 0 && size > 0) {
      status = machine_code ? compiler.machine_code(program, &result.code[0]) : compiler.assembly(program, &result.code[0]);
    }
    if (status != 0) result = failure("hand out its result", status);
    if (status == 0 && size == 0) result.error = "NVRTC gave an empty result";
  }
  compiler.destroy(&program);
  return result;
}

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_COMPILE_H_
