#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
//
// The first half of a step of beam search (engine/ops/beam_search.cpp): for each row, a beam, its best KEEP next tokens in
// order, with the beam's sum of log probabilities grown by theirs. One workgroup a row, which reads it once: each lane
// goes through every gl_WorkGroupSize.x-th block, keeps the KEEP best of its own in order in shared memory, and sums the
// exponentials as it goes (online softmax, Milakov and Gimelshein 2018). Few logits are better than the worst a lane keeps
// (about KEEP ln(n / KEEP) of n), so that what must be asked of those alone, whether they are suppressed or would repeat
// words, costs little. Reads 4 bytes and does about 4 flops a logit.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KEEP = 2;
#include "memory.glsl"
#include "special.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Push {
  uint rows;
  uint vocabulary;
  uint beams;
};

#ifdef VECTOR_4
#define Block vec4
const uint WIDTH = 4;
READ_F32X4(0, logits);
Block load_block(uint i) { return load_f32x4(logits, i); }
float block_logit(Block b, uint c) { return b[c]; }
#else
#define Block float
const uint WIDTH = 1;
READ_F32(0, logits);
Block load_block(uint i) { return load_f32(logits, i); }
float block_logit(Block b, uint c) { return b; }
#endif
READ_F32(1, sums);
READ_I32(2, table);
READ_I32(3, records);
READ_I32(4, progress);
READ_I32(5, options);
WRITE_I32(6, candidates);
#include "beam.glsl"

shared float kept_logits[KEEP * gl_WorkGroupSize.x];
shared int kept_tokens[KEEP * gl_WorkGroupSize.x];

uint row;
uint made;  // tokens that the row's sentence has; its newest lies at position `made`

int token_at(uint position) { return load_i32(records, 2 * uint(load_i32(table, position * rows + row))); }

// Whether the token would make n tokens in a row that are there already. Position 0 is where every sentence begins.
bool repeats(int token) {
  const uint n = uint(load_i32(options, kNoRepeat));
  if (n == 0 || made + 1 < n) return false;
  for (uint end = n; end <= made; ++end) {
    if (token_at(end) != token) continue;
    bool same = true;
    for (uint back = 1; back < n && same; ++back) same = token_at(end - back) == token_at(made + 1 - back);
    if (same) return true;
  }
  return false;
}

bool may_come(int token) {
  const int count = load_i32(options, kSuppressedCount);
  for (int i = 0; i < count; ++i) {
    if (load_i32(options, kSuppressed + uint(i)) == token) return false;
  }
  if (int(made) < load_i32(options, kMinTokens) && is_end(token)) return false;
  return !repeats(token);
}

bool has_come(int token) {
  for (uint at = 0; at <= made; ++at) {
    if (token_at(at) == token) return true;
  }
  return false;
}

// Adds exp(x - largest) to total, where largest may grow.
void add_exponential(float x, inout float largest, inout float total) {
  if (x > largest) {
    total *= exp(largest - x);
    largest = x;
  }
  total += exp(x - largest);
}

// The logarithm of the sum of all exponentials of the row.
float log_of_all() {
  float largest = -kLargest;
  float total = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    const Block block = load_block(row * (vocabulary / WIDTH) + i);
    for (uint c = 0; c < WIDTH; ++c) {
      if (is_finite(block_logit(block, c))) add_exponential(block_logit(block, c), largest, total);
    }
  }
  const float row_largest = workgroup_max(largest);
  return row_largest + log(workgroup_sum(largest == -kLargest ? 0.0 : total * exp(largest - row_largest)));
}

void write_candidate(uint i, float score, int token) {
  const uint at = (row * KEEP + i) * kCandidateWords;
  candidates[at] = floatBitsToInt(score);
  candidates[at + 1] = token;
}

// The token that must come next, kNoToken if any may.
int forced_token(uint sentence) {
  const uint forced = uint(load_i32(options, kForced));
  if (made < forced) {
    const int token = load_i32(options, kFirstForced + sentence * forced + made);
    if (token >= 0) return token;
  }
  return int(made) + 1 == load_i32(options, kMaxTokens) ? load_i32(options, kForcedLast) : kNoToken;
}

void main() {
  const uint lane = gl_LocalInvocationID.x;
  row = workgroup_index();
  if (row >= rows) return;
  const uint sentence = row / beams;
  made = uint(load_i32(progress, 2 * sentence + 1));
  const float sum_before = load_f32(sums, row);
  if (load_i32(progress, 2 * sentence) != kRunning || sum_before < kLeastScore) {
    if (lane == 0) write_candidate(0, kNoScore, kNoToken);
    return;
  }

  const bool renormalise = load_i32(options, kRenormalise) != 0;
  const float penalty = intBitsToFloat(load_i32(options, kRepetitionPenalty));
  const float log_sum = penalty > 1.0 && beams > 1 ? log_of_all() : 0.0;

  float largest = -kLargest;
  float total = 0.0;
  float broken = 0.0;
  float finite = 0.0;
  uint kept = 0;
  const uint first = lane * KEEP;
  for (uint i = lane; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    const Block block = load_block(row * (vocabulary / WIDTH) + i);
    for (uint c = 0; c < WIDTH; ++c) {
      float logit = block_logit(block, c);
      if (!is_finite(logit)) {
        // -infinity is a token that never comes.
        if (is_nan(logit) || logit > 0.0) broken = 1.0;
        continue;
      }
      finite = 1.0;
      const int token = int(i * WIDTH + c);
      if (!renormalise) add_exponential(logit, largest, total);
      // Equals keep their order: a later one is not better. A penalty makes none better.
      const bool good = kept < KEEP || logit > kept_logits[first + KEEP - 1];
      if ((!good && !renormalise) || !may_come(token)) continue;
      if (penalty > 1.0 && has_come(token)) {
        logit = beams > 1 ? log_sum + (logit - log_sum) * penalty : logit > 0.0 ? logit / penalty : logit * penalty;
      }
      if (renormalise) add_exponential(logit, largest, total);
      if (kept == KEEP && logit <= kept_logits[first + KEEP - 1]) continue;
      uint at = min(kept, KEEP - 1);
      while (at > 0 && kept_logits[first + at - 1] < logit) {
        kept_logits[first + at] = kept_logits[first + at - 1];
        kept_tokens[first + at] = kept_tokens[first + at - 1];
        --at;
      }
      kept_logits[first + at] = logit;
      kept_tokens[first + at] = token;
      kept = min(kept + 1, KEEP);
    }
  }
  const bool any_broken = workgroup_max(broken) > 0.0;
  const bool any_finite = workgroup_max(finite) > 0.0;
  const float row_largest = workgroup_max(largest);
  const float row_total = workgroup_sum(largest == -kLargest ? 0.0 : total * exp(largest - row_largest));
  if (any_broken || !any_finite) {
    if (lane == 0) write_candidate(0, kNoScore, kBrokenRow);
    return;
  }
  const int forced = forced_token(sentence);
  if (forced >= 0) {
    // What had to come says nothing about how good the beam is.
    if (lane == 0) {
      write_candidate(0, sum_before, forced);
      if (KEEP > 1) write_candidate(1, kNoScore, kNoToken);
    }
    return;
  }

  const float log_total = row_largest + log(row_total);
  uint next = 0;  // of the lane's own
  for (uint i = 0; i < KEEP; ++i) {
    const float own = next < kept ? kept_logits[first + next] : -kLargest;
    const float best = workgroup_max(own);
    // Of equals the smallest token. Both halves of it are exact in a float.
    const int token = next < kept && own == best ? kept_tokens[first + next] : 0x7fffffff;
    const float high = -workgroup_max(-float(token >> 16));
    const float low = -workgroup_max(float(token >> 16) == high ? -float(token & 0xffff) : -65536.0);
    if (high == float(0x7fffffff >> 16)) {
      if (lane == 0) write_candidate(i, kNoScore, kNoToken);
      return;
    }
    const int chosen = (int(high) << 16) | int(low);
    if (token == chosen) {
      ++next;
      write_candidate(i, sum_before + (best - log_total), chosen);
    }
  }
}
