// The GPU's operators, registered for the CPU. With emulated_driver.cc in place of the driver and of NVRTC, TensorFlow
// runs all of their code where there is no GPU: operators, launches and kernels.
#define RETHINK_FR_GPU_DEVICE tensorflow::DEVICE_CPU
#include "deform_conv/cuda_op.h"
#include "group_norm/cuda_op.h"
