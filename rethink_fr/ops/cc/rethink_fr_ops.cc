// The one translation unit of the native library.
#include "deform_conv_gpu_op.h"
#include "deform_conv_op.h"
#include "group_norm_gpu_op.h"
#include "group_norm_op.h"
