#version 450
// variant ACCESS: storage
//
// Counts submissions (engine/runtime/run_proof.h): the last dispatch of each adds one to a word that the host then
// compares. One invocation, 8 bytes.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 1) in;
#include "memory.glsl"

UPDATE_I32(0, words);

void main() { words[0] += 1; }
