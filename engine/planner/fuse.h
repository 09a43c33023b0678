#pragma once

#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed {

/// Runs the fusion passes below, in this order, on a validated graph. Each pass leaves a graph that computes the same,
/// states included: none moves a node past another that changes what it reads.
void fuse(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning);

/// linear(x, A), linear(x, B) and gate(a, b) become one linear with the rows of A and B stacked and attribute `gate`.
void fuse_gate(Graph& graph, const DeviceCaps& caps, const Tuning& tuning);

/// attention(rotary(q), rotary(k), v) with a cache takes over the rotation (attributes rotary_*), which then happens
/// where keys enter the cache.
void fuse_rotary(Graph& graph);

/// attention whose q, k and v are linears of the same x gets one linear with stacked rows; attribute `packed` = 1 says
/// that input 0 holds q, k and v side by side.
void fuse_packed_attention(Graph& graph, const DeviceCaps& caps, const Tuning& tuning);

/// rms_norm whose result goes into linears alone is done inside them (input 4, attribute norm_eps). Only where x is a
/// single row: every workgroup repeats the sum of squares.
void fuse_norm(Graph& graph, const Bindings& dims);

/// linear(attention(linear(x))) of a single row with a cache becomes one attention_block where
/// ops::fits_one_dispatch().
void fuse_attention_blocks(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning);

/// linear(linear(x)) of a single row becomes one linear with two weights (inputs 5 to 7) where
/// ops::fits_one_dispatch().
void fuse_pairs(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning);

/// conv, conv_transpose or linear and then relu, leaky_relu (of convolutions), silu, gelu, tanh or sigmoid become one.
void fuse_activations(Graph& graph);

}  // namespace heed
