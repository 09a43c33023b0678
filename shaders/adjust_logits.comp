#version 450
// variant ACCESS: storage texel
//
// Biases, penalties and what may not repeat, on a copy of the logits (engine/ops/adjust_logits.cpp). A workgroup a
// sequence: lanes go along its list of biases and the last tokens of its history, never along the vocabulary. How often a
// token is there is counted in `counts`, which has a word a token and need not be cleared: what is looked at is set to 0
// first. Memory that lanes share is reached by atomics alone, so that barriers order it.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/adjust_logits.h"
#include "memory.glsl"
#include "special.glsl"

READ_I32(0, position);
READ_I32(1, history);
READ_I32(2, rules);
READ_I32(3, list);
UPDATE_I32(4, adjusted);  // the copy, bits of floats
UPDATE_I32(5, counts);
#include "logit_rules.glsl"

const int kMinusInfinity = int(0xff800000u);

shared uint shared_limit;

uint sequence;
uint end;  // tokens of the sequence
uint lane;

int rule(uint word) { return rule_of(sequence, word); }
float rule_number(uint word) { return rule_real(sequence, word); }
int token_at(uint at) { return load_i32(history, at * sequences + sequence); }
bool is_token(int token) { return token >= 0 && token < int(vocabulary); }
uint place_of(int token) { return sequence * vocabulary + uint(token); }
float logit_of(int token) { return intBitsToFloat(atomicOr(adjusted[place_of(token)], 0)); }
void set_logit(int token, float logit) { atomicExchange(adjusted[place_of(token)], floatBitsToInt(logit)); }
// What is NaN or infinity stays so, since a choice must not be made without it.
void forbid(int token) {
  if (is_finite(logit_of(token))) atomicExchange(adjusted[place_of(token)], kMinusInfinity);
}
void wait() {
  memoryBarrierBuffer();
  barrier();
}

void add_biases() {
  const uint biases = uint(rule(kBiases));
  for (uint i = lane; i < biases; i += gl_WorkGroupSize.x) {
    const int token = load_i32(list, sequence * list_words + 2 * i);
    const int bias = load_i32(list, sequence * list_words + 2 * i + 1);
    if (!is_token(token)) continue;
    if (bias == kMinusInfinity) {
      forbid(token);
    } else {
      set_logit(token, logit_of(token) + intBitsToFloat(bias));
    }
  }
  wait();
}

// Sets the counts of the last `window` tokens to 0.
void clear_counts(uint window) {
  for (uint i = lane; i < window; i += gl_WorkGroupSize.x) {
    const int token = token_at(end - 1 - i);
    if (is_token(token)) atomicExchange(counts[place_of(token)], 0);
  }
  wait();
}

void penalise() {
  const float repetition = rule_number(kRepetition);
  const float presence = rule_number(kPresence);
  const float frequency = rule_number(kFrequency);
  if (repetition == 1.0 && presence == 0.0 && frequency == 0.0) return;
  const uint window = min(uint(rule(kWindow)), end);
  clear_counts(window);
  for (uint i = lane; i < window; i += gl_WorkGroupSize.x) {
    const int token = token_at(end - 1 - i);
    if (is_token(token)) atomicAdd(counts[place_of(token)], 1);
  }
  wait();
  for (uint i = lane; i < window; i += gl_WorkGroupSize.x) {
    const int token = token_at(end - 1 - i);
    if (!is_token(token)) continue;
    const int count = atomicExchange(counts[place_of(token)], 0);
    if (count == 0) continue;  // another lane's, which did it
    float logit = logit_of(token);
    logit = logit > 0.0 ? logit / repetition : logit * repetition;
    set_logit(token, logit - (float(count) * frequency + presence));
  }
  wait();
}

// The tokens behind the last breaker among the last `window`.
uint unbroken(uint window) {
  if (lane == 0) shared_limit = window;
  clear_counts(window);
  const uint begin = sequence * list_words + 2 * uint(rule(kBiases));
  const uint breakers = uint(rule(kBreakers));
  for (uint i = lane; i < breakers; i += gl_WorkGroupSize.x) {
    const int token = load_i32(list, begin + i);
    if (is_token(token)) atomicExchange(counts[place_of(token)], 1);
  }
  wait();
  for (uint i = lane; i < window; i += gl_WorkGroupSize.x) {
    const int token = token_at(end - 1 - i);
    if (is_token(token) && atomicOr(counts[place_of(token)], 0) == 1) atomicMin(shared_limit, i);
  }
  wait();
  return shared_limit;
}

void penalise_repetitions() {
  const float multiplier = rule_number(kDryMultiplier);
  if (!(multiplier > 0.0)) return;
  const uint window = min(uint(rule(kDryWindow)), end);
  const uint allowed = uint(rule(kDryAllowed));
  const uint longest = min(unbroken(window), kDryLength);
  clear_counts(window);
  // Token j comes behind what the text ends with, as many tokens as are the same before both.
  for (uint j = end - window + lane; j < end; j += gl_WorkGroupSize.x) {
    const uint most = min(longest, j - (end - window));
    uint length = 0;
    bool same = true;
    for (uint back = 1; back <= most && same; ++back) {
      same = token_at(j - back) == token_at(end - back);
      if (same) length = back;
    }
    const int token = token_at(j);
    if (length >= allowed && is_token(token)) atomicMax(counts[place_of(token)], int(length));
  }
  wait();
  const float base = rule_number(kDryBase);
  for (uint i = lane; i < window; i += gl_WorkGroupSize.x) {
    const int token = token_at(end - 1 - i);
    if (!is_token(token)) continue;
    const uint length = uint(atomicExchange(counts[place_of(token)], 0));
    if (length < allowed) continue;
    float penalty = multiplier;
    for (uint n = allowed; n < length; ++n) penalty = min(penalty * base, 1e30);
    set_logit(token, logit_of(token) - penalty);
  }
  wait();
}

void forbid_repetitions() {
  const uint n = uint(rule(kNoRepeat));
  if (n == 0 || end < n) return;
  for (uint at = n - 1 + lane; at < end; at += gl_WorkGroupSize.x) {
    bool same = true;
    for (uint back = 1; back < n && same; ++back) same = token_at(at - back) == token_at(end - back);
    const int token = token_at(at);
    if (same && is_token(token)) forbid(token);
  }
}

void main() {
  sequence = workgroup_index();
  if (sequence >= sequences) return;
  const int at = load_i32(position, sequence);
  if (at < 0 || rule(kAdjusts) == 0) return;
  lane = gl_LocalInvocationID.x;
  end = min(uint(at) + rows, context);
  add_biases();
  penalise();
  penalise_repetitions();
  forbid_repetitions();
}
