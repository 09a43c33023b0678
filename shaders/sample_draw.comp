#version 450
// variant ACCESS: storage texel
// variant SEVERAL: 0 1
//
// The last dispatch of a draw by many workgroups a sequence (engine/ops/sample_kernels.cpp): a token of those that top-k,
// top-p and min-p kept. Each workgroup leaves the mass of its share, and how many of it equal the last that top-k kept,
// since only the first of these take part. The last to arrive finds the share into which the random number falls, then
// the token in it.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/sample_shares.h"
#include "memory.glsl"
#include "special.glsl"
#ifdef SEVERAL_1
#define PARTS 4
#else
#define PARTS 6
#endif
#define SAMPLER_MASSES
#include "sampler_shares.glsl"

uint keep_key;
uint mass_key;
float min_p;

// Count 1 and no mass for a token that equals the last that top-k kept; else its mass, if it takes part.
Amount token_amount(uint token) {
  const float logit = load_block(token);
  const uint key = key_of(logit);
  if (key > keep_key || key > mass_key) return kNothing;
  const float weight = weight_of(logit);
  if (weight < min_p) return kNothing;
  return key == keep_key ? Amount(1, uvec2(0)) : Amount(0, mass_of(weight));
}

Amount share_amount(uint of_share) {
  const uint at = share_at(of_share);
  return Amount(parts[at], uvec2(parts[at + 1], parts[at + 2]));
}

// The mass of an item with `own` tokens that equal the last that top-k kept, `before` of them before it.
uvec2 drawn_mass(Amount own, uint before, uint keep_equal, uvec2 equal_mass) {
  const uint kept = min(own.count, keep_equal - min(before, keep_equal));
  return mass_sum(own.mass, mass_times(equal_mass, kept));
}

shared uint picked;
shared uint picked_equals;  // before it
shared uvec2 picked_mass;   // between its beginning and what is looked for

#define HEED_ITEM(of_shares, i) ((of_shares) ? share_amount(i) : token_amount(i))

// Sets picked* to the one of the items [begin, end), shares or tokens, in which a mass lies: of shares the drawn part of
// them all, of tokens `target`. Items are never more than a word counts. Lanes have runs of consecutive items.
void pick(bool of_shares, uint begin, uint end, uint equals, uvec2 target, uint drawn) {
  const uint run = (end - begin + LANES - 1) / LANES;
  const uint from = min(begin + lane * run, end);
  const uint to = min(from + run, end);
  const uint keep_equal = parts[search_at(kKeepEqual)];
  const uvec2 equal_mass = mass_of(weight_of(logit_of(keep_key)));
  Amount sum = kNothing;
  for (uint i = from; i < to; ++i) sum = sum_of(sum, HEED_ITEM(of_shares, i));
  Amount all;
  equals += workgroup_before(Amount(sum.count, uvec2(0)), all).count;
  const Amount own = Amount(0, drawn_mass(sum, equals, keep_equal, equal_mass));
  uvec2 before = workgroup_before(own, all).mass;
  if (of_shares) target = mass_part(all.mass, drawn);
  // The sum of a share is that of its tokens; should a compiler have made it differ, it is the last of them.
  if (!mass_less(target, all.mass)) target = all.mass.x == 0 ? uvec2(0xffffffffu, all.mass.y - 1) : uvec2(all.mass.x - 1, all.mass.y);
  if (lane == 0) picked = kNoKey;
  barrier();
  if (all.mass != uvec2(0) && !mass_less(target, before) && mass_less(target, mass_sum(before, own.mass))) {
    bool found = false;
    for (uint i = from; i < to && !found; ++i) {
      const Amount item = HEED_ITEM(of_shares, i);
      const uvec2 after = mass_sum(before, drawn_mass(item, equals, keep_equal, equal_mass));
      found = mass_less(target, after);
      if (found) {
        picked = i;
        picked_equals = equals;
        picked_mass = uvec2(target.x - before.x, target.y - before.y - (target.x < before.x ? 1 : 0));
      }
      before = after;
      equals += item.count;
    }
  }
  barrier();
}

void main() {
  begin_share();
  if (!has_sequence()) return;
  const uint best_key = parts[search_at(kBestKey)];
  if (best_key == kBrokenKey || best_key == kNoKey) {
    if (share == 0 && lane == 0) commit(-1);
    return;
  }
  begin_weights(best_key);
  keep_key = parts[search_at(kKeepKey)];
  mass_key = parts[search_at(kMassKey)];
  min_p = intBitsToFloat(sampler_word(kMinP));

  Amount own = kNothing;
  for (uint i = own_range.x + lane; i < own_range.y; i += LANES) own = sum_of(own, token_amount(i));
  Amount all;
  workgroup_before(own, all);
  if (lane == 0) {
    parts[share_at(share)] = all.count;
    parts[share_at(share) + 1] = all.mass.x;
    parts[share_at(share) + 2] = all.mass.y;
  }
  if (!arrives_last(SEQUENCE, shares)) return;

  pick(true, 0, shares, 0, uvec2(0), random_bits() << 8);
  const uint begin = min(picked, shares) * share_size;  // none: min-p leaves no token
  const uint end = min(begin + share_size, vocabulary);
  const bool any = picked != kNoKey;
  if (any) pick(false, begin, end, picked_equals, picked_mass, 0);
  if (lane == 0) commit(any ? int(picked) : -1);
}
