#version 450
// variant ACCESS: storage texel
// variant SUBGROUP: 1 0
//
// Top-k, typical-p, top-p, min-p and XTC (engine/ops/filter_logits.cpp), by one workgroup a sequence and without sorting,
// as sample.comp does it: a float's bits, turned so that their order is that of the numbers, are searched bit by bit for
// the threshold that keeps as much as is wanted. Each of the at most 120 passes reads all logits once, of sequences that
// have such a filter; others are copied.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/filter_logits.h"
#include "memory.glsl"
#include "special.glsl"
#include "reduce.glsl"
#include "sampler.glsl"

READ_F32(0, logits);
READ_I32(1, position);
READ_I32(2, sampler_state);
READ_I32(3, rules);
WRITE_F32(4, filtered);
#include "logit_rules.glsl"

const uint kNowhere = 0xffffffffu;

uint sequence;
uint lane;
float best_logit;
float inverse_temperature;

// What is kept so far, of top-k, typical-p, and those that look at the logit.
uint top_k_threshold = 1;
uint last_equal = kNowhere;
float mean_height = 0.0;  // what the height of a typical token is
uint most_deviation = kNowhere;
uint threshold = 1;

float load_logit(uint i) { return load_f32(logits, first + sequence * vocabulary + i); }
int word_of_sampler(uint word) { return load_i32(sampler_state, sequence * kSamplerWords + word); }

// Unsigned integers in the order of the floats; 0 for what cannot be chosen.
uint order_of(float value) {
  if (!is_finite(value)) return 0;
  const uint bits = floatBitsToUint(value == 0.0 ? 0.0 : value);  // -0 is 0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The logarithm of a token's weight, which is its probability but for what all have in common.
float height_of(float value) { return (value - best_logit) * inverse_temperature; }
float weight_of(float value) { return exp(height_of(value)); }
// |-log p - entropy| is how far a token's height is from the mean of all heights; as its bits, which have its order.
uint deviation_of(float value) { return floatBitsToUint(abs(height_of(value) - mean_height)); }

bool in_top_k(float value, uint i, uint from, uint last) {
  const uint order = order_of(value);
  return order > from || (order == from && order != 0 && i <= last);
}
bool is_kept(float value, uint i) {
  const uint order = order_of(value);
  return order >= threshold && in_top_k(value, i, top_k_threshold, last_equal) &&
         (most_deviation == kNowhere || deviation_of(value) <= most_deviation);
}

// How many are kept by top-k; exact in float up to 2^24 tokens.
float count_of(uint from, uint last) {
  float count = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    if (in_top_k(load_logit(i), i, from, last)) count += 1.0;
  }
  return workgroup_sum(count);
}

void find_top_k(uint k) {
  uint found = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint candidate = found | (1u << bit);
    if (count_of(candidate, kNowhere) >= float(k)) found = candidate;
  }
  top_k_threshold = max(found, 1u);
  if (count_of(top_k_threshold, kNowhere) <= float(k)) return;
  // The largest index bound with fewer than k kept, plus one, keeps exactly k.
  uint below = 0;
  for (int bit = findMSB(vocabulary); bit >= 0; --bit) {
    const uint candidate = below | (1u << bit);
    if (candidate <= vocabulary && count_of(top_k_threshold, candidate - 1) < float(k)) below = candidate;
  }
  last_equal = below;
}

// The weight of what is kept; of tokens whose deviation is less than `deviation`, and whose order is at least `order`.
float mass_of(uint deviation, uint order) {
  float mass = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    if (is_kept(value, i) && order_of(value) >= order && (deviation == kNowhere || deviation_of(value) < deviation)) {
      mass += weight_of(value);
    }
  }
  return workgroup_sum(mass);
}

// Some weight is always wanted, so that a share of 0 keeps a token, too.
float share_of(float share) { return max(share * mass_of(kNowhere, 0), 1e-30); }

void find_typical(float typical_p) {
  float sum = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    if (!is_kept(value, i)) continue;
    const float weight = weight_of(value);
    if (weight > 0.0) sum += weight * height_of(value);
  }
  mean_height = workgroup_sum(sum) / mass_of(kNowhere, 0);
  const float wanted = share_of(typical_p);
  // The largest deviation up to which there is less.
  uint below = 0;
  for (int bit = 30; bit >= 0; --bit) {
    const uint candidate = below | (1u << bit);
    if (mass_of(candidate, 0) < wanted) below = candidate;
  }
  most_deviation = below;
}

void find_top_p(float top_p) {
  const float wanted = share_of(top_p);
  uint found = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint candidate = found | (1u << bit);
    if (mass_of(kNowhere, candidate) >= wanted) found = candidate;
  }
  threshold = max(found, 1u);
}

// The largest weight that is kept.
float most_kept() {
  float most = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    if (is_kept(value, i)) most = max(most, weight_of(value));
  }
  return workgroup_max(most);
}

// Above this, tokens are excluded, at a chance of it: the least logit of those that have so much.
float find_excluded(float least_weight, float xtc_threshold) {
  float mass = 0.0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    if (is_kept(value, i) && weight_of(value) >= least_weight) mass += weight_of(value);
  }
  const float wanted = xtc_threshold * workgroup_sum(mass);
  float least = -kLargest;  // less the least
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    const float weight = weight_of(value);
    if (is_kept(value, i) && weight >= least_weight && weight >= wanted) least = max(least, -value);
  }
  least = workgroup_max(least);
  return least == -kLargest ? kLargest : -least;
}

// Whether XTC does something at this step: 24 bits of the generator, another number than that of the draw.
bool is_drawn(float probability) {
  const uvec4 counter = uvec4(uint(word_of_sampler(kStep)), uint(word_of_sampler(kStream)), 1, 0);
  const uint number = philox(counter, uvec2(uint(word_of_sampler(kSeedLow)), uint(word_of_sampler(kSeedHigh)))).x >> 8;
  return float(number) / 16777216.0 < probability;
}

void main() {
  sequence = workgroup_index();
  if (sequence >= sequences) return;
  lane = gl_LocalInvocationID.x;
  const uint to = sequence * vocabulary;
  float best = -kLargest;
  float any = 0.0;  // 1: a finite logit, 2: a broken one
  const bool filters = load_i32(position, sequence) >= 0 && rule_of(sequence, kFilters) != 0;
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    if (is_finite(value)) {
      best = max(best, value);
      any = max(any, 1.0);
    } else if (floatBitsToUint(value) != 0xff800000u) {
      any = 2.0;
    }
    if (!filters) filtered[to + i] = value;
  }
  if (!filters) return;
  best_logit = workgroup_max(best);
  const bool chooses = workgroup_max(any) == 1.0;
  float least_weight = 0.0;
  float most_logit = kLargest;
  if (chooses) {
    inverse_temperature = 1.0 / rule_real(sequence, kFilterTemperature);
    const uint k = uint(rule_of(sequence, kFilterTopK));
    if (k > 0 && k < vocabulary) find_top_k(k);
    const float typical_p = rule_real(sequence, kTypicalP);
    if (typical_p < 1.0) find_typical(typical_p);
    const float top_p = rule_real(sequence, kFilterTopP);
    if (top_p < 1.0) find_top_p(top_p);
    const float min_p = rule_real(sequence, kFilterMinP);
    if (min_p > 0.0) least_weight = min_p * most_kept();
    const float xtc_probability = rule_real(sequence, kXtcProbability);
    if (xtc_probability > 0.0 && is_drawn(xtc_probability)) {
      most_logit = find_excluded(least_weight, rule_real(sequence, kXtcThreshold));
    }
  }
  for (uint i = lane; i < vocabulary; i += gl_WorkGroupSize.x) {
    const float value = load_logit(i);
    const bool stays = !chooses || (is_kept(value, i) && weight_of(value) >= least_weight && value <= most_logit);
    filtered[to + i] = stays ? value : -kInfinity;
  }
}
