#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/dtype.h"
#include "graph/graph.h"
#include "ops/fusion.h"
#include "ops/tuning.h"
#include "plan/device_caps.h"

namespace heed::ops {

/// Bytes of a matrix in a file.
std::uint64_t file_bytes(DType dtype, std::int64_t rows, std::int64_t columns);

/// The most rounds of loops that multiply() of lanes.glsl goes through for so many units of a weight row, with what its
/// callers do around it.
std::int64_t multiply_iterations(std::int64_t units);

/// How the lanes of a workgroup share the work of several products in one dispatch (shaders/linear_pair.comp).
struct JoinedLanes {
  bool rows = false;          // lanes have weight rows of their own and hand x on to each other
  std::uint32_t lanes = 0;    // of a workgroup
  std::uint32_t sharing = 1;  // lanes that have a row together

  const char* variant() const { return rows ? "rows" : "columns"; }
};

/// Nothing where the device cannot, or where the tuner did not find that several products are better done in one
/// dispatch.
std::optional<JoinedLanes> joined_lanes(DType dtype, const DeviceCaps& caps, const Tuning& tuning);

/// Whether lanes can hand rows of x on to each other in products of many rows with weights of a type, and the tuner
/// found that better.
bool can_shuffle_rows(DType dtype, const DeviceCaps& caps, const Tuning& tuning);

/// Whether weights of so many bytes in all are little enough work for dispatches of their own to be a waste; a weight
/// is not cut then.
bool weights_fit_one_dispatch(std::uint64_t weights, const DeviceCaps& caps);

/// Two products, one after the other, of a single row.
struct LinearPair {
  DType dtype = DType::F32;  // of both weights
  std::int64_t columns = 0;  // of x
  std::int64_t hidden = 0;   // columns between the two
  std::int64_t width = 0;    // of y
  bool gate = false;         // the first weight has 2 * hidden rows
};

/// Whether a device runs the pair as one dispatch (linear_pair.comp), and may gain by it.
bool fits_one_dispatch(const LinearPair& pair, const DeviceCaps& caps, const Tuning& tuning);

/// A linear with nothing but perhaps a bias and a residual.
bool product_alone(const Node& node);
/// A linear with nothing but perhaps a bias.
bool plain_linear(const Node& node);

/// One linear in place of several with the same input: the nodes' weights and biases stacked. Nothing when they differ:
/// other types or row lengths, vectors in blocks, or more bytes than one binding holds.
std::optional<Node> merge_linears(Graph& graph, const std::vector<const Node*>& nodes, const DeviceCaps& caps,
                                  const Tuning& tuning);

/// An expert_linear with nothing but its three operands.
bool plain_expert_linear(const Node& node);

/// The same for two products of experts that read the same rows and the same choice.
std::optional<Node> merge_expert_linears(Graph& graph, const Node& first, const Node& second, const DeviceCaps& caps,
                                         const Tuning& tuning);

// Passes of this op (linear_fusions.cpp).

/// linear(x, A), linear(x, B) and gate(a, b) become one linear with the rows of A and B stacked and attribute `gate`;
/// likewise two expert_linear, where B's experts come behind A's.
void fuse_gate(const FusionContext& context);

/// rms_norm whose result goes into linears alone is done inside them (input 4, attribute norm_eps). Only where x is a
/// single row: every workgroup repeats the sum of squares.
void fuse_norm(const FusionContext& context);

/// linear(linear(x)) of a single row becomes one linear with two weights (inputs 5 to 7) where
/// fits_one_dispatch().
void fuse_pairs(const FusionContext& context);

/// An activation function of what a plain linear makes becomes its attribute.
void fuse_linear_activation(const FusionContext& context);

/// What the tuner times for this op (linear_tuning.cpp): products of one row and of many.
std::vector<TuningStep> linear_tuning();

}  // namespace heed::ops
