// The text of the CUDA kernels, carried inside the library so that it can be compiled for the GPU at hand.
//
// The assembler reads the files in the folder that the compiler is told with -Wa,-I. The symbols are local to this
// object file.
#ifndef RETHINK_FR_OPS_CC_CUDA_KERNEL_TEXT_H_
#define RETHINK_FR_OPS_CC_CUDA_KERNEL_TEXT_H_

// FILE(symbol, name) for cuda/kernels.h and for each file that it includes; the names are those in the #include lines.
#define RETHINK_FR_KERNEL_FILES(FILE)                                  \
  FILE(rethink_fr_text_kernels, "cuda/kernels.h")                      \
  FILE(rethink_fr_text_gemm_kernels, "cuda/gemm_kernels.h")            \
  FILE(rethink_fr_text_gemm_arguments, "cuda/gemm_arguments.h")        \
  FILE(rethink_fr_text_conv_kernels, "deform_conv/cuda_kernels.h")     \
  FILE(rethink_fr_text_conv_arguments, "deform_conv/cuda_arguments.h") \
  FILE(rethink_fr_text_conv_shape, "deform_conv/shape.h")              \
  FILE(rethink_fr_text_norm_kernels, "group_norm/cuda_kernels.h")      \
  FILE(rethink_fr_text_norm_arguments, "group_norm/cuda_arguments.h")  \
  FILE(rethink_fr_text_norm_tensors, "group_norm/tensors.h")

#define RETHINK_FR_EMBED(symbol, name)                                                                      \
  asm(".pushsection .rodata\n" #symbol ":\n.incbin \"" name "\"\n.byte 0\n.size " #symbol ", . - " #symbol \
      "\n.popsection\n");                                                                                   \
  extern "C" __attribute__((visibility("hidden"))) const char symbol[];
RETHINK_FR_KERNEL_FILES(RETHINK_FR_EMBED)
#undef RETHINK_FR_EMBED

namespace rethink_fr {

struct KernelFile {
  const char *name, *text;
};

// The first one is what is compiled; it includes the others.
#define RETHINK_FR_KERNEL_FILE(symbol, name) {name, symbol},
inline const KernelFile kKernelFiles[] = {RETHINK_FR_KERNEL_FILES(RETHINK_FR_KERNEL_FILE)};
#undef RETHINK_FR_KERNEL_FILE
#undef RETHINK_FR_KERNEL_FILES

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_CUDA_KERNEL_TEXT_H_
