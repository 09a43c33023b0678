// Functions of one and two real numbers that GLSL lacks or leaves too inexact: Vulkan allows sin and cos an error of 2^-11
// and the inverse functions 4096 units in the last place. Polynomials after Moshier's Cephes; errors are a few units in the
// last place. engine/ops/functions.cpp has the numbers.
#ifndef HEED_FUNCTIONS_GLSL
#define HEED_FUNCTIONS_GLSL
#include "activation.glsl"
#include "special.glsl"
#include "wrap.glsl"

const float kPi = 3.14159265358979;
const float kLeastNormal = 1.17549435e-38;

// ln(1 + x), also near zero: with u = 1 + x rounded, ln(u) is corrected by the part of x that u lost (Kahan).
float log_1p(float x) {
  if (abs(x) < 0.25) {
    const float s = x / (2.0 + x);
    const float z = s * s;
    return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (0.2 + z * (1.0 / 7.0 + z * (1.0 / 9.0)))));
  }
  return logarithm(1.0 + x);
}

// ln(x): log() may be 2^-21 off near one, a number for 0 and below (SwiftShader), and one of its own for denormals
// (llvmpipe), which are made larger first.
float natural_log(float x) {
  if (!(x > 0.0)) return x == 0.0 ? -kInfinity : kNan;
  if (x < kLeastNormal) {
    const float scaled = x * 16777216.0;
    return scaled > 0.0 ? log(scaled) - 16.635532333438686 : -kInfinity;
  }
  return x > 0.75 && x < 1.25 ? log_1p(x - 1.0) : log(x);
}

float exp_m1(float x) {
  if (abs(x) < 0.3) {
    return x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x / 5040.0))))));
  }
  return exponential(x) - 1.0;
}

// sin(x + quarter turns). The quarter is taken off in four parts that the product with n holds exactly.
float sine(float x, uint quarters) {
  const float n = roundEven(x * 0.636619772367581);
  if (!(abs(n) < 1e6)) return is_nan(x) || is_infinite(x) ? kNan : sin(x);
  float r = x - n * 1.5703125;
  r -= n * 4.837512969970703125e-4;
  r -= n * 7.549533155e-8;
  r -= n * 2.5633441e-12;
  const float z = r * r;
  const float s = r + r * z * (-1.6666654611e-1 + z * (8.3321608736e-3 + z * -1.9515295891e-4));
  const float c = 1.0 - 0.5 * z + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5));
  const uint q = uint(int(n)) + quarters;
  const float y = (q & 1u) == 0 ? s : c;
  return (q & 2u) == 0 ? y : -y;
}

float arc_tangent(float x) {
  const float a = abs(x);
  const bool upper = a > 2.414213562373095;
  const bool middle = !upper && a > 0.4142135623730950;
  const float r = upper ? -1.0 / a : middle ? (a - 1.0) / (a + 1.0) : a;
  const float z = r * r;
  const float y = (upper ? 0.5 * kPi : middle ? 0.25 * kPi : 0.0) + r +
                  r * z * (-3.33329491539e-1 + z * (1.99777106478e-1 + z * (-1.38776856032e-1 + z * 8.05374449538e-2)));
  return x < 0.0 ? -y : y;
}

float arc_sine(float x) {
  const float a = abs(x);
  if (!(a <= 1.0)) return kNan;
  const bool large = a > 0.5;
  const float z = large ? 0.5 * (1.0 - a) : a * a;
  const float r = large ? sqrt(z) : a;
  float y = r + r * z * (1.6666752422e-1 + z * (7.4953002686e-2 + z * (4.5470025998e-2 + z * (2.4181311049e-2 + z * 4.2163199048e-2))));
  if (large) y = 0.5 * kPi - 2.0 * y;
  return x < 0.0 ? -y : y;
}

// Without the cancellation of pi/2 - arc_sine(x) near one.
float arc_cosine(float x) {
  if (!(abs(x) <= 1.0)) return kNan;
  if (x > 0.5) return 2.0 * arc_sine(sqrt(0.5 * (1.0 - x)));
  if (x < -0.5) return kPi - 2.0 * arc_sine(sqrt(0.5 * (1.0 + x)));
  return 0.5 * kPi - arc_sine(x);
}

float hyperbolic_sine(float x) {
  const float a = abs(x);
  const float z = a * a;
  const float e = exponential(0.5 * a);  // squared last, so that the largest results do not overflow before they are halved
  const float y = a < 1.0 ? a * (1.0 + z * (1.0 / 6.0 + z * (1.0 / 120.0 + z * (1.0 / 5040.0)))) : 0.5 * e * e - 0.5 / (e * e);
  return x < 0.0 ? -y : y;
}

float hyperbolic_cosine(float x) {
  const float e = exponential(0.5 * abs(x));
  return 0.5 * e * e + 0.5 / (e * e);
}

float inverse_hyperbolic_sine(float x) {
  const float a = abs(x);
  const float y = a > 1e4 ? logarithm(a) + 0.693147180559945 : log_1p(a + a * a / (1.0 + sqrt(a * a + 1.0)));
  return x < 0.0 ? -y : y;
}

float inverse_hyperbolic_cosine(float x) {
  if (!(x >= 1.0)) return kNan;
  const float t = x - 1.0;
  return x > 1e4 ? logarithm(x) + 0.693147180559945 : log_1p(t + sqrt(t * (x + 1.0)));
}

float inverse_hyperbolic_tangent(float x) {
  const float a = abs(x);
  if (!(a <= 1.0)) return kNan;
  const float y = a == 1.0 ? kInfinity : a < 0.5 ? 0.5 * (log_1p(a) - log_1p(-a)) : 0.5 * log((1.0 + a) / (1.0 - a));
  return x < 0.0 ? -y : y;
}

// log2(x) of what is above 0, denormals as above.
float binary_log(float x) {
  if (x >= kLeastNormal) return log2(x);
  const float scaled = x * 16777216.0;
  return scaled > 0.0 ? log2(scaled) - 24.0 : -kInfinity;
}

float square_root(float x) { return x < 0.0 ? kNan : sqrt(x); }  // GLSL leaves it open

float softplus(float x) { return max(x, 0.0) + log_1p(exponential(-abs(x))); }

// Whole exponents up to 64 by multiplication: exact where the result is.
float power(float a, float b) {
  if (b == 0.0 || a == 1.0) return 1.0;
  if (is_nan(a) || is_nan(b)) return kNan;
  const bool whole = floor(b) == b;
  if (whole && abs(b) <= 64.0) {
    float y = 1.0;
    float square = a;
    for (uint n = uint(abs(b)); n != 0; n >>= 1) {
      if ((n & 1u) != 0) y *= square;
      square *= square;
    }
    return b < 0.0 ? 1.0 / y : y;
  }
  if (a < 0.0 && !whole && !is_infinite(a) && !is_infinite(b)) return kNan;
  const bool odd = whole && abs(b) < 16777216.0 && (int(b) & 1) == 1;
  const float magnitude = abs(a);
  float y;
  if (is_infinite(b)) {
    y = magnitude == 1.0 ? 1.0 : (magnitude > 1.0) == (b > 0.0) ? kInfinity : 0.0;
  } else if (magnitude == 0.0 || is_infinite(magnitude)) {
    y = (magnitude == 0.0) == (b > 0.0) ? 0.0 : kInfinity;
  } else {
    // log2(1) may be off, which a large b would make anything of.
    y = magnitude == 1.0 ? 1.0 : exp2(b * binary_log(magnitude));
  }
  return a < 0.0 && odd ? -y : y;
}

float remainder_towards_zero(float a, float b) {
  if (is_infinite(a) || is_nan(a) || is_nan(b) || b == 0.0) return kNan;
  if (is_infinite(b) || abs(a) < abs(b)) return a;
  const uint divisor = floatBitsToUint(b) & 0x7fffffffu;
  const uint least = divisor >> 23;
  if (least == 0) return kNan;  // a denormal, which a device may take for 0
  // Long division: b times powers of two is taken off, the largest first. Every difference is exact.
  float rest = abs(a);
  for (uint exponent = floatBitsToUint(rest) >> 23; exponent >= least; --exponent) {
    const float times = uintBitsToFloat((divisor & 0x7fffffu) | (exponent << 23));
    if (times <= rest) rest -= times;
  }
  return a < 0.0 ? -rest : rest;
}

// To the nearest number of 10 (f16) or 7 (bf16) bits of mantissa, ties to even.
float round_to_bf16(float x) {
  const uint bits = floatBitsToUint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return x;
  return uintBitsToFloat((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}
float round_to_f16(float x) {
  if (is_nan(x) || is_infinite(x)) return x;
  const float a = abs(x);
  if (a >= 65520.0) return x < 0.0 ? -kInfinity : kInfinity;
  if (a < 6.103515625e-5) {
    // Below the normal numbers they are 2^-24 apart.
    const float y = roundEven(a * 16777216.0) * 5.9604644775390625e-8;
    return x < 0.0 ? -y : y;
  }
  const uint bits = floatBitsToUint(x);
  return uintBitsToFloat((bits + 0xfffu + ((bits >> 13) & 1u)) & 0xffffe000u);
}

float apply_real(uint function, float x, float alpha, float beta) {
  switch (function) {
    case 0: return activate(kSilu, x);
    case 1: return activate(kGelu, x);
    case 2: return activate(kGeluTanh, x);
    case 3: return activate(kRelu, x);
    case 4: return activate(kTanh, x);
    case 5: return activate(kSigmoid, x);
    case 6: return exponential(x);
    case 7: return -x;
    case 8: return square_root(x);
    case 9: return abs(x);
    case 10: return ceil(x);
    case 11: return floor(x);
    case 12: return roundEven(x);
    case 13: return is_nan(x) ? x : sign(x);
    case 14: return natural_log(x);
    case 15: return sine(x, 0);
    case 16: return sine(x, 1);
    case 17: return sine(x, 0) / sine(x, 1);
    case 18: return arc_sine(x);
    case 19: return arc_cosine(x);
    case 20: return arc_tangent(x);
    case 21: return hyperbolic_sine(x);
    case 22: return hyperbolic_cosine(x);
    case 23: return inverse_hyperbolic_sine(x);
    case 24: return inverse_hyperbolic_cosine(x);
    case 25: return inverse_hyperbolic_tangent(x);
    case 26: return erf(x);
    case 27: return 1.0 / x;
    case 28: return softplus(x);
    case 29: return is_infinite(x) ? sign(x) : x / (1.0 + abs(x));
    case 30: return x < 0.0 ? alpha * exp_m1(x) : x;
    case 31: return is_nan(x) ? x : max(0.0, x) + min(0.0, alpha * exp_m1(x / alpha));
    case 32: return beta * (x > 0.0 ? x : alpha * exp_m1(x));
    case 33: return x < 0.0 ? alpha * x : x;
    case 34: return limited(alpha * x + beta, 0.0, 1.0);
    case 35: return x * limited(x / 6.0 + 0.5, 0.0, 1.0);
    case 36: return x > alpha ? x : 0.0;
    case 37: return x < -alpha ? x + beta : x > alpha ? x - beta : 0.0;
    case 38: return x * stable_tanh(softplus(x));
    case 39: return x * sigmoid(alpha * x);
    case 44: return limited(x, alpha, beta);
    case 105: return round_to_f16(x);
    case 106: return round_to_bf16(x);
    default: return x;
  }
}

float apply_real(uint function, uint activation, float a, float b) {
  switch (function) {
    case 64: return a + b;
    case 65: return a - b;
    case 66: return a * b;
    case 67: return a / b;
    case 68: return larger(a, b);
    case 69: return smaller(a, b);
    case 70: return activate(activation, a) * b;
    case 71: return power(a, b);
    case 72: {
      const float r = remainder_towards_zero(a, b);
      return r != 0.0 && (r < 0.0) != (b < 0.0) ? r + b : r;
    }
    case 73: return remainder_towards_zero(a, b);
    case 74: return a < 0.0 ? a * b : a;
    default: return a;
  }
}

#define COMPARISONS(a, b)          \
  case 75: return int(a == b);     \
  case 76: return int(a < b);      \
  case 77: return int(a <= b);     \
  case 78: return int(a > b);      \
  case 79: return int(a >= b);

int test_real(uint function, float a, float b, float alpha, float beta) {
  switch (function) {
    COMPARISONS(a, b)
    case 40: return int(is_nan(a));
    case 41: return int(is_infinite(a) && (a < 0.0 ? alpha : beta) != 0.0);
    case 100: return int(trunc(a));
    default: return int(a != 0.0);
  }
}

int integer_power(int base, int exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? ((exponent & 1) == 0 ? 1 : -1) : 0;
  int y = 1;
  for (uint n = uint(exponent); n != 0; n >>= 1) {
    if ((n & 1u) != 0) y *= base;
    base *= base;
  }
  return y;
}

// GLSL leaves % of negative numbers open.
int integer_remainder(int a, int b) { return b == 0 ? 0 : a - a / b * b; }

int apply_integer(uint function, int a, int b) {
  switch (function) {
    COMPARISONS(a, b)
    case 3: return max(a, 0);
    case 7: return -a;
    case 9: return abs(a);
    case 13: return sign(a);
    case 42: return int(a == 0);
    case 43: return ~a;
    case 64: return a + b;
    case 65: return a - b;
    case 66: return a * b;
    case 67: return b == 0 ? 0 : a / b;
    case 68: return max(a, b);
    case 69: return min(a, b);
    case 71: return integer_power(a, b);
    case 72: {
      const int r = integer_remainder(a, b);
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
    case 73: return integer_remainder(a, b);
    case 80: return int(a != 0 && b != 0);
    case 81: return int(a != 0 || b != 0);
    case 82: return int((a != 0) != (b != 0));
    case 83: return a & b;
    case 84: return a | b;
    case 85: return a ^ b;
    case 86: return b < 0 || b > 31 ? 0 : a << b;
    case 87: return b < 0 || b > 31 ? 0 : a >> b;
    default: return a;
  }
}

#endif
