// Fusion passes that make one convolution of it and what comes after.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "ops/activation.h"
#include "ops/conv.h"
#include "ops/rewrite.h"

namespace heed::ops {
namespace {

/// Nodes of a graph while convolutions take what comes after them; one that took something stands where that stood.
class ConvEpilogues {
 public:
  explicit ConvEpilogues(const FusionContext& context)
      : graph_(context.graph), types_(context.types()), uses_(count_uses(context.graph)) {}

  void run() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!take(i)) {
        for (const ValueId id : graph_.nodes[i].outputs) made_by_[id] = i;
      }
    }
    erase_nodes(graph_, dead_);
  }

 private:
  const Shape& shape(ValueId id) const { return types_[static_cast<std::size_t>(id)].shape; }
  bool real(ValueId id) const { return is_floating(types_[static_cast<std::size_t>(id)].dtype); }

  /// The node that makes a value for one reader alone.
  std::optional<std::size_t> maker(ValueId id) const {
    const auto found = made_by_.find(id);
    if (id == kNoValue || found == made_by_.end() || uses_[static_cast<std::size_t>(id)] != 1) return std::nullopt;
    return found->second;
  }

  /// The same where it is a convolution of reals.
  std::optional<std::size_t> conv_maker(ValueId id) const {
    const std::optional<std::size_t> at = maker(id);
    if (!at) return std::nullopt;
    const std::string& op = graph_.nodes[*at].op;
    return (op == "conv" || op == "conv_transpose") && real(id) ? at : std::nullopt;
  }

  bool take(std::size_t i) {
    const Node& reader = graph_.nodes[i];
    if (reader.inputs.empty()) return false;
    if (reader.op == "add" || reader.op == "mul") return take_tensor(i);
    if (reader.op == "reshape") return take_blocks(i);
    return take_activation(i);
  }

  /// Convolution number `at`, changed, makes what node `i` made, in its place.
  void replace(std::size_t i, std::size_t at, Node conv) {
    conv.outputs = graph_.nodes[i].outputs;
    dead_.insert(at);
    graph_.nodes[i] = std::move(conv);
    made_by_[graph_.nodes[i].outputs[0]] = i;
  }

  bool take_activation(std::size_t i) {
    const Node& reader = graph_.nodes[i];
    const bool leaky = reader.op == "leaky_relu";
    if (!leaky && !is_activation(reader.op)) return false;
    const std::optional<std::size_t> at = conv_maker(reader.inputs[0]);
    if (!at || !can_move(graph_, *at, i)) return false;
    Node conv = graph_.nodes[*at];
    const std::string join = conv.attributes.text("join", "none");
    if (conv.attributes.text("activation", "none") != "none" || (join != "none" && join != "add_before")) return false;
    conv.attributes.set("activation", reader.op);
    if (leaky) conv.attributes.set("slope", reader.attributes.real("alpha", 0.01));
    replace(i, *at, std::move(conv));
    return true;
  }

  /// add(conv, other), mul(conv, other) and the other way round, of the same shape.
  bool take_tensor(std::size_t i) {
    const Node& reader = graph_.nodes[i];
    if (shape(reader.inputs[0]) != shape(reader.inputs[1]) || !real(reader.outputs[0])) return false;
    std::optional<std::size_t> at;
    ValueId other = kNoValue;
    for (std::size_t operand = 0; operand < 2; ++operand) {
      const std::optional<std::size_t> conv = conv_maker(reader.inputs[operand]);
      if (!conv || graph_.nodes[*conv].attributes.has("join") || !can_move(graph_, *conv, i)) continue;
      if (at && *at > *conv) continue;  // of two the later, which then waits for nobody
      at = conv;
      other = reader.inputs[1 - operand];
    }
    if (!at) return false;
    Node conv = graph_.nodes[*at];
    const bool active = conv.attributes.text("activation", "none") != "none";
    conv.attributes.set("join", reader.op == "mul" ? "multiply" : active ? "add_after" : "add_before");
    conv.inputs.resize(4, kNoValue);
    conv.inputs[3] = other;
    replace(i, *at, std::move(conv));
    return true;
  }

  /// Pixel shuffle: a reshape that tells the parts of a channel's number apart, a transpose that puts them beside rows
  /// and columns, and a reshape that joins them.
  bool take_blocks(std::size_t i) {
    const std::optional<std::size_t> mixed = maker(graph_.nodes[i].inputs[0]);
    if (!mixed || graph_.nodes[*mixed].op != "transpose") return false;
    const Node& transpose = graph_.nodes[*mixed];
    const std::optional<std::size_t> split = maker(transpose.inputs[0]);
    if (!split || graph_.nodes[*split].op != "reshape") return false;
    const std::optional<std::size_t> at = conv_maker(graph_.nodes[*split].inputs[0]);
    if (!at || graph_.nodes[*at].op != "conv" || graph_.nodes[*at].attributes.has("join") ||
        graph_.nodes[*at].attributes.has("block") || !can_move(graph_, *at, i)) {
      return false;
    }
    const Shape& made = shape(graph_.nodes[*split].inputs[0]);
    const Shape& parts = shape(transpose.inputs[0]);
    const Shape& y = shape(graph_.nodes[i].outputs[0]);
    if (made.size() != 4 || parts.size() != 6 || !transpose.attributes.has("perm")) return false;
    const std::vector<std::int64_t> perm = transpose.attributes.integers("perm");
    const bool inner = perm == std::vector<std::int64_t>{0, 1, 4, 2, 5, 3};
    const bool outer = perm == std::vector<std::int64_t>{0, 3, 4, 1, 5, 2};
    const std::int64_t block = parts[2];
    const Shape expected = inner ? Shape{made[0], parts[1], block, block, made[2], made[3]}
                                 : Shape{made[0], block, block, parts[3], made[2], made[3]};
    if ((!inner && !outer) || block < 2 || parts != expected) return false;
    if (y != Shape{made[0], made[1] / (block * block), made[2] * block, made[3] * block}) return false;
    Node conv = graph_.nodes[*at];
    conv.attributes.set("block", block);
    conv.attributes.set("block_order", inner ? "inner" : "outer");
    dead_.insert({*mixed, *split});
    replace(i, *at, std::move(conv));
    return true;
  }

  Graph& graph_;
  std::vector<TensorType> types_;
  std::vector<int> uses_;
  std::map<ValueId, std::size_t> made_by_;
  std::set<std::size_t> dead_;
};

}  // namespace

void fuse_conv_epilogue(const FusionContext& context) { ConvEpilogues(context).run(); }

}  // namespace heed::ops
