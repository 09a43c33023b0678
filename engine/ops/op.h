#pragma once

#include <initializer_list>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/host_tensor.h"
#include "ops/fusion.h"
#include "ops/parts.h"
#include "ops/tuning.h"
#include "plan/device_caps.h"

namespace heed {
class Lowering;  // plan/lowering.h

namespace ops {

/// What an op sees when its output types are inferred. Absent inputs are nullptr.
struct InferContext {
  const Node& node;
  std::vector<const TensorType*> inputs;
  const Bindings& dims;
  std::vector<const HostTensor*> known = {};  // the inputs' elements where they are known; else nullptr

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const TensorType& input(std::size_t i) const;  // throws Error when absent
  /// Throws Error "OP 'NAME': MESSAGE".
  [[noreturn]] void fail(std::string_view message) const;
  /// What the op knows, said first by every infer: throws Error naming the first input from number `count` on that is
  /// present, or the first attribute that is not in the list. A node that wants more than the op does is never run.
  void expect_only(std::size_t count, std::initializer_list<std::string_view> attributes) const;
  void expect_floats(std::size_t i, std::string_view what) const;
  void expect_integers(std::size_t i, std::string_view what) const;  // i32
  void expect_shape(std::size_t i, const Shape& shape, std::string_view what) const;
  void expect_rank(std::size_t i, std::size_t rank, std::string_view what) const;
  std::int64_t dim(std::string_view attribute) const;  // the bound size of the dimension that the attribute names
  /// Elements of an input on which sizes depend. Throw Error when they are not known at plan time.
  std::vector<std::int64_t> known_integers(std::size_t i, std::string_view what) const;
  std::vector<double> known_reals(std::size_t i, std::string_view what) const;
  /// Throws Error when there is no such axis in input `i`.
  std::size_t axis(std::int64_t axis, std::size_t i) const;
};

/// What an op sees when the reference runs it. Absent inputs are nullptr; state inputs may be changed.
struct ReferenceContext {
  const Node& node;
  std::vector<HostTensor*> inputs;
  std::vector<HostTensor*> outputs;  // typed and sized; absent outputs are nullptr
  bool has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const std::vector<double>& in(std::size_t i) const { return inputs[i]->data; }
  const Shape& shape(std::size_t i) const { return inputs[i]->type.shape; }
  std::vector<double>& out(std::size_t i) const { return outputs[i]->data; }
  /// Element e of input i as a place among `size`, counted from 0; `from_end`: or from the end by negative numbers.
  /// Throws Error naming it, as `what`, when there is no such place.
  std::int64_t index(std::size_t i, std::size_t e, std::int64_t size, bool from_end,
                     std::string_view what = "index") const;
  /// The single element of input i, a position. Throws Error when it is not one: negative, or not an i32.
  std::int64_t position(std::size_t i) const;
};

/// Inputs [first, last] of an op whose elements it must know when it is planned.
struct PlannedInputs {
  std::string_view op;
  std::size_t first = 0;
  std::size_t last = 0;
};

/// An op, or a family that shares its code. Defined once in engine/ops/STEM.cpp as `extern const Op op_STEM`; the build
/// collects them (cmake/ops.cmake).
struct Op {
  std::vector<std::string_view> names;
  std::vector<TensorType> (*infer)(const InferContext&);
  void (*reference)(const ReferenceContext&);
  void (*lower)(Lowering&);
  std::vector<PlannedInputs> planned = {};
  std::vector<std::string_view> shape_only_ops = {};  // names that read the types of their inputs, never their elements
  std::vector<std::size_t> updates = {};              // inputs that it changes in place: states
  std::vector<std::size_t> f16_states = {};           // inputs that may be states of f16, two elements a word
  std::vector<Fusion> fusions = {};                   // passes that make its nodes out of others
  std::vector<TuningStep> tuning = {};                // what there is to choose between its kernels
  /// How a node falls apart where a device cannot bind an operand at once; nullptr: not at all. The best way first.
  std::vector<PartAxis> (*parts)(const Lowering&) = nullptr;
  /// From which element of output 0 on each input lies there, unchanged and whole; whoever makes one may then write it
  /// there (Lowering::place_within). nullptr, or none, where they do not lie there.
  std::vector<std::int64_t> (*places)(const Node&, const std::vector<const TensorType*>& inputs) = nullptr;

  bool plans_by(std::string_view name, std::size_t input) const;
  bool reads_shape_only(std::string_view name) const;
};

std::span<const Op* const> all_ops();
const Op* find_op(std::string_view name);  // nullptr when unknown
inline bool is_op(std::string_view name) { return find_op(name) != nullptr; }

/// Whether a node changes a value in place.
bool updates(const Node& node, ValueId id);

/// Throws Error naming op and node where a node updates what is no state, or what it reads as another input as well,
/// and where it reads a state of f16 that its kernels do not know (Op::f16_states).
void check_states(const Graph& graph, const Node& node);
/// Whether the op reads states of f16 as input `i`.
bool reads_f16_state(const Node& node, std::size_t i);

/// Output types of a node. Throws Error naming op and node when the inputs do not fit.
std::vector<TensorType> infer_types(const InferContext& context);

}  // namespace ops
}  // namespace heed
