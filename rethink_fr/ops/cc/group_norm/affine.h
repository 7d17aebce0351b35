// The parameters of group normalization for one image, once its statistics are known.
#ifndef RETHINK_FR_OPS_CC_GROUP_NORM_AFFINE_H_
#define RETHINK_FR_OPS_CC_GROUP_NORM_AFFINE_H_

namespace rethink_fr {

// Every pixel x of the image becomes z = (x - centre) * scale + beta. Each pointer is to `[channels]` floats.
struct GroupNormAffine {
  const float *centre, *scale, *beta;
};

}  // namespace rethink_fr

#endif  // RETHINK_FR_OPS_CC_GROUP_NORM_AFFINE_H_
