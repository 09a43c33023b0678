#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SEVERAL: 0 1
// variant SUBGROUP: 1 0
//
// Temperature, top-k, top-p, min-p and the draw (engine/ops/sample.cpp), by one workgroup a sequence and without sorting: a float's
// bits, turned so that their order is that of the numbers, are searched bit by bit for the threshold that keeps k
// logits, then for the one that keeps a mass of p. Each of the at most 64 passes reads all logits once. Sums are made by
// lane and then over lanes in a fixed order, so the same logits and seed give the same token.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample.h"
#include "memory.glsl"
#include "special.glsl"
#include "reduce.glsl"
#define HEED_SAMPLER_STATE
#include "sampler.glsl"

shared float lane_mass[gl_WorkGroupSize.x];
shared uint lane_last[gl_WorkGroupSize.x];
shared float shared_start;
shared uint shared_lane;

const uint kNowhere = 0xffffffffu;

// Unsigned integers in the order of the floats; 0 for what cannot be chosen.
uint order_of(float value) {
  if (!is_finite(value)) return 0;
  const uint bits = floatBitsToUint(value == 0.0 ? 0.0 : value);  // -0 is 0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

float best_logit;
float inverse_temperature;
float weight_of(float value) { return exp((value - best_logit) * inverse_temperature); }

// Tokens count as kept when their order is above `threshold`, or equal to it and their index at most `last_equal`.
bool kept(float value, uint i, uint threshold, uint last_equal) {
  const uint order = order_of(value);
  return order > threshold || (order == threshold && order != 0 && i <= last_equal);
}

// How many are kept; exact in float up to 2^24 tokens.
float count_kept(uint threshold, uint last_equal) {
  float count = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    const Block block = load_block(i);
    for (uint c = 0; c < WIDTH; ++c) {
      if (kept(block_logit(block, c), i * WIDTH + c, threshold, last_equal)) count += 1.0;
    }
  }
  return workgroup_sum(count);
}

float mass_kept(uint threshold, uint top_k_threshold, uint last_equal) {
  float mass = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    const Block block = load_block(i);
    for (uint c = 0; c < WIDTH; ++c) {
      const float value = block_logit(block, c);
      if (order_of(value) >= threshold && kept(value, i * WIDTH + c, top_k_threshold, last_equal)) {
        mass += weight_of(value);
      }
    }
  }
  return workgroup_sum(mass);
}

float min_p;
// The weight with which a token takes part in the draw, -1 if it does not.
float drawn_weight(float value, uint i, uint mass_threshold, uint threshold, uint last_equal) {
  if (order_of(value) < mass_threshold || !kept(value, i, threshold, last_equal)) return -1.0;
  const float weight = weight_of(value);
  return weight < min_p ? -1.0 : weight;
}

void main() {
  if (!has_sequence()) return;
  const uint lane = gl_LocalInvocationID.x;
  float best = -kLargest;
  float any = 0.0;  // 1: a finite logit, 2: a broken one
  for (uint i = lane; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    const Block block = load_block(i);
    for (uint c = 0; c < WIDTH; ++c) {
      const float value = block_logit(block, c);
      if (is_broken(value)) {
        any = 2.0;
      } else if (is_finite(value)) {
        best = max(best, value);
        any = max(any, 1.0);
      }
    }
  }
  best_logit = workgroup_max(best);
  if (workgroup_max(any) != 1.0) {
    if (lane == 0) commit(-1);
    return;
  }
  inverse_temperature = 1.0 / intBitsToFloat(sampler_word(kTemperature));

  // Top-k: the largest threshold that keeps at least k; then, among its equals, the last index that still counts.
  const uint k = uint(sampler_word(kTopK));
  uint threshold = 1;
  uint last_equal = kNowhere;
  if (k > 0 && k < vocabulary) {
    uint found = 0;
    for (int bit = 31; bit >= 0; --bit) {
      const uint candidate = found | (1u << bit);
      if (count_kept(candidate, kNowhere) >= float(k)) found = candidate;
    }
    threshold = max(found, 1u);
    if (count_kept(threshold, kNowhere) > float(k)) {
      // The largest index bound with fewer than k kept, plus one, keeps exactly k.
      uint below = 0;
      for (int bit = findMSB(vocabulary); bit >= 0; --bit) {
        const uint candidate = below | (1u << bit);
        if (candidate <= vocabulary && count_kept(threshold, candidate - 1) < float(k)) below = candidate;
      }
      last_equal = below;
    }
  }

  // Top-p within what top-k kept.
  uint mass_threshold = threshold;
  const float top_p = intBitsToFloat(sampler_word(kTopP));
  if (top_p < 1.0) {
    const float wanted = top_p * mass_kept(threshold, threshold, last_equal);
    uint found = 0;
    for (int bit = 31; bit >= 0; --bit) {
      const uint candidate = found | (1u << bit);
      if (mass_kept(candidate, threshold, last_equal) >= wanted) found = candidate;
    }
    // The best token alone is always kept, also when p is 0.
    mass_threshold = max(threshold, min(found, order_of(best_logit)));
  }

  // The draw: every lane sums a run of consecutive tokens, so that index order is lane order.
  min_p = intBitsToFloat(sampler_word(kMinP));
  const uint blocks = vocabulary / WIDTH;
  const uint run = (blocks + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
  const uint begin = min(lane * run, blocks);
  const uint end = min(begin + run, blocks);
  float mass = 0.0;
  uint last = kNowhere;
  for (uint i = begin; i < end; ++i) {
    const Block block = load_block(i);
    for (uint c = 0; c < WIDTH; ++c) {
      const float weight = drawn_weight(block_logit(block, c), i * WIDTH + c, mass_threshold, threshold, last_equal);
      if (weight < 0.0) continue;
      mass += weight;
      last = i * WIDTH + c;
    }
  }
  lane_mass[lane] = mass;
  lane_last[lane] = last;
  barrier();
  if (lane == 0) {
    float total = 0.0;
    for (uint i = 0; i < gl_WorkGroupSize.x; ++i) total += lane_mass[i];
    const float target = float(random_bits()) / 16777216.0 * total;
    // The lane in whose run the target falls; rounding may leave it past all of them, then the last one that has any.
    float before = 0.0;
    shared_lane = 0;
    shared_start = target;
    for (uint i = 0; i < gl_WorkGroupSize.x; ++i) {
      if (lane_last[i] == kNowhere) continue;
      shared_lane = i;
      shared_start = target - before;
      before += lane_mass[i];
      if (before > target) break;
    }
  }
  barrier();
  if (lane != shared_lane) return;
  float passed = 0.0;
  uint token = last;
  bool found = false;
  for (uint i = begin; i < end && !found; ++i) {
    const Block block = load_block(i);
    for (uint c = 0; c < WIDTH && !found; ++c) {
      const float weight = drawn_weight(block_logit(block, c), i * WIDTH + c, mass_threshold, threshold, last_equal);
      if (weight < 0.0) continue;
      passed += weight;
      found = passed > shared_start;
      if (found) token = i * WIDTH + c;
    }
  }
  commit(int(token));
}
