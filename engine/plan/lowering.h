#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "graph/host_tensor.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "plan/plan.h"

namespace heed {

/// A binding, or a buffer that one needs, is larger than the device has. Less of a node's work might fit
/// (ops/parts.h).
class TooLarge : public Error {
 public:
  using Error::Error;
};

/// What a part of a node sees of an input or output: some of its elements as a tensor of their own. One of the last
/// three says where they are; none of them: it is the whole value.
struct PartOperand {
  TensorType type;
  std::optional<Binding> at;
  std::shared_ptr<const HostTensor> known;  // elements that are known before anything runs
  std::optional<WeightOrder> order;         // of the file's weight
};

/// A node with less work than it has in the graph.
struct LoweredPart {
  Node node;
  std::vector<PartOperand> inputs;
  std::vector<PartOperand> outputs;
};

/// Rows of a weight matrix in one device buffer, ready to be bound.
struct MatrixPiece {
  std::int64_t row_begin = 0;
  std::int64_t row_count = 0;
  std::uint32_t band = 1;  // DeviceWeight::band
  std::uint64_t bytes = 0;
  Binding words;   // View::F32x4 for f32, U32x4 for the others
  Binding scales;  // U32x4; for plain types the words once more, so that the binding is never empty
};

/// Words of push constants and specialisations.
/// Throws Error where the number does not fit the word: a shader that was told another would answer wrongly.
template <std::integral T>
std::uint32_t u32(T value) {
  return narrow<std::uint32_t>(value);
}
/// The same of a word that the shader reads as a signed number: strides, padding, steps backwards.
template <std::integral T>
std::uint32_t i32(T value) {
  return static_cast<std::uint32_t>(narrow<std::int32_t>(value));
}
inline std::uint32_t bits(double value) { return std::bit_cast<std::uint32_t>(static_cast<float>(value)); }
/// Those of a struct that a shader declares too (shaders/include/constants/declare.h).
template <typename Constants>
std::vector<std::uint32_t> words_of(const Constants& constants) {
  static_assert(std::is_trivially_copyable_v<Constants> && sizeof(Constants) % 4 == 0 && alignof(Constants) == 4);
  const auto words = std::bit_cast<std::array<std::uint32_t, sizeof(Constants) / 4>>(constants);
  return {words.begin(), words.end()};
}

/// What an op's lower() works with: the types of its node, the device, and a Plan to which it appends dispatches.
class Lowering {
 public:
  Lowering(Plan& plan, const Graph& graph, const std::vector<TensorType>& types, const KnownValues& known,
           const DeviceCaps& caps, const Tuning& tuning);

  const Node& node() const { return *node_; }
  const Attributes& attributes() const { return node_->attributes; }
  const DeviceCaps& caps() const { return caps_; }
  const Tuning& tuning() const { return tuning_; }
  const Bindings& dims() const { return plan_.dims; }
  bool has(std::size_t input) const;
  const TensorType& input(std::size_t i) const;
  const TensorType& output(std::size_t i = 0) const;
  bool wants_output(std::size_t i) const;
  bool is_graph_output(std::size_t i = 0) const;
  /// The type of the first input of the node that makes this input, where that is an `op`; else nullptr.
  const TensorType* input_of_maker(std::size_t input, std::string_view op) const;
  /// Elements of an input or output that is known before anything runs; nullptr for others.
  const HostTensor* known(std::size_t input) const;
  const HostTensor* known_output(std::size_t i = 0) const;

  /// An input as a shader reads it. Weights are dense f32 here.
  Binding read(std::size_t i, View view);
  /// The same where present, else any valid binding for a shader that is specialised not to look at it.
  Binding read_or(std::size_t i, View view, const Binding& otherwise);
  Binding write(std::size_t i = 0);
  /// A state that the shader changes in place.
  Binding update(std::size_t i);
  /// An input that is a weight for products with so many output columns (ProductTuning::weight_band); for linear and
  /// embedding. Cut into pieces of whole bands of at least 32 rows where limits ask for it, but never
  /// a gate's weight. Of a stack of matrices the rows are those of all of them.
  std::vector<MatrixPiece> matrix(std::size_t i, std::int64_t outputs, bool gate, std::int64_t head_rows);
  /// A weight with its elements in another order, made so when it is uploaded. Nothing where the input is no weight of
  /// the file, or made of several.
  std::optional<Binding> ordered(std::size_t i, WeightOrder order, View view);
  /// Memory that lives within this node.
  Binding scratch(std::string name, std::uint64_t bytes);
  /// Has the integers of input `i` checked, since kernels cannot say what they miss: element e must name one of
  /// sizes[e % sizes.size()] places, or count from the end where `from_end` (at most 8 sizes). `what` is the word for
  /// them in messages. Known elements are checked now, others by a dispatch of their own whenever the plan runs, once
  /// for all nodes that ask the same. States are left alone: the kernels that move them on see to it.
  void check_indices(std::size_t i, std::string what, const Shape& sizes, bool from_end);
  /// Counters of this node alone, 0 at first; a kernel that changes one leaves it 0.
  Binding counter(std::size_t count = 1);
  /// A table that the plan brings; equal ones of one name share their memory.
  Binding constant(const std::string& name, std::span<const float> values, View view);
  Binding constant(const std::string& name, std::span<const std::int32_t> values, View view);
  /// A table whose name says all that its values depend on: `make` runs for the first node that asks for it.
  Binding constant(const std::string& name, const std::function<std::vector<float>()>& make, View view);
  /// A known tensor as such a table.
  Binding constant(const std::string& name, const HostTensor& tensor, View view);

  /// Makes output `i` the bytes of input `from` starting at `offset`, without a dispatch. False where the alignment of
  /// bindings forbids it or the input is not an intermediate; then the op copies.
  bool alias(std::size_t i, std::size_t from, std::uint64_t offset);

  /// Whether an input was written to where it lies in output 0, from byte `offset` on (place_within).
  bool lies_in_output(std::size_t input, std::uint64_t offset);

  /// Appends a dispatch after checking it against the device's limits; label and texel access are set here.
  void emit(Dispatch dispatch);
  /// Spreads `count` workgroups over x and y so that no dimension exceeds the device; the shader uses workgroup_index()
  /// and checks it against the count.
  std::array<std::uint32_t, 3> spread(std::uint64_t count) const;
  /// Invocations of a workgroup for work of any width: at least `wanted` and a subgroup, where the device allows it.
  std::uint32_t lanes(std::uint32_t wanted) const;
  /// How wide a workgroup is that goes over `elements` together, such as a row: as tuned, but without lanes that have
  /// nothing to do.
  std::uint32_t lanes_of_row(std::uint64_t elements) const;
  /// How wide a workgroup is whose invocations each run about `iterations(lanes)` loop iterations: as `wanted`, or
  /// doubled until DeviceCaps::max_loop_iterations holds. Throws Error when the widest workgroup passes it too.
  template <typename Iterations>
  std::uint32_t lanes_within_loops(std::uint32_t wanted, Iterations iterations) const {
    std::uint32_t lanes = wanted;
    while (iterations(lanes) > caps_.max_loop_iterations) lanes = wider(lanes);
    return lanes;
  }
  /// Loop iterations of workgroup_sum or workgroup_max (shaders/include/reduce.glsl), at most.
  static std::uint64_t reduce_iterations(std::uint32_t lanes) { return lanes / 4 + 12; }
  /// Throws Error "OP 'NAME' on DEVICE: MESSAGE".
  [[noreturn]] void fail(std::string_view message) const;

  // For ops/parts.h.
  /// What follows is of this part of the node; nullptr: of the whole. Returns what it was of until now.
  const LoweredPart* set_part(const LoweredPart* part);
  const LoweredPart* part() const { return part_; }
  /// Whether an op may give up with TooLarge and will be asked for less at a time.
  bool may_split() const { return may_split_; }
  void set_may_split(bool may) { may_split_ = may; }
  /// The order of elements of an input that is a weight of the file and not known; nothing for others.
  std::optional<WeightOrder> weight_order(std::size_t i) const;
  /// Whether an input is a state.
  bool is_state(std::size_t i) const;
  /// Throws TooLarge "OP 'NAME' on DEVICE: MESSAGE".
  [[noreturn]] void fail_too_large(std::string_view message) const;

  // For make_plan alone.
  /// What follows is of this node, and errors name it.
  void begin(const Node& node) {
    node_ = whole_node_ = &node;
    part_ = nullptr;
  }
  /// What the nodes from now on are lowered for.
  void set_target(const DeviceCaps& caps, const Tuning& tuning) {
    caps_ = caps;
    tuning_ = tuning;
  }
  /// Lets whoever makes `part` write it to the bytes of `whole` from `offset` on, so that nobody copies it there. The
  /// first wish for a part counts. Nothing happens where bindings cannot begin there, or where `part` is no
  /// intermediate that only nodes of the graph read.
  void place_within(ValueId part, ValueId whole, std::uint64_t offset);
  /// What the plan has so far, to come back to.
  struct Mark {
    std::size_t tensors, weights, constants, dispatches, index_checks, placed_values, added_keys, added_checks;
  };
  Mark mark() const;
  void rewind(const Mark& mark);
  ValuePlace place_of(ValueId id) const;
  /// Gives outputs a tensor that no dispatch writes, because they are empty: they can be read all the same.
  void place_outputs();

 private:
  struct Place {
    std::size_t tensor;
    std::uint64_t offset;
    std::uint64_t size;
  };
  Place place(ValueId id, bool dense_weight);
  Binding constant_words(const char* kind, const std::string& name, std::span<const std::byte> words, DType dtype,
                         View view);
  std::uint32_t wider(std::uint32_t lanes) const;
  std::size_t add_tensor(PlanTensor tensor);
  std::size_t weight_tensor(DeviceWeight weight, const Value& value);
  DeviceWeight describe_weight(const Value& value, const TensorType& type, WeightLayout layout) const;
  const PartOperand* part_of_input(std::size_t i) const;
  std::size_t add_keyed_tensor(const std::string& key, PlanTensor tensor);
  void place_value(std::size_t value, std::size_t tensor, std::uint64_t offset);
  Binding ordered_binding(ValueId id, WeightOrder order, View view);

  Plan& plan_;
  const Graph& graph_;
  const std::vector<TensorType>& types_;
  const KnownValues& known_;
  DeviceCaps caps_;
  Tuning tuning_;
  const Node* node_ = nullptr;  // what is lowered: a node, or a part of whole_node_
  const Node* whole_node_ = nullptr;
  const LoweredPart* part_ = nullptr;
  bool may_split_ = false;
  std::vector<int> tensor_of_value_;                             // -1 until used
  std::vector<std::uint64_t> offset_of_value_;                   // aliases
  std::map<ValueId, std::pair<ValueId, std::uint64_t>> within_;  // parts of a whole: of what, and from which byte on
  std::map<std::string, std::size_t> tensor_of_key_;
  std::set<std::tuple<ValueId, Shape, bool>> checked_;
  // What was added to these since the beginning, in order: what a Mark comes back from.
  std::vector<std::tuple<std::size_t, int, std::uint64_t>> placed_values_;  // and where they were before
  std::vector<std::string> added_keys_;
  std::vector<std::tuple<ValueId, Shape, bool>> added_checks_;
};

}  // namespace heed
