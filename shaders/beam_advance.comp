#version 450
// variant ACCESS: storage texel
//
// Beam search, the step state for the next step (engine/ops/beam_search.cpp): an invocation takes one position of one
// sentence. Up to the newest token it gives the entries of `table`, which say where the keys of a beam's tokens lie, to the
// beams that continue it; at the next position it enters the tokens chosen. Keys themselves stay where they are.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "constants/beam_advance.h"
#include "memory.glsl"

READ_I32(0, decisions);
READ_I32(1, progress);
WRITE_I32(2, tokens);
WRITE_I32(3, position);
WRITE_I32(4, parents);
UPDATE_I32(5, table);
WRITE_I32(6, records);

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= sentences * capacity) return;
  const uint at = i / sentences;
  const uint sentence = i % sentences;
  const uint made = uint(load_i32(progress, 2 * sentence + 1));
  const uint first_row = sentence * BEAMS;
  if (at < made) {
    int places[BEAMS];
    for (uint b = 0; b < BEAMS; ++b) {
      places[b] = table[at * rows + uint(load_i32(decisions, 2 * (first_row + b)))];
    }
    for (uint b = 0; b < BEAMS; ++b) table[at * rows + first_row + b] = places[b];
  } else if (at == made) {
    for (uint b = 0; b < BEAMS; ++b) {
      const uint row = first_row + b;
      const int parent = load_i32(decisions, 2 * row);
      const int token = load_i32(decisions, 2 * row + 1);
      const uint place = at * rows + row;
      tokens[row] = max(token, 0);
      position[row] = token < 0 ? -1 : int(at);  // rows without a beam compute nothing
      parents[row] = parent;
      table[place] = int(place);
      if (token < 0) continue;
      records[2 * place] = token;
      records[2 * place + 1] = int((at - 1) * rows) + parent;
    }
  }
}
