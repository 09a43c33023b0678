#include <fmt/format.h>

#include <algorithm>

#include "generate/translation/session.h"
#include "heed/error.h"
#include "ops/attention.h"
#include "ops/op.h"
#include "planner/infer.h"

namespace heed {
namespace {

std::string output_name(const Node& node) { return "weights of " + node.name; }

bool has_cache(const Node& node) {
  return node.inputs.size() > ops::attention_input::kCacheK && node.inputs[ops::attention_input::kCacheK] != kNoValue;
}

/// A graph whose outputs are the weights of its attention nodes, those over a cache only where `all`.
Graph with_weights(const Graph& original, bool all) {
  GraphBuilder builder(original);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+weights{}", original.name, all ? " of all" : "");
  graph.outputs.clear();
  for (Node& node : graph.nodes) {
    if (node.op != "attention" || (!all && has_cache(node))) continue;
    if (node.outputs.size() > 1 && node.outputs[1] != kNoValue) {
      graph.outputs.push_back(node.outputs[1]);
      graph.value(node.outputs[1]).name = output_name(node);
      continue;
    }
    node.outputs.resize(2, kNoValue);
    node.outputs[1] = static_cast<ValueId>(graph.values.size());
    graph.values.push_back({output_name(node), ValueKind::Intermediate, DType::F32, {}, {}});
    graph.outputs.push_back(node.outputs[1]);
  }
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

/// Reads the weights that a run left and appends their rows to those of the node. `own` is what attention of the
/// graph's tokens to themselves is.
void read_weights(Session& session, const Executable& executable, const Graph& graph, const Bindings& dims,
                  AttentionKind own, std::vector<AttentionWeights>& nodes) {
  const std::vector<TensorType> types = infer_all(graph, dims);
  std::size_t at = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != "attention" || node.outputs.size() < 2) continue;
    Shape shape = types[static_cast<std::size_t>(node.outputs[1])].shape;
    if (shape.size() == 4) shape.erase(shape.begin());  // one block
    std::vector<float> weights(static_cast<std::size_t>(element_count(shape)));
    session.read_output(executable, output_name(node), std::as_writable_bytes(std::span(weights)));
    if (at == nodes.size()) {
      // A decoder reads what it wrote from a cache, and the source from elsewhere.
      const AttentionKind kind = own == AttentionKind::Source || has_cache(node) ? own : AttentionKind::Cross;
      // Layers of encoders and decoders have the same names.
      const std::string name = own == AttentionKind::Source ? "encoder." + node.name : node.name;
      nodes.push_back({name, shape[0], 0, shape[2], {}, kind});
    }
    AttentionWeights& all = nodes[at++];
    // [heads, rows, columns]: new rows go behind the old ones of each head.
    std::vector<float> joined;
    for (std::int64_t h = 0; h < shape[0]; ++h) {
      const auto old = all.weights.begin() + h * all.rows * all.columns;
      joined.insert(joined.end(), old, old + all.rows * all.columns);
      const auto added = weights.begin() + h * shape[1] * shape[2];
      joined.insert(joined.end(), added, added + shape[1] * shape[2]);
    }
    all.weights = std::move(joined);
    all.rows += shape[1];
  }
}

}  // namespace

std::vector<AttentionWeights> TranslationSession::explain(const std::vector<std::int32_t>& source,
                                                          std::int32_t first_token,
                                                          const std::vector<std::int32_t>& target, bool all) {
  check({source, target});
  if (static_cast<std::int64_t>(target.size()) > target_context()) {
    throw Error(fmt::format("a translation of {} tokens cannot be explained; the model makes at most {}", target.size(),
                            target_context()));
  }
  if (target.empty()) return {};
  const auto source_tokens = static_cast<std::int64_t>(source.size());
  std::vector<AttentionWeights> nodes;
  const Graph encoder = all ? with_weights(encode_, true) : encode_;
  const Executable& encoded = encode(encoder, {&source}, 1, source_tokens, 1);
  if (all) read_weights(session_, encoded, encoder, encoded.plan().dims, AttentionKind::Source, nodes);

  // What a row weighs is for the token that it makes: the first token makes the first of the target.
  std::vector<std::int32_t> fed = {first_token};
  fed.insert(fed.end(), target.begin(), target.end() - 1);
  const auto rows = static_cast<std::int64_t>(fed.size());
  const std::int64_t at_once = recurrent_ ? 1 : rows;
  const Graph decoder = with_weights(decode_, all);
  const Bindings dims = {{"tokens", at_once}, {"outputs", at_once}, {"rows", 1},
                         {"batch", 1},        {"context", rows},    {"source", source_tokens}};
  const auto write = [&](const char* name, std::span<const std::int32_t> values) {
    if (decoder.find(name) == kNoValue) return;
    session_.reserve_and_write(name, std::as_bytes(values));
  };
  std::vector<AttentionWeights> decoded;
  for (std::int64_t row = 0; row < rows; row += at_once) {
    const auto position = static_cast<std::int32_t>(row);
    const std::int32_t parent = 0;
    write("tokens", std::span(fed).subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(at_once)));
    write("position", {&position, 1});
    write("parents", {&parent, 1});
    Executable& executable = session_.prepare(decoder, dims);
    session_.run(executable);
    read_weights(session_, executable, decoder, dims, AttentionKind::Target, decoded);
  }
  nodes.insert(nodes.end(), std::make_move_iterator(decoded.begin()), std::make_move_iterator(decoded.end()));
  return nodes;
}

}  // namespace heed
