#version 450
// variant ACCESS: storage texel
//
// x [pictures, groups, channels, places] as halves, for conv_cooperative.comp: x = (high + low) 2^(e - 14), where high is f16,
// low is what is left of it as f16, and e is that of a place's channels in a group: the largest of them becomes 2^14 to 2^15,
// so that nothing overflows, and an element is off by no more than 2^-22 of itself, or 2^-39 of the largest where that is
// more: steps of f16 end at 2^-24. y is [high or low, picture, place, group] words of 8 channels, padded with zeros, and
// exponents e of [picture, place, group]. Infinities and NaN are no largest; constants/halves.h says how they are marked. A
// high of what is smaller than f16 is its least number, which low takes back. With HALVES 1 there is no low.
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

const float kLeastHalf = 1.0 / 16777216.0;

shared uint largest_of_lanes[LANES];  // as bits, which compare as the numbers do
shared uint broken_lanes[LANES];      // whether they have what is not finite

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
  uint broken = 0;
  for (uint word = lane / PIXELS; word < channel_words; word += SHARERS) {
    for (uint i = 0; i < 8; ++i) {
      const uint channel = word * 8 + i;
      const uint bits = channel < channels ? floatBitsToUint(load_f32(x, first + channel * places)) & 0x7fffffffu : 0;
      if (bits < kInfinity) {
        largest = max(largest, bits);
      } else {
        broken = 1;
      }
    }
  }
  largest_of_lanes[lane] = largest;
  broken_lanes[lane] = broken;
  barrier();
  for (uint i = 1; i < SHARERS; ++i) {
    const uint other = (lane + i * PIXELS) % LANES;
    largest = max(largest, largest_of_lanes[other]);
    broken |= broken_lanes[other];
  }
  if (!there) return;

  const int exponent = max(int(largest >> 23) - 127, kLeastHalvesExponent);
  const uint at = (picture * places + place) * groups + group;
  if (lane / PIXELS == 0) exponents[at] = exponent + (broken != 0 ? kBrokenHalves : 0);
  const float down = uintBitsToFloat(uint(kHalvesExponent - exponent + 127) << 23);
  const uint lows = pictures * places * groups * channel_words;
  for (uint word = lane / PIXELS; word < channel_words; word += SHARERS) {
    uvec4 high, low;
    for (uint i = 0; i < 4; ++i) {
      vec2 rest;
      for (uint j = 0; j < 2; ++j) {
        const uint channel = word * 8 + i * 2 + j;
        const float element = channel < channels ? load_f32(x, first + channel * places) : 0.0;
        const uint bits = floatBitsToUint(element);
        const uint size = bits & 0x7fffffffu;
        const uint sign = bits >> 16 & 0x8000u;
        const float v = size < kInfinity ? element * down : 0.0;
        uint bits_of_high = packHalf2x16(vec2(v, 0.0));
        rest[j] = v - unpackHalf2x16(bits_of_high).x;
        if ((bits_of_high & 0x7fffu) == 0 && size != 0) {
          bits_of_high = sign | 1;
          rest[j] = v - (sign == 0 ? kLeastHalf : -kLeastHalf);
        }
        if (size >= kInfinity) {
          bits_of_high = sign | (size == kInfinity ? 0x7c00u : 0x7e00u);
          rest[j] = 0.0;
        }
        high[i] = j == 0 ? bits_of_high : high[i] | bits_of_high << 16;
      }
      low[i] = packHalf2x16(rest);
    }
    y[at * channel_words + word] = high;
    if (HALVES == 2) y[lows + at * channel_words + word] = low;
  }
}
