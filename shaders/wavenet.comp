#version 450
// variant ACCESS: storage texel
// variant SAME: read shuffle
//
// Samples of a WaveNet, one after the other, each through all layers and drawn from what they make of it
// (engine/ops/wavenet.cpp; ops/wavenet.h says how weights lie). One workgroup does it all. A lane owns groups of four
// channels, the ones from its number on in steps of the workgroup's width: it sums their products along all inputs, which
// lie in shared memory, and nothing is summed across lanes but what is drawn from. What a layer remembers of a channel is
// read and written by the lane that owns it. Two barriers a layer, six more a sample. A sample reads all weights, 4 bytes
// for 2 flops, which caches hold from one sample to the next. With SAME_shuffle the workgroup is one subgroup, whose lanes
// read inputs in turn and hand them on: a read for all lanes costs CPU drivers as much as one for each.
#extension GL_GOOGLE_include_directive : require
#ifdef SAME_shuffle
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
layout(local_size_x_id = 0) in;
#include "constants/wavenet.h"
#include "memory.glsl"
#include "activation.glsl"
#include "philox.glsl"

const uint LANES = gl_WorkGroupSize.x;
const uint RESIDUAL_ROUNDS = (RESIDUAL + LANES - 1) / LANES;
const uint GATE_ROUNDS = (GATE + LANES - 1) / LANES;
const uint SKIP_ROUNDS = (SKIP + LANES - 1) / LANES;
const uint HIDDEN_ROUNDS = (HIDDEN + LANES - 1) / LANES;
const uint COLUMNS = LEVELS == 0 ? 1 : LEVELS;  // of a tap of the first convolution
const uint MIXED = RESIDUAL + SKIP;

READ_F32X4(0, weights);
READ_F32X4(1, condition);
READ_F32(2, given);
READ_I32(3, rings);  // of each layer its dilation, and where its ring begins, in samples
layout(set = 0, binding = 4, std430) buffer past_buffer { vec4 past[]; };
UPDATE_F32(5, recent);
UPDATE_I32(6, sampler_state);
WRITE_F32(7, result);

const uint kSeedLow = 0;  // of engine/ops/sample.h
const uint kSeedHigh = 1;
const uint kStep = 2;
const uint kTemperature = 3;
const uint kStream = 9;

shared vec4 inputs[WIDEST];
shared vec4 gated[GATE];
shared vec4 outputs[OUTPUT_ROWS];
shared float masses[OUTPUT_ROWS];
shared float largest[LANES];
shared float read_samples[INPUT_KERNEL];

uint lane;

vec4 larger4(vec4 v) { return vec4(larger(v.x, 0.0), larger(v.y, 0.0), larger(v.z, 0.0), larger(v.w, 0.0)); }

float gate(float a, float b) { return stable_tanh(a) * sigmoid(b); }

// Four columns of weights from group `at` on, `stride` groups apart, for four inputs.
struct Columns {
  vec4 w[4];
};
Columns columns_at(uint at, uint stride) {
  Columns c;
  c.w[0] = load_f32x4(weights, at);
  c.w[1] = load_f32x4(weights, at + stride);
  c.w[2] = load_f32x4(weights, at + 2 * stride);
  c.w[3] = load_f32x4(weights, at + 3 * stride);
  return c;
}
vec4 add_columns(vec4 sum, Columns c, vec4 x) {
  return fma(vec4(x.w), c.w[3], fma(vec4(x.z), c.w[2], fma(vec4(x.y), c.w[1], fma(vec4(x.x), c.w[0], sum))));
}

// Runs a block for k = 0 to count - 1 with x = from[k].
#ifdef SAME_shuffle
#define FOR_INPUTS(k, x, from, count)                                 \
  for (uint k##_first = 0; k##_first < count; k##_first += LANES) {   \
    const vec4 x##_own = from[min(k##_first + lane, count - 1)];      \
    for (uint k = k##_first; k < min(k##_first + LANES, count); ++k) { \
      const vec4 x = subgroupShuffle(x##_own, k - k##_first);
#else
#define FOR_INPUTS(k, x, from, count)  \
  {                                    \
    for (uint k = 0; k < count; ++k) { \
      const vec4 x = from[k];
#endif
#define END_INPUTS \
  }                \
  }

// What the first convolution makes of the samples read so far, for a group of channels.
vec4 first_convolution(uint group, uint t) {
  vec4 x = load_f32x4(weights, INPUT_KERNEL * COLUMNS * RESIDUAL + group);
  for (uint tap = 0; tap < INPUT_KERNEL; ++tap) {
    if (t + tap + 1 < INPUT_KERNEL) continue;  // before the first sample
    const float value = read_samples[tap];
    if (LEVELS == 0) {
      x += value * load_f32x4(weights, tap * RESIDUAL + group);
    } else {
      const bool is_level = is_finite(value) && value > -0.5 && value < float(LEVELS) - 0.5;
      const uint level = is_level ? uint(value + 0.5) : 0;
      x += load_f32x4(weights, (tap * COLUMNS + level) * RESIDUAL + group);
      if (!is_level) x = vec4(kNan);
    }
  }
  return x;
}

void shift_in(float value) {
  for (uint tap = 0; tap + 1 < INPUT_KERNEL; ++tap) read_samples[tap] = read_samples[tap + 1];
  read_samples[INPUT_KERNEL - 1] = value;
}

// The first of the largest among this many outputs.
uint likeliest(uint end) {
  uint best = 0;
  float most = outputs[0][0];
  for (uint i = 1; i < end; ++i) {
    const float value = outputs[i / 4][i % 4];
    if (value > most) {
      most = value;
      best = i;
    }
  }
  return best;
}

// Draws one of `count` logits, which outputs and masses hold as weights by now, by a number from 0 to 1.
uint drawn(uint count, float part) {
  const uint groups = (count + 3) / 4;
  float total = 0.0;
  for (uint group = 0; group < groups; ++group) total += masses[group];
  const float target = part * total;
  float before = 0.0;
  uint group = 0;
  for (; group + 1 < groups && before + masses[group] <= target; ++group) before += masses[group];
  uint last = 4 * group;
  const uint end = min(count, 4 * group + 4);
  for (uint i = 4 * group; i < end && before <= target; ++i) {
    const float weight = outputs[group][i % 4];
    if (weight > 0.0) last = i;  // rounding may leave the target behind all of them
    before += weight;
  }
  return last;
}

void main() {
  lane = gl_LocalInvocationID.x;
  const uint begin = uint(sampler_state[kStep]);
  const float temperature = intBitsToFloat(sampler_state[kTemperature]);
  const uint logits = WORK == kDrawsLogistics ? OUTPUTS / 3 : OUTPUTS;  // that are drawn from
  for (uint tap = lane; tap < INPUT_KERNEL; tap += LANES) read_samples[tap] = recent[tap];
  barrier();

  for (uint step = 0; step < steps; ++step) {
    const uint t = begin + step;
    if (WORK == kTellsLogits) {
      if (lane == 0) shift_in(load_f32(given, first + step));
      barrier();
    }
    vec4 x[RESIDUAL_ROUNDS];
    vec4 skip[SKIP_ROUNDS];
    for (uint r = 0; r < RESIDUAL_ROUNDS; ++r) x[r] = first_convolution(min(lane + r * LANES, RESIDUAL - 1), t);
    for (uint r = 0; r < SKIP_ROUNDS; ++r) skip[r] = vec4(0.0);

    uint at = (INPUT_KERNEL * COLUMNS + 1) * RESIDUAL;
    uint added = (first + step) / hop * LAYERS * 2 * GATE;
    for (uint layer = 0; layer < LAYERS; ++layer) {
      const uint dilation = uint(load_i32(rings, 2 * layer));
      const uint ring = uint(load_i32(rings, 2 * layer + 1));
      const uint length = (KERNEL - 1) * dilation;
      for (uint r = 0; r < RESIDUAL_ROUNDS; ++r) {
        const uint group = lane + r * LANES;
        if (group < RESIDUAL) {
          for (uint tap = 0; tap + 1 < KERNEL; ++tap) {
            inputs[tap * RESIDUAL + group] = past[(ring + (t + tap * dilation) % length) * RESIDUAL + group];
          }
          inputs[(KERNEL - 1) * RESIDUAL + group] = x[r];
          past[(ring + t % length) * RESIDUAL + group] = x[r];  // in the place of the oldest, which was read above
        }
      }
      barrier();

      const uint biases = at + 4 * KERNEL * RESIDUAL * 2 * GATE;
      for (uint r = 0; r < GATE_ROUNDS; ++r) {
        const uint group = min(lane + r * LANES, GATE - 1);
        vec4 a = load_f32x4(weights, biases + group);
        vec4 b = load_f32x4(weights, biases + GATE + group);
        if (has_condition != 0) {
          a += load_f32x4(condition, added + group);
          b += load_f32x4(condition, added + GATE + group);
        }
        FOR_INPUTS(k, from, inputs, KERNEL * RESIDUAL)
          const Columns of_a = columns_at(at + 4 * k * 2 * GATE + group, 2 * GATE);
          const Columns of_b = columns_at(at + 4 * k * 2 * GATE + GATE + group, 2 * GATE);
          a = add_columns(a, of_a, from);
          b = add_columns(b, of_b, from);
        END_INPUTS
        gated[group] = vec4(gate(a.x, b.x), gate(a.y, b.y), gate(a.z, b.z), gate(a.w, b.w));
      }
      at = biases + 2 * GATE;
      added += 2 * GATE;
      barrier();

      for (uint r = 0; r < RESIDUAL_ROUNDS; ++r) {
        x[r] += load_f32x4(weights, at + 4 * GATE * MIXED + min(lane + r * LANES, RESIDUAL - 1));
      }
      for (uint r = 0; r < SKIP_ROUNDS; ++r) {
        skip[r] += load_f32x4(weights, at + 4 * GATE * MIXED + RESIDUAL + min(lane + r * LANES, SKIP - 1));
      }
      FOR_INPUTS(k, z, gated, GATE)
        const uint column = at + 4 * k * MIXED;
        for (uint r = 0; r < RESIDUAL_ROUNDS; ++r) {
          x[r] = add_columns(x[r], columns_at(column + min(lane + r * LANES, RESIDUAL - 1), MIXED), z);
        }
        for (uint r = 0; r < SKIP_ROUNDS; ++r) {
          skip[r] = add_columns(skip[r], columns_at(column + RESIDUAL + min(lane + r * LANES, SKIP - 1), MIXED), z);
        }
      END_INPUTS
      at += (4 * GATE + 1) * MIXED;
    }

    for (uint r = 0; r < SKIP_ROUNDS; ++r) {
      if (lane + r * LANES < SKIP) inputs[lane + r * LANES] = larger4(skip[r]);
    }
    barrier();
    vec4 h[HIDDEN_ROUNDS];
    for (uint r = 0; r < HIDDEN_ROUNDS; ++r) {
      const uint group = min(lane + r * LANES, HIDDEN - 1);
      h[r] = load_f32x4(weights, at + 4 * SKIP * HIDDEN + group);
      FOR_INPUTS(k, from, inputs, SKIP)
        h[r] = add_columns(h[r], columns_at(at + 4 * k * HIDDEN + group, HIDDEN), from);
      END_INPUTS
    }
    barrier();
    for (uint r = 0; r < HIDDEN_ROUNDS; ++r) {
      if (lane + r * LANES < HIDDEN) inputs[lane + r * LANES] = larger4(h[r]);
    }
    at += (4 * SKIP + 1) * HIDDEN;
    barrier();
    float most = uintBitsToFloat(0xff800000u);  // -infinity
    bool broken = false;
    for (uint first_group = 0; first_group < OUTPUT_ROWS; first_group += LANES) {  // all lanes, for they hand inputs on
      const uint group = first_group + lane;
      const uint within = min(group, OUTPUT_ROWS - 1);
      vec4 y = load_f32x4(weights, at + 4 * HIDDEN * OUTPUT_ROWS + within);
      FOR_INPUTS(k, from, inputs, HIDDEN)
        y = add_columns(y, columns_at(at + 4 * k * OUTPUT_ROWS + within, OUTPUT_ROWS), from);
      END_INPUTS
      if (group < OUTPUT_ROWS) outputs[group] = y;
      for (uint c = 0; c < 4 && 4 * group + c < OUTPUTS; ++c) {
        const uint i = 4 * group + c;
        if (WORK == kTellsLogits) result[(first + step) * OUTPUTS + i] = y[c];
        if (!is_finite(y[c])) broken = true;
        if (i < logits) most = max(most, y[c]);
      }
    }
    if (WORK == kTellsLogits) {
      barrier();  // before inputs are written again
      continue;
    }
    largest[lane] = broken ? kNan : most;
    barrier();
    for (uint i = 0; i < LANES; ++i) {
      const float value = largest[i];
      if (is_nan(value)) broken = true;
      most = max(most, value);
    }
    const bool greedy = !(temperature > 0.0);
    if (!greedy) {
      for (uint group = lane; 4 * group < logits; group += LANES) {
        vec4 weight = exp((outputs[group] - most) / temperature);
        for (uint c = 0; c < 4; ++c) {
          if (4 * group + c < logits) {
            outputs[group][c] = weight[c];
          } else {
            weight[c] = 0.0;
          }
        }
        masses[group] = (weight.x + weight.y) + (weight.z + weight.w);
      }
      barrier();
    }
    if (lane == 0) {
      const uvec4 numbers = philox(uvec4(t, uint(sampler_state[kStream]), 0, 0),
                                   uvec2(uint(sampler_state[kSeedLow]), uint(sampler_state[kSeedHigh]))) >> 8;
      const uint chosen = greedy ? likeliest(logits) : drawn(logits, float(numbers.x) / 16777216.0);
      float value = float(chosen);
      if (WORK == kDrawsLogistics) {
        const uint mean = logits + chosen;
        const uint scale = 2 * logits + chosen;
        value = outputs[mean / 4][mean % 4];
        if (!greedy) {
          const float u = clamp(float(numbers.y) / 16777216.0, 1e-5, 1.0 - 1e-5);
          value += exp(max(outputs[scale / 4][scale % 4], least_log_scale)) * temperature * (log(u) - log(1.0 - u));
        }
        value = clamp(value, -1.0, 1.0);
      }
      if (broken) value = kNan;
      result[first + step] = value;
      shift_in(value);
    }
    barrier();
  }

  for (uint tap = lane; tap < INPUT_KERNEL; tap += LANES) recent[tap] = read_samples[tap];
  if (lane == 0) sampler_state[kStep] = int(begin + steps);
}
