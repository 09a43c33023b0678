#version 450
// variant ACCESS: storage texel
// variant VECTOR: 4 1
// variant SUBGROUP: 1 0
//
// The first half of a step of beam search (engine/ops/beam_search.cpp): for each row, a beam, its best KEEP next tokens in
// order, with the beam's sum of log probabilities grown by theirs. One workgroup a row, which reads it once: each lane
// goes through every gl_WorkGroupSize.x-th block, keeps the KEEP best of its own as a heap in shared memory, the worst
// first, and sums the exponentials as it goes (online softmax, Milakov and Gimelshein 2018). Few logits are better than the
// worst a lane keeps (about KEEP ln(n / KEEP) of n). CPU drivers go through what lies behind a condition for all lanes, met
// or not: there each lane runs ahead to its next block with such a one (RUN_AHEAD). Which tokens may not come, and which
// have come, are bits in `marks`, so that asking takes no loop. Reads 4 bytes and does about 5 flops a logit.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/beam_candidates.h"
#include "memory.glsl"
#include "special.glsl"
#include "reduce.glsl"

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
// Of each row: tokens that may not come, and those that have come.
layout(set = 0, binding = 7, std430) coherent buffer marks_buffer { int marks[]; };
#include "beam.glsl"

shared float kept_logits[KEEP * gl_WorkGroupSize.x];
shared int kept_tokens[KEEP * gl_WorkGroupSize.x];
const int kNothingKept = 0x7fffffff;

uint row;
uint made;  // tokens that the row's sentence has; its newest lies at position `made`

int token_at(uint position) { return load_i32(records, 2 * uint(load_i32(table, position * rows + row))); }

const uint kForbidden = 0;
const uint kHasCome = 1;

uint mark_word(uint kind, uint token) { return (row * 2 + kind) * mark_words + token / 32; }

void mark(uint kind, int token) {
  if (token >= 0 && uint(token) < vocabulary) atomicOr(marks[mark_word(kind, uint(token))], 1 << (token & 31));
}

bool is_marked(uint kind, int token) {
  return ((marks[mark_word(kind, uint(token))] >> (token & 31)) & 1) != 0;
}

// Whether the newest n - 1 tokens and the one at `end` come in a row there. Position 0 is where every sentence begins.
bool repeats(uint n, uint end) {
  bool same = true;
  for (uint back = 1; back < n && same; ++back) same = token_at(end - back) == token_at(made + 1 - back);
  return same;
}

// Marks what is to be asked of tokens; false where there is nothing to ask. All lanes must call it.
bool mark_tokens(bool penalty) {
  const uint lane = gl_LocalInvocationID.x;
  const uint lanes = gl_WorkGroupSize.x;
  const uint n = uint(load_i32(options, kNoRepeat));
  const uint suppressed = uint(load_i32(options, kSuppressedCount));
  const uint ends = int(made) < load_i32(options, kMinTokens) ? uint(load_i32(options, kEndCount)) : 0;
  const bool may_repeat = n == 0 || made + 1 < n;
  if (suppressed == 0 && ends == 0 && may_repeat && !penalty) return false;
  for (uint i = lane; i < 2 * mark_words; i += lanes) marks[row * 2 * mark_words + i] = 0;
  memoryBarrierBuffer();
  barrier();
  for (uint i = lane; i < suppressed; i += lanes) mark(kForbidden, load_i32(options, kSuppressed + i));
  for (uint i = lane; i < ends; i += lanes) mark(kForbidden, load_i32(options, kEnds + i));
  if (!may_repeat) {
    for (uint end = n + lane; end <= made; end += lanes) {
      if (repeats(n, end)) mark(kForbidden, token_at(end));
    }
  }
  if (penalty) {
    for (uint at = lane; at <= made; at += lanes) mark(kHasCome, token_at(at));
  }
  memoryBarrierBuffer();
  barrier();
  return true;
}

// -infinity is a token that never comes, and so is what makes a sum no beam can have.
bool comes(float logit) { return is_finite(logit) && logit > kLeastScore; }

// Adds exp(x - largest) for each x of the block that comes to total, where largest may grow.
void add_exponentials(Block block, inout float largest, inout float total) {
  float top = largest;
  for (uint c = 0; c < WIDTH; ++c) top = comes(block_logit(block, c)) ? max(top, block_logit(block, c)) : top;
  total *= exp(largest - top);
  largest = top;
  for (uint c = 0; c < WIDTH; ++c) {
    total += comes(block_logit(block, c)) ? exp(block_logit(block, c) - top) : 0.0;
  }
}

// The logarithm of the sum of all exponentials of the row.
float log_of_all() {
  float largest = -kLargest;
  float total = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < vocabulary / WIDTH; i += gl_WorkGroupSize.x) {
    add_exponentials(load_block(row * (vocabulary / WIDTH) + i), largest, total);
  }
  const float row_largest = workgroup_max(largest);
  return row_largest + log(workgroup_sum(total * exp(largest - row_largest)));
}

// Of what a lane keeps, which begins at `first`: whether entry a is worse than b. Of equals the later token is.
bool is_worse(float a, int a_token, float b, int b_token) { return a < b || (a == b && a_token > b_token); }

// Puts a logit in place of the root of the first `size` of them and makes them a heap again.
void replace_worst(uint first, uint size, float logit, int token) {
  uint at = 0;
  while (2 * at + 1 < size) {
    uint child = first + 2 * at + 1;
    if (2 * at + 2 < size &&
        is_worse(kept_logits[child + 1], kept_tokens[child + 1], kept_logits[child], kept_tokens[child])) {
      ++child;
    }
    if (!is_worse(kept_logits[child], kept_tokens[child], logit, token)) break;
    kept_logits[first + at] = kept_logits[child];
    kept_tokens[first + at] = kept_tokens[child];
    at = child - first;
  }
  kept_logits[first + at] = logit;
  kept_tokens[first + at] = token;
}

// The best first.
void sort_kept(uint first) {
  for (uint size = KEEP - 1; size > 0; --size) {
    const float logit = kept_logits[first + size];
    const int token = kept_tokens[first + size];
    kept_logits[first + size] = kept_logits[first];
    kept_tokens[first + size] = kept_tokens[first];
    replace_worst(first, size, logit, token);
  }
}

void write_candidate(uint i, float score, int token) {
  const uint at = (row * KEEP + i) * kCandidateWords;
  candidates[at] = floatBitsToInt(score);
  candidates[at + 1] = token;
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
  const bool marked = mark_tokens(penalty > 1.0);
  const float log_sum = penalty > 1.0 && beams > 1 ? log_of_all() : 0.0;

  float largest = -kLargest;
  float total = 0.0;
  bool broken = false;
  bool any = false;
  const uint first = lane * KEEP;
  for (uint k = 0; k < KEEP; ++k) {
    kept_logits[first + k] = -kLargest;
    kept_tokens[first + k] = kNothingKept;
  }
  float worst = -kLargest;
  const uint blocks = vocabulary / WIDTH;
  uint i = lane;
  while (i < blocks) {
    // Left at its top alone: in lanes that have left a loop elsewhere, lavapipe computes what comes out of it again while
    // others go on, from buffers that read as 0 there.
    Block block;
    bool good = false;
    bool stop = false;
    for (; i < blocks && !stop; i += gl_WorkGroupSize.x) {
      block = load_block(row * blocks + i);
      for (uint c = 0; c < WIDTH; ++c) {
        const float logit = block_logit(block, c);
        const bool usual = comes(logit);
        any = any || usual;
        broken = broken || is_nan(logit) || (is_infinite(logit) && logit > 0.0);
        // Equals keep their order: a later one is not better. A penalty makes none better.
        good = good || (usual && (logit > worst || renormalise));
      }
      if (!renormalise) add_exponentials(block, largest, total);
      stop = good || RUN_AHEAD == 0;
    }
    if (!good) continue;
    const uint found = i - gl_WorkGroupSize.x;
    for (uint c = 0; c < WIDTH; ++c) {
      float logit = block_logit(block, c);
      const int token = int(found * WIDTH + c);
      if (!comes(logit) || (marked && is_marked(kForbidden, token))) continue;
      if (penalty > 1.0 && is_marked(kHasCome, token)) {
        logit = beams > 1 ? log_sum + (logit - log_sum) * penalty : logit > 0.0 ? logit / penalty : logit * penalty;
        if (!comes(logit)) continue;
      }
      if (renormalise) {
        const float top = max(largest, logit);
        total = total * exp(largest - top) + exp(logit - top);
        largest = top;
      }
      if (logit <= worst) continue;
      replace_worst(first, KEEP, logit, token);
      worst = kept_logits[first];
    }
  }
  sort_kept(first);
  const bool any_broken = workgroup_max(broken ? 1.0 : 0.0) > 0.0;
  const bool any_comes = workgroup_max(any ? 1.0 : 0.0) > 0.0;
  const float row_largest = workgroup_max(largest);
  const float row_total = workgroup_sum(total * exp(largest - row_largest));
  if (any_broken || !any_comes) {
    if (lane == 0) write_candidate(0, kNoScore, kBrokenRow);
    return;
  }
  const int forced = forced_token(sentence, made);
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
    const float own = next < KEEP ? kept_logits[first + next] : -kLargest;
    const float best = workgroup_max(own);
    // Of equals the smallest token. Both halves of it are exact in a float.
    const int token = next < KEEP && own == best ? kept_tokens[first + next] : kNothingKept;
    const float high = -workgroup_max(-float(token >> 16));
    const float low = -workgroup_max(float(token >> 16) == high ? -float(token & 0xffff) : -65536.0);
    if (high == float(kNothingKept >> 16)) {
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
