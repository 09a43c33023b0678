#include "generate/attention_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "heed/error.h"
#include "ops/attention.h"
#include "ops/op.h"
#include "planner/infer.h"

namespace heed {
namespace {

std::string output_name(const Node& node) { return "weights of " + node.name; }

}  // namespace

std::string token_label(const Tokenizer* tokenizer, std::int32_t token) {
  if (tokenizer == nullptr) return fmt::format("{}", token);
  // Models may have more tokens than their tokenizers.
  const bool known = static_cast<std::size_t>(token) < tokenizer->vocabulary_size();
  const std::string piece = known ? tokenizer->piece(token) : std::string();
  return piece.empty() ? fmt::format("<{}>", token) : piece;
}

bool has_cache(const Node& node) {
  return node.inputs.size() > ops::attention_input::kCacheK && node.inputs[ops::attention_input::kCacheK] != kNoValue;
}

std::vector<AttentionLayer> attention_layers(const Graph& graph, const std::function<bool(const Node&)>& chosen) {
  std::vector<AttentionLayer> layers;
  for (const Node& node : graph.nodes) {
    if (node.op == "attention" && chosen(node)) layers.push_back({node.name, node.attributes.integer("heads")});
  }
  return layers;
}

Graph with_attention_weights(const Graph& original, const std::string& kind,
                             const std::function<bool(const Node&)>& chosen) {
  GraphBuilder builder(original);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+weights{}", original.name, kind);
  graph.outputs.clear();
  for (Node& node : graph.nodes) {
    if (node.op != "attention" || !chosen(node)) continue;
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

void read_attention_weights(Session& session, const Executable& executable, const Graph& graph,
                            const std::function<AttentionWeights(const Node&)>& describe, std::int64_t first_row,
                            std::vector<AttentionWeights>& nodes) {
  const std::vector<TensorType> types = infer_all(graph, executable.plan().dims);
  const bool first = nodes.empty();
  std::size_t at = 0;
  for (const Node& node : graph.nodes) {
    if (node.op != "attention" || node.outputs.size() < 2) continue;
    Shape shape = types[static_cast<std::size_t>(node.outputs[1])].shape;  // [heads, rows, columns]
    if (shape.size() == 4) {
      if (shape[0] != 1) {
        throw Error(fmt::format("attention of '{}': {} blocks of weights, expected one", node.name, shape[0]));
      }
      shape.erase(shape.begin());
    }
    if (first) {
      AttentionWeights& added = nodes.emplace_back(describe(node));
      added.heads = shape[0];
      added.columns = shape[2];
      added.weights.resize(static_cast<std::size_t>(added.heads * added.rows * added.columns));
    }
    AttentionWeights& all = nodes[at++];
    assert(shape[0] == all.heads && first_row + shape[1] <= all.rows && shape[2] == all.columns);
    std::vector<float> weights(static_cast<std::size_t>(element_count(shape)));
    session.read_output(executable, output_name(node), std::as_writable_bytes(std::span(weights)));
    const std::int64_t count = shape[1] * shape[2];  // of a head
    for (std::int64_t h = 0; h < shape[0]; ++h) {
      std::copy_n(weights.begin() + h * count, count, all.weights.begin() + (h * all.rows + first_row) * all.columns);
    }
  }
}

}  // namespace heed
