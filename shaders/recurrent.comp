#version 450
// variant ACCESS: storage texel
//
// One step of a recurrent layer in one direction (engine/ops/recurrent.cpp). An invocation has one element h of the state
// of one sequence b, and sums R h_prev for all its gates: a vec4 of R, [k, h, gate], for each k. Sequences that have
// ended keep their state and give 0. CELL says which layer; a GRU whose reset gate works before R takes two steps: its
// gates, and its state. 16 width bytes for 8 width flops.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/recurrent.h"
#include "memory.glsl"
#include "functions.glsl"

const uint GATES = CELL == kRnn ? 1 : CELL == kLstm ? 4 : 3;

READ_F32(0, x);           // W x: [direction, step, batch, gate, width]
READ_F32X4(1, r);         // [direction, width, width], a gate a component
READ_F32(2, parameters);  // [direction, biases of W, biases of R, peepholes]
READ_F32(3, h_before);
READ_I32(4, lengths);
UPDATE_F32(5, state);     // [batch, width]: the cells of an LSTM, the update gates of a GRU
WRITE_F32(6, h_after);
WRITE_F32(7, y);

// Those that ONNX names, of the functions numbered in engine/ops/functions.cpp.
float activation(uint function, float v, float alpha, float beta) {
  switch (function) {
    case 3: return larger(v, 0.0);
    case 4: return stable_tanh(v);
    case 5: return sigmoid(v);
    case 28: return softplus(v);
    case 29: return is_infinite(v) ? sign(v) : v / (1.0 + abs(v));
    case 30: return v < 0.0 ? alpha * exp_m1(v) : v;
    case 33: return v < 0.0 ? alpha * v : v;
    case 34: return limited(alpha * v + beta, 0.0, 1.0);
    default: return v > alpha ? v : 0.0;
  }
}

bool is_set(uint flag) { return (flags & flag) != 0; }

float clipped(float v) { return is_set(kClips) ? limited(v, -clip, clip) : v; }
float function_f(float v) { return activation(FUNCTION_F, clipped(v), alphas[0], betas[0]); }
float function_g(float v) { return activation(FUNCTION_G, clipped(v), alphas[1], betas[1]); }
float function_h(float v) { return activation(FUNCTION_H, clipped(v), alphas[2], betas[2]); }

float parameter(uint row, uint h) {
  return load_f32(parameters, (direction * (2 * GATES + 3) + row) * width + h);
}

void main() {
  const uint id = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (id >= batch * width) return;
  const uint b = id / width;
  const uint h = id - b * width;
  const uint end = is_set(kHasLengths) ? uint(clamp(load_i32(lengths, b), 0, int(steps))) : steps;
  const bool runs = step < end;
  const uint t = runs && is_set(kReverse) ? end - 1 - step : step;
  const float own = is_set(kHasH) ? load_f32(h_before, from + id) : 0.0;
  float cell = 0.0;
  if (CELL == kLstm && is_set(kHasC)) cell = state[id];

  float next = own;
  if (runs) {
    vec4 sums = vec4(0.0);
    if (is_set(kHasH)) {
      const uint source = (CELL == kGruState ? mixed : from) + b * width;
      const uint column = direction * width * width + h;
      for (uint k = 0; k < width; ++k) {
        sums = fma(vec4(load_f32(h_before, source + k)), load_f32x4(r, column + k * width), sums);
      }
    }
    vec4 inputs = vec4(0.0);
    const uint at = (((direction * steps + t) * batch + b) * GATES) * width + h;
    for (uint gate = 0; gate < GATES; ++gate) {
      inputs[gate] = load_f32(x, at + gate * width);
      if (is_set(kHasBias)) {
        inputs[gate] += parameter(gate, h);
        sums[gate] += parameter(GATES + gate, h);
      }
    }
    if (CELL == kRnn) next = function_f(inputs.x + sums.x);
    if (CELL == kGru || CELL == kGruGates) {
      const float update = function_f(inputs.x + sums.x);
      const float reset = function_f(inputs.y + sums.y);
      if (CELL == kGruGates) {
        state[id] = update;
        h_after[mixed + id] = reset * own;
      } else {
        next = (1.0 - update) * function_g(inputs.z + reset * sums.z) + update * own;
      }
    }
    if (CELL == kGruState) {
      const float update = state[id];
      next = (1.0 - update) * function_g(inputs.z + sums.z) + update * own;
    }
    if (CELL == kLstm) {
      vec4 gates = inputs + sums;  // input, output, forget, cell
      if (is_set(kHasPeepholes)) {
        gates.x += parameter(2 * GATES, h) * cell;
        gates.z += parameter(2 * GATES + 2, h) * cell;
      }
      const float open = function_f(gates.x);
      const float keep = is_set(kInputForget) ? 1.0 - open : function_f(gates.z);
      cell = keep * cell + open * function_g(gates.w);
      if (is_set(kHasPeepholes)) gates.y += parameter(2 * GATES + 1, h) * cell;
      next = function_f(gates.y) * function_h(cell);
    }
  }
  if (CELL == kGruGates) return;
  if (CELL == kLstm) state[id] = cell;
  h_after[to + id] = next;
  if (is_set(kWritesY)) y[t * y_step + direction * y_direction + b * y_batch + h] = runs ? next : 0.0;
}
