// The sizes and tensors of group normalization. No TensorFlow and no standard library, as in all files that NVRTC
// compiles.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_TENSORS_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_TENSORS_H_

namespace rethink_fr {

// Images are [batch, pixels, channels]; `of_x` is the gradient of the loss with respect to x.
struct GroupNormTensors {
  long long pixels;  // of one image
  int batch, channels, groups;
  float epsilon;
  const float *inputs, *gamma, *beta, *upstream;
  float* outputs;                   // or, for the gradient, the gradient with respect to the inputs
  float *mean, *inverse_deviation;  // [batch, groups]; the gradient only reads them
  float *of_gamma, *of_beta;
};

// What one image's normalization comes to once its statistics are known: every value x becomes
// z = (x - centre) * scale + beta. Each pointer is to `[channels]` floats.
struct GroupNormAffine {
  const float *centre, *scale, *beta;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_TENSORS_H_
