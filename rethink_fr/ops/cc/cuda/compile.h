// Compiles the CUDA kernels for one kind of GPU with NVRTC, CUDA's run-time compiler. That takes about a second and
// happens once in a process.
#ifndef RETHINK_FR_OPS_CC_CUDA_COMPILE_H_
#define RETHINK_FR_OPS_CC_CUDA_COMPILE_H_

#include <algorithm>
#include <string>
#include <vector>

#include "cuda/kernel_text.h"
#include "cuda/libraries.h"

namespace rethink_fr {

// Either code that the driver can load, or an error.
struct CudaCode {
  std::string code;
  std::string error;
};

// Compiles for the compute capability major.minor, given as `capability` = 10 * major + minor.
//
// If NVRTC knows that generation of GPUs, the result is machine code, which any driver of NVRTC's major version loads.
// For a newer GPU it is assembly for the newest generation that NVRTC knows, which the driver translates.
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

  std::vector<const char*> texts, names;
  for (const KernelFile& file : kKernelFiles) {
    texts.push_back(file.text);
    names.push_back(file.name);
  }
  CudaCompiler::Program program = nullptr;
  status = compiler.create(&program, texts[0], names[0], static_cast<int>(texts.size()) - 1, &texts[1], &names[1]);
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
