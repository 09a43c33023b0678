// Numbers as integers in the same order, so that every comparison is decided: -0 is 0, and NaN, whatever its sign, lies
// beyond infinity.
#ifndef HEED_ORDER_GLSL
#define HEED_ORDER_GLSL

const int kOrderOfNan = 0x7fffffff;

int order_of_real(int word) {
  if ((word & 0x7fffffff) == 0) return 0;
  if ((word & 0x7fffffff) > 0x7f800000) return kOrderOfNan;
  return word ^ ((word >> 31) & 0x7fffffff);
}

#endif
