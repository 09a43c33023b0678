#ifndef HEED_WRAP_GLSL
#define HEED_WRAP_GLSL

// An integer in the range of a narrower type (wrap_number in engine/ops/words.h).
const uint kWrapBool = 1;
const uint kWrapI8 = 2;
const uint kWrapU8 = 3;
const uint kWrapI16 = 4;
const uint kWrapU16 = 5;
int wrap(uint type, int x) {
  switch (type) {
    case kWrapBool: return int(x != 0);
    case kWrapI8: return bitfieldExtract(x, 0, 8);
    case kWrapU8: return x & 0xff;
    case kWrapI16: return bitfieldExtract(x, 0, 16);
    case kWrapU16: return x & 0xffff;
    default: return x;
  }
}

#endif
