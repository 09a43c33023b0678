// cases attention with caches that lie by head: those of attention*.cpp that have a cache,
// each with what it holds at the places where it belongs. Kernels take all types of weights alike, so two are enough.
#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/attention.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

std::vector<OpCase> cases_attention();
std::vector<OpCase> cases_attention_broken();
std::vector<OpCase> cases_attention_memories();

namespace {

using namespace ops::attention_input;  // NOLINT: names of inputs

bool has_common_weights(const Graph& graph) {
  return std::ranges::all_of(graph.values, [](const Value& value) {
    return value.kind != ValueKind::Weight || value.dtype == DType::F32 || value.dtype == DType::Q8_0;
  });
}

/// Rows of a cache, moved to where they lie by head. Places that the case does not have hold NaN.
std::vector<double> moved(const std::vector<double>& rows, const ops::AttentionSizes& sizes, std::int64_t width) {
  std::vector<double> by_head(static_cast<std::size_t>(sizes.cache_rows * sizes.kv_heads * width), std::nan(""));
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows.size()); ++i) {
    const std::int64_t head = i / width % sizes.kv_heads;
    const std::int64_t place = i / width / sizes.kv_heads;
    by_head[static_cast<std::size_t>(sizes.row_of_head(place, head) * width + i % width)] =
        rows[static_cast<std::size_t>(i)];
  }
  return by_head;
}

OpCase with_caches_by_head(OpCase original, std::size_t attention) {
  OpCase result = std::move(original);
  result.name += ", by head";
  Node& node = result.graph.nodes[attention];
  node.attributes.set("by_head", std::int64_t{1});
  const bool has_table = node.inputs.size() > kTable && node.inputs[kTable] != kNoValue;
  for (const std::size_t i : {kCacheK, kCacheV}) {
    Value& cache = result.graph.value(node.inputs[i]);
    std::int64_t rows = bind(cache.shape, result.dims)[0];
    if (has_table) rows = (rows + ops::kKeyBlock - 1) / ops::kKeyBlock * ops::kKeyBlock;
    cache.shape[0] = rows;
    const std::int64_t width = cache.shape[1].size;
    const Shape shape = {rows, width};
    const auto sizes = ops::AttentionSizes::from(node.attributes, {1, 0}, nullptr, nullptr, &shape, &shape);
    const auto values = result.values.find(cache.name);
    if (values != result.values.end()) values->second = moved(values->second, sizes, width / sizes.kv_heads);
  }
  return result;
}

}  // namespace

std::vector<OpCase> cases_attention_by_head() {
  std::vector<OpCase> cases;
  for (const auto& family : {cases_attention(), cases_attention_broken(), cases_attention_memories()}) {
    for (const OpCase& one : family) {
      const auto attention = std::ranges::find_if(one.graph.nodes, [](const Node& node) {
        return node.op == "attention" && node.inputs.size() > kCacheK && node.inputs[kCacheK] != kNoValue;
      });
      if (attention == one.graph.nodes.end() || !has_common_weights(one.graph)) continue;
      cases.push_back(with_caches_by_head(one, static_cast<std::size_t>(attention - one.graph.nodes.begin())));
    }
  }
  return cases;
}

}  // namespace heed::op_cases
