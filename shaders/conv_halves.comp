#version 450
// variant ACCESS: storage texel
//
// x [pictures, groups, channels, places] as halves, for conv_cooperative.comp: x = (high + low) 2^(e - 14), where high is f16,
// low is what is left of it as f16, and e is that of a place's channels in a group: the largest of them becomes 2^14 to 2^15,
// so that nothing overflows, and only what is smaller than it by 2^28 loses bits. y is [high or low, picture, place, group]
// words of 8 channels, padded with zeros, and exponents e of [picture, place, group]; constants/halves.h says what
// becomes of infinities and NaN. With HALVES 1 there is no low.
//
// A workgroup has PIXELS places, side by side in its lanes, and SHARERS lanes of each, which take every SHARERS-th word. It
// reads 4 bytes of each element, twice, of PIXELS elements side by side, and writes 2 for each half, 16 side by side.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/conv_halves.h"
#include "constants/halves.h"

#include "memory.glsl"

READ_F32(0, x);
WRITE_U32X4(1, y);
WRITE_I32(2, exponents);

const uint LANES = PIXELS * SHARERS;
const uint kInfinity = 0x7f800000;

shared uint largest_of_lanes[LANES];  // as bits, which compare as the numbers do; NaN is larger
shared uint infinities[LANES];

void main() {
  const uint tiles = (places + PIXELS - 1) / PIXELS;
  const uint index = workgroup_index();
  const uint group = index / tiles % groups;
  const uint picture = index / tiles / groups;
  if (picture >= pictures) return;
  const uint lane = gl_LocalInvocationID.x;
  const uint place = index % tiles * PIXELS + lane % PIXELS;
  const bool there = place < places;
  const uint first = (picture * groups + group) * channels * places + (there ? place : 0);

  uint largest = 0;
  uint infinite = 0;
  for (uint word = lane / PIXELS; word < channel_words; word += SHARERS) {
    for (uint i = 0; i < 8; ++i) {
      const uint channel = word * 8 + i;
      const uint bits = channel < channels ? floatBitsToUint(load_f32(x, first + channel * places)) & 0x7fffffffu : 0;
      largest = max(largest, bits);
      infinite += bits == kInfinity ? 1 : 0;
    }
  }
  largest_of_lanes[lane] = largest;
  infinities[lane] = infinite;
  barrier();
  for (uint i = 1; i < SHARERS; ++i) {
    const uint other = (lane + i * PIXELS) % LANES;
    largest = max(largest, largest_of_lanes[other]);
    infinite += infinities[other];
  }
  if (!there) return;

  int exponent = max(int(largest >> 23) - 127, kLeastHalvesExponent);
  if (largest > kInfinity || infinite > 1) exponent = kNoHalves;
  if (largest == kInfinity && infinite == 1) exponent = kInfiniteHalves;
  const uint at = (picture * places + place) * groups + group;
  if (lane / PIXELS == 0) exponents[at] = exponent;
  const bool finite = exponent < kInfiniteHalves;
  const float down = finite ? uintBitsToFloat(uint(kHalvesExponent - exponent + 127) << 23) : 0.0;
  const uint lows = pictures * places * groups * channel_words;
  for (uint word = lane / PIXELS; word < channel_words; word += SHARERS) {
    uvec4 high, low;
    for (uint i = 0; i < 4; ++i) {
      vec2 v;
      for (uint j = 0; j < 2; ++j) {
        const uint channel = word * 8 + i * 2 + j;
        const float element = channel < channels ? load_f32(x, first + channel * places) : 0.0;
        const uint bits = floatBitsToUint(element);
        const bool infinite_one = exponent == kInfiniteHalves && (bits & 0x7fffffffu) == kInfinity;
        // Not as a product: 0 times infinity is NaN.
        v[j] = finite ? element * down : uintBitsToFloat(infinite_one ? (bits & 0x80000000u) | 0x3f800000u : 0u);
      }
      high[i] = packHalf2x16(v);
      low[i] = packHalf2x16(v - unpackHalf2x16(high[i]));
    }
    y[at * channel_words + word] = high;
    if (HALVES == 2) y[lows + at * channel_words + word] = low;
  }
}
