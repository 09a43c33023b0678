#version 450
// variant ACCESS: storage texel
//
// Beam search, from candidates to hypotheses and beams (engine/ops/beam_search.cpp): an invocation merges the candidates of
// a sentence's rows, which are in order, and takes the best CONSIDERED one after the other. Those that end join the hypotheses
// where they are among the best BEAMS; the others go on as beams.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/beam_select.h"
#include "memory.glsl"

READ_I32(0, candidates);
READ_I32(1, options);
UPDATE_F32(2, sums);
UPDATE_I32(3, hypotheses);
UPDATE_F32(4, scores);
UPDATE_I32(5, progress);
WRITE_I32(6, decisions);
#include "beam.glsl"

float candidate_score(uint row, uint i) { return intBitsToFloat(load_i32(candidates, (row * KEEP + i) * kCandidateWords)); }
int candidate_token(uint row, uint i) { return load_i32(candidates, (row * KEEP + i) * kCandidateWords + 1); }

// Sorts a hypothesis in behind those that are as good. Its words are where its tokens but the last lie, the last, and how
// many they are.
void add_hypothesis(uint sentence, float score, int place, int token, int tokens) {
  const uint first = sentence * BEAMS;
  uint at = BEAMS;
  while (at > 0 && (hypotheses[(first + at - 1) * 3 + 2] == 0 || scores[first + at - 1] < score)) {
    --at;
    if (at + 1 == BEAMS) continue;
    scores[first + at + 1] = scores[first + at];
    for (uint w = 0; w < 3; ++w) hypotheses[(first + at + 1) * 3 + w] = hypotheses[(first + at) * 3 + w];
  }
  if (at == BEAMS) return;
  scores[first + at] = score;
  hypotheses[(first + at) * 3] = place;
  hypotheses[(first + at) * 3 + 1] = token;
  hypotheses[(first + at) * 3 + 2] = tokens;
}

void decide(uint row, uint parent, int token, float sum) {
  decisions[2 * row] = int(parent);
  decisions[2 * row + 1] = token;
  sums[row] = sum;
}

void main() {
  const uint sentence = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (sentence >= sentences) return;
  const uint first_row = sentence * BEAMS;
  uint live = 0;
  float best_sum = kNoScore;
  if (progress[2 * sentence] == kRunning) {
    const int made = progress[2 * sentence + 1] + 1;
    const int most = load_i32(options, kMaxTokens);
    const float penalty = intBitsToFloat(load_i32(options, kLengthPenalty));
    const float length = pow(float(made), penalty);
    uint next[BEAMS];
    bool broken = false;
    for (uint b = 0; b < BEAMS; ++b) {
      next[b] = 0;
      broken = broken || candidate_token(first_row + b, 0) == kBrokenRow;
    }
    for (uint taken = 0; taken < CONSIDERED && !broken; ++taken) {
      uint beam = BEAMS;
      float score = kNoScore;
      for (uint b = 0; b < BEAMS; ++b) {
        if (next[b] == KEEP) continue;
        const float other = candidate_score(first_row + b, next[b]);
        if (other > score) {
          score = other;
          beam = b;
        }
      }
      if (beam == BEAMS) break;
      const int token = candidate_token(first_row + beam, next[beam]);
      ++next[beam];
      if (is_end(token) || made == most) {
        // Those further back are there to keep as many beams going, not to end.
        if (taken < BEAMS) {
          add_hypothesis(sentence, score / length, int((uint(made) - 1) * rows + first_row + beam), token, made);
        }
      } else if (live < BEAMS) {
        if (live == 0) best_sum = score;
        decide(first_row + live, first_row + beam, token, score);
        ++live;
      }
    }
    bool done = live == 0 || made == most;
    const uint last = sentence * BEAMS + BEAMS - 1;
    if (hypotheses[last * 3 + 2] != 0) {
      const int early = load_i32(options, kEarlyStop);
      const float hoped = early == kNever && penalty > 0.0 ? pow(float(most), penalty) : length;
      done = done || early == kAtOnce || best_sum / hoped <= scores[last];
    }
    progress[2 * sentence] = broken ? kBroken : done ? kDone : kRunning;
    progress[2 * sentence + 1] = made;
    if (broken || done) live = 0;
  }
  for (uint b = live; b < BEAMS; ++b) decide(first_row + b, first_row + b, kNoToken, kNoScore);
}
