// Infinities and NaN, by their bits: without a mode that not every device has, compilers may assume that there are none,
// and GLSL leaves open what min, max and clamp make of NaN. Here NaN goes through them, as in NumPy and PyTorch.
#ifndef HEED_SPECIAL_GLSL
#define HEED_SPECIAL_GLSL

#define kInfinity uintBitsToFloat(0x7f800000u)
#define kNan uintBitsToFloat(0x7fc00000u)
#define kLargest uintBitsToFloat(0x7f7fffffu)

bool is_nan(float x) { return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u; }
bool is_infinite(float x) { return (floatBitsToUint(x) & 0x7fffffffu) == 0x7f800000u; }

bool is_finite(float x) { return (floatBitsToUint(x) & 0x7f800000u) != 0x7f800000u; }
bool all_finite(vec4 v) { return is_finite(v.x) && is_finite(v.y) && is_finite(v.z) && is_finite(v.w); }

// exp() and log() of some drivers make numbers of NaN (SwiftShader: infinity, and 89).
float exponential(float x) { return is_nan(x) ? x : exp(x); }
float logarithm(float x) { return is_nan(x) ? x : log(x); }

float larger(float a, float b) { return is_nan(a) ? a : is_nan(b) ? b : max(a, b); }
float smaller(float a, float b) { return is_nan(a) ? a : is_nan(b) ? b : min(a, b); }
float limited(float x, float least, float most) { return is_nan(x) ? x : min(max(x, least), most); }

#endif
