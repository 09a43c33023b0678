// Numbers as integers in the same order, so that every comparison is decided: -0 is 0, and what is not a number lies
// beyond infinity.
#ifndef HEED_ORDER_GLSL
#define HEED_ORDER_GLSL

int order_of_real(int word) {
  if ((word & 0x7fffffff) == 0) return 0;
  return word ^ ((word >> 31) & 0x7fffffff);
}

#endif
