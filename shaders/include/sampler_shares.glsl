// Sampling whose sequences are each shared by `shares` workgroups: workgroup s of a sequence has logits
// [s share_size, (s + 1) share_size). What they find is made of integers, which add up to the same in any order: keys in
// the order of the logits, counts of tokens, and masses in fixed point. Include after memory.glsl and special.glsl with
// local_size_x = LANES. PARTS is where the bindings of arrival.glsl are.
#ifndef HEED_SAMPLER_SHARES_GLSL
#define HEED_SAMPLER_SHARES_GLSL

#define SEQUENCE (workgroup_index() / shares)
#define HEED_SAMPLER_STATE
#include "sampler.glsl"
#define PARTS_TYPE uint
#include "arrival.glsl"

uint lane;        // these are set by begin_share()
uint share;       // number of this workgroup among those of its sequence
uvec2 own_range;  // its logits

void begin_share() {
  lane = gl_LocalInvocationID.x;
  share = workgroup_index() % shares;
  own_range.x = min(share * share_size, vocabulary);
  own_range.y = min(own_range.x + share_size, vocabulary);
}

// Where the words of this sequence lie in `parts`.
uint search_at(uint word) { return SEQUENCE * words + word; }
uint share_at(uint of_share) { return search_at(kSearchWords + of_share * kShareWords); }
uint histogram_at(uint number) { return search_at(kSearchWords + shares * kShareWords + number * kBinWords * BINS); }

// The smaller the key, the larger the logit; equal logits have equal keys, and -0 is 0.
const uint kBrokenKey = 0;          // of NaN and infinity, before all others
const uint kNoKey = 0xffffffffu;    // of -infinity, which is never chosen
const uint kLastKey = 0xff7fffffu;  // of the least finite logit
uint key_of(float logit) {
  if (is_broken(logit)) return kBrokenKey;
  if (!is_finite(logit)) return kNoKey;
  const uint bits = floatBitsToUint(logit);
  if (bits == 0x80000000u) return 0x7fffffffu;
  return (bits & 0x80000000u) != 0 ? bits : bits ^ 0x7fffffffu;
}
float logit_of(uint key) { return uintBitsToFloat(key < 0x80000000u ? key ^ 0x7fffffffu : key); }

shared uint first_keys[LANES];
shared uint first_tokens[LANES];

// Of what the lanes bring, the smallest key, and the first token that has it.
uvec2 workgroup_first(uvec2 own) {
  first_keys[lane] = own.x;
  first_tokens[lane] = own.y;
  barrier();
  for (uint count = LANES; count > 1; count = (count + 1) / 2) {
    const uint other = lane + (count + 1) / 2;
    if (other < count) {
      const uint key = first_keys[other];
      if (key < first_keys[lane] || (key == first_keys[lane] && first_tokens[other] < first_tokens[lane])) {
        first_keys[lane] = key;
        first_tokens[lane] = first_tokens[other];
      }
    }
    barrier();
  }
  return uvec2(first_keys[0], first_tokens[0]);
}

// The key of this sequence's largest logit, kBrokenKey where one is broken, kNoKey where none is finite, and the first
// token that has it: true in the workgroup that knows, the last of the sequence.
bool finds_first(out uvec2 best) {
  best = uvec2(kNoKey, 0);
  for (uint i = own_range.x + lane; i < own_range.y; i += LANES) {
    const uint key = key_of(load_block(i));
    if (key < best.x) best = uvec2(key, i);
  }
  best = workgroup_first(best);
  if (lane == 0) {
    parts[share_at(share)] = best.x;
    parts[share_at(share) + 1] = best.y;
  }
  if (!arrives_last(SEQUENCE, shares)) return false;
  best = uvec2(kNoKey, 0);
  for (uint s = lane; s < shares; s += LANES) {
    const uint key = parts[share_at(s)];
    if (key < best.x) best = uvec2(key, parts[share_at(s) + 1]);
  }
  best = workgroup_first(best);
  return true;
}

// What sample_largest.comp and sample_search.comp leave for the dispatches after them.
const uint kBestKey = 0;    // as finds_first() says it
const uint kKeepKey = 1;    // top-k: tokens with larger keys are dropped, and those that have it ...
const uint kKeepEqual = 2;  // ... but for the first so many
const uint kMassKey = 3;    // top-p: tokens with larger keys are dropped
const uint kGoal = 4;       // what the next pass of the search looks for (sample_search.comp)
const uint kRangeKey = 5;   // among the keys from here ...
const uint kRangeLast = 6;  // ... to that plus this
const uint kBefore = 7;     // count and mass of the tokens before those, three words
const uint kWanted = 10;    // how many tokens, or, in two words, what mass is to be reached

#ifdef SAMPLER_MASSES
// Tokens and what they weigh, in units of 2^-40. A weight is at most 1, so 2^24 tokens fit 64 bits.
struct Amount {
  uint count;
  uvec2 mass;  // low and high word
};
const Amount kNothing = Amount(0, uvec2(0));

uvec2 mass_sum(uvec2 a, uvec2 b) {
  uint carry;
  const uint low = uaddCarry(a.x, b.x, carry);
  return uvec2(low, a.y + b.y + carry);
}
bool mass_less(uvec2 a, uvec2 b) { return a.y < b.y || (a.y == b.y && a.x < b.x); }
Amount sum_of(Amount a, Amount b) { return Amount(a.count + b.count, mass_sum(a.mass, b.mass)); }

// mass * fraction / 2^32, without what is left.
uvec2 mass_part(uvec2 mass, uint fraction) {
  uint high, low, above, unused;
  umulExtended(mass.y, fraction, high, low);
  umulExtended(mass.x, fraction, above, unused);
  return mass_sum(uvec2(low, high), uvec2(above, 0));
}
uvec2 mass_times(uvec2 mass, uint count) {
  uint high, low;
  umulExtended(mass.x, count, high, low);
  return uvec2(low, high + mass.y * count);
}

float best_logit;
float inverse_temperature;
void begin_weights(uint best_key) {
  best_logit = logit_of(best_key);
  inverse_temperature = 1.0 / intBitsToFloat(sampler_word(kTemperature));
}
// In [0, 1]; that of the largest logit is 1.
float weight_of(float logit) {
  return logit == best_logit ? 1.0 : clamp(exp((logit - best_logit) * inverse_temperature), 0.0, 1.0);
}
uvec2 mass_of(float weight) {
  const float scaled = weight * 256.0;
  const float whole = floor(scaled);
  return uvec2(uint((scaled - whole) * 4294967296.0 + 0.5), uint(whole));  // the difference is exact
}

shared uint scan_counts[LANES];
shared uvec2 scan_masses[LANES];
Amount scan_at(uint i) { return Amount(scan_counts[i], scan_masses[i]); }

// Amounts of the lanes before this one; `all` becomes that of all lanes. Called by all of them.
Amount workgroup_before(Amount own, out Amount all) {
  Amount sum = own;
  for (uint step = 1; step < LANES; step *= 2) {
    barrier();
    scan_counts[lane] = sum.count;
    scan_masses[lane] = sum.mass;
    barrier();
    if (lane >= step) sum = sum_of(sum, scan_at(lane - step));
  }
  barrier();
  scan_counts[lane] = sum.count;
  scan_masses[lane] = sum.mass;
  barrier();
  all = scan_at(LANES - 1);
  Amount before = kNothing;
  if (lane > 0) before = scan_at(lane - 1);
  barrier();
  return before;
}
#endif

#endif
