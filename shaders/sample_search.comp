#version 450
// variant ACCESS: storage texel
//
// A pass of the search for the keys at which top-k and top-p end (engine/ops/sample_kernels.cpp), by many workgroups a
// sequence. The tokens whose keys lie in a range are counted and weighed in BINS bins of equal width, by each workgroup
// in shared memory, then together; the last to arrive finds the bin in which the goal is reached. That is the range of
// the next pass, until it is a single key. Then top-p begins anew within what top-k kept, with the first pass's bins.
// All of it is exact: counts, and sums of masses in fixed point. A pass without a goal leaves at once.
//
// A pass reads all logits once, of which few lie in the range from the second pass on.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample_shares.h"
#include "memory.glsl"
#include "special.glsl"
#define PARTS 3
#define SAMPLER_READ_ONLY
#define SAMPLER_MASSES
#include "sampler_shares.glsl"

const uint kNoGoal = 0;
const uint kGoalCount = 1;  // the last of the `wanted` first tokens
const uint kGoalMass = 2;   // with which `wanted` is reached

const uint kFirstShift = 32 - BIN_BITS;
const uint RUN = (BINS + LANES - 1) / LANES;  // bins of a lane

shared uint bin_counts[BINS];
shared uint bin_lows[BINS];
shared uint bin_highs[BINS];
shared uint found_bin;
shared uint found_counts[2];  // before the bin, and in it
shared uvec2 found_masses[2];

// The first pass's bins stay, for top-p; the others take turns with two histograms.
uint histogram_of(uint of_pass) { return of_pass == 0 ? 0 : 1 + of_pass % 2; }

void add_to_bin(uint bin, uvec2 mass) {
  atomicAdd(bin_counts[bin], 1);
  const uint low = atomicAdd(bin_lows[bin], mass.x);
  const uint high = mass.y + (low + mass.x < low ? 1 : 0);
  if (high != 0) atomicAdd(bin_highs[bin], high);
}

// Adds what this workgroup counted to what all of them did.
void add_bins(uint histogram) {
  for (uint bin = lane; bin < BINS; bin += LANES) {
    if (bin_counts[bin] == 0) continue;
    atomicAdd(parts[histogram + bin], bin_counts[bin]);
    const uint own = bin_lows[bin];
    const uint low = atomicAdd(parts[histogram + BINS + bin], own);
    const uint high = bin_highs[bin] + (low + own < low ? 1 : 0);
    if (high != 0) atomicAdd(parts[histogram + 2 * BINS + bin], high);
  }
}

Amount bin_at(uint histogram, uint bin) {
  return Amount(parts[histogram + bin], uvec2(parts[histogram + BINS + bin], parts[histogram + 2 * BINS + bin]));
}

bool reached(uint goal, Amount amount, uvec2 wanted) {
  return goal == kGoalCount ? amount.count >= wanted.x : !mass_less(amount.mass, wanted);
}

// The amounts of a lane's bins.
Amount run_amount(uint histogram) {
  Amount sum = kNothing;
  for (uint i = 0; i < RUN; ++i) {
    if (lane * RUN + i < BINS) sum = sum_of(sum, bin_at(histogram, lane * RUN + i));
  }
  return sum;
}

// Sets found_* to the first bin at the end of which the goal is reached. `before` is the amount before this lane's run of
// them. The sum of all bins reaches it; where a driver loses counts it does not: false, and no token is chosen.
bool find_bin(uint histogram, uint goal, uvec2 wanted, Amount before, Amount run) {
  if (lane == 0) found_bin = kNoKey;
  barrier();
  if (!reached(goal, before, wanted) && reached(goal, sum_of(before, run), wanted)) {
    bool found = false;
    for (uint i = 0; i < RUN && !found; ++i) {
      const uint bin = min(lane * RUN + i, BINS - 1);
      const Amount own = bin_at(histogram, bin);
      found = reached(goal, sum_of(before, own), wanted);
      if (found) {
        found_bin = bin;
        found_counts[0] = before.count;
        found_counts[1] = own.count;
        found_masses[0] = before.mass;
        found_masses[1] = own.mass;
      }
      before = sum_of(before, own);
    }
  }
  barrier();
  if (found_bin == kNoKey && lane == 0) parts[search_at(kBestKey)] = kBrokenKey;
  return found_bin != kNoKey;
}

// The next pass looks into the bin that was found.
void narrow(uint goal, uvec2 wanted, uint key, uint shift) {
  parts[search_at(kGoal)] = goal;
  parts[search_at(kRangeKey)] = key + (found_bin << shift);
  parts[search_at(kRangeLast)] = (1u << shift) - 1;
  parts[search_at(kBefore)] = found_counts[0];
  parts[search_at(kBefore) + 1] = found_masses[0].x;
  parts[search_at(kBefore) + 2] = found_masses[0].y;
  parts[search_at(kWanted)] = wanted.x;
  parts[search_at(kWanted) + 1] = wanted.y;
}

// The mass at which top-p ends, of so much in all; the best token is always kept, also where p is 0.
uvec2 top_p_mass(uvec2 all, float top_p) {
  const uvec2 mass = mass_part(all, uint(max(top_p, 0.0) * 4294967296.0));
  return mass == uvec2(0) ? uvec2(1, 0) : mass;
}

void main() {
  begin_share();
  if (!has_sequence()) return;
  const uint best_key = parts[search_at(kBestKey)];
  if (best_key == kBrokenKey || best_key == kNoKey) return;
  const uint top_k = uint(sampler_word(kTopK));
  const float top_p = intBitsToFloat(sampler_word(kTopP));
  uint goal = parts[search_at(kGoal)];
  if (pass == 0 ? top_k == 0 && !(top_p < 1.0) : goal == kNoGoal) return;
  begin_weights(best_key);
  uint range_key = 0;
  uint range_last = kNoKey;
  uint shift = kFirstShift;
  uvec2 wanted = uvec2(0);
  Amount before_range = kNothing;
  const uint keep_key = parts[search_at(kKeepKey)];
  if (pass > 0) {
    range_key = parts[search_at(kRangeKey)];
    range_last = parts[search_at(kRangeLast)];
    shift = uint(max(findMSB(range_last) + 1 - int(BIN_BITS), 0));
    wanted = uvec2(parts[search_at(kWanted)], parts[search_at(kWanted) + 1]);
    before_range = Amount(parts[search_at(kBefore)], uvec2(parts[search_at(kBefore) + 1], parts[search_at(kBefore) + 2]));
  }

  for (uint bin = lane; bin < BINS; bin += LANES) bin_counts[bin] = bin_lows[bin] = bin_highs[bin] = 0;
  barrier();
  for (uint i = own_range.x + lane; i < own_range.y; i += LANES) {
    const float logit = load_block(i);
    const uint key = key_of(logit);
    if (key < range_key || key - range_key > range_last || key > keep_key) continue;
    add_to_bin((key - range_key) >> shift, mass_of(weight_of(logit)));
  }
  barrier();
  const uint histogram = histogram_at(histogram_of(pass));
  add_bins(histogram);
  // What the pass before used is free for the next one.
  for (uint i = share * LANES + lane; i < kBinWords * BINS && pass > 1; i += shares * LANES) {
    parts[histogram_at(histogram_of(pass + 1)) + i] = 0;
  }
  if (!arrives_last(SEQUENCE, shares)) return;

  const Amount run = run_amount(histogram);
  Amount all;
  Amount before = workgroup_before(run, all);
  if (pass == 0) {
    goal = top_k > 0 && top_k < all.count ? kGoalCount : top_p < 1.0 ? kGoalMass : kNoGoal;
    if (goal == kNoGoal) return;
    wanted = goal == kGoalCount ? uvec2(top_k, 0) : top_p_mass(all.mass, top_p);
  }
  if (!find_bin(histogram, goal, wanted, sum_of(before_range, before), run)) return;
  if (shift > 0) {
    if (lane == 0) narrow(goal, wanted, range_key, shift);
    return;
  }

  const uint key = range_key + found_bin;
  if (goal == kGoalMass) {
    if (lane == 0) {
      parts[search_at(kMassKey)] = key;
      parts[search_at(kGoal)] = kNoGoal;
    }
    return;
  }
  const uint equals = wanted.x - found_counts[0];
  if (lane == 0) {
    parts[search_at(kKeepKey)] = key;
    parts[search_at(kKeepEqual)] = equals;
    parts[search_at(kGoal)] = kNoGoal;
  }
  if (!(top_p < 1.0)) return;
  // What top-k kept is never more than what the bins hold up to there, so top-p ends in one of them.
  const uvec2 of_equals = mass_times(mass_of(weight_of(logit_of(key))), equals);
  uvec2 kept = mass_sum(found_masses[0], of_equals);
  const uvec2 most = mass_sum(found_masses[0], found_masses[1]);
  if (mass_less(most, kept)) kept = most;
  wanted = top_p_mass(kept, top_p);
  const Amount first_run = run_amount(histogram_at(0));
  before = workgroup_before(first_run, all);
  const bool found = find_bin(histogram_at(0), kGoalMass, wanted, before, first_run);
  if (found && lane == 0) narrow(kGoalMass, wanted, 0, kFirstShift);
}
