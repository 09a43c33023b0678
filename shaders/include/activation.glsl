// Activation functions, chosen by a specialization constant; engine/ops/activation.h has the same list.
#ifndef HEED_ACTIVATION_GLSL
#define HEED_ACTIVATION_GLSL
#include "special.glsl"

const uint kNone = 0;
const uint kSilu = 1;
const uint kGelu = 2;
const uint kGeluTanh = 3;
const uint kRelu = 4;
const uint kTanh = 5;
const uint kSigmoid = 6;

float sigmoid(float x) {
  // exp of a negative number alone, so that nothing overflows.
  const float e = exponential(-abs(x));
  return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

float stable_tanh(float x) {
  const float e = exponential(-2.0 * abs(x));
  // Below 0.05 the quotient cancels; four terms of the series are exact to float there.
  const float x2 = x * x;
  const float series = x * (1.0 + x2 * (-1.0 / 3.0 + x2 * (2.0 / 15.0 + x2 * (-17.0 / 315.0))));
  return abs(x) < 0.05 ? series : sign(x) * (1.0 - e) / (1.0 + e);
}

// W. J. Cody's split is not needed in float: below 0.5 the Taylor series, above the complementary error function by
// the Chebyshev fit of Press et al., Numerical Recipes (erfcc), relative error 1.2e-7.
float erf(float x) {
  const float a = abs(x);
  if (a < 0.5) {
    const float z = x * x;
    return x * 1.1283791670955126 *
           (1.0 + z * (-1.0 / 3.0 + z * (0.1 + z * (-1.0 / 42.0 + z * (1.0 / 216.0 + z * (-1.0 / 1320.0))))));
  }
  const float t = 1.0 / (1.0 + 0.5 * a);
  const float tail =
      t * exponential(-a * a - 1.26551223 +
              t * (1.00002368 +
                   t * (0.37409196 +
                        t * (0.09678418 +
                             t * (-0.18628806 +
                                  t * (0.27886807 +
                                       t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
  return x >= 0.0 ? 1.0 - tail : tail - 1.0;
}

float activate(uint activation, float x) {
  if (activation == kSilu) return x * sigmoid(x);
  if (activation == kGelu) return 0.5 * x * (1.0 + erf(x * 0.7071067811865476));
  if (activation == kGeluTanh) return 0.5 * x * (1.0 + stable_tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  if (activation == kRelu) return larger(x, 0.0);
  if (activation == kTanh) return stable_tanh(x);
  if (activation == kSigmoid) return sigmoid(x);
  return x;
}

// The same with a function of a parameter besides, which convolutions have (engine/ops/conv.h).
const uint kLeakyRelu = 7;

float activate(uint activation, float x, float slope) {
  if (activation == kLeakyRelu) return x >= 0.0 ? x : x * slope;
  return activate(activation, x);
}

#endif
