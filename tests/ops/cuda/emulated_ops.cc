// The GPU's operators registered for the CPU: with emulated_driver.cc in place of the driver and of NVRTC, TensorFlow
// runs all of them, glue and launches and kernels, where there is no GPU.
#define RETHINK_FR_GPU_DEVICE tensorflow::DEVICE_CPU
#include "deform_conv_gpu_op.h"
#include "group_norm_gpu_op.h"
