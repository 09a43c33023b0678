#include "generate/cache_type.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "generate/attention_weights.h"
#include "ops/attention.h"
#include "ops/op.h"

namespace heed {
namespace {

/// Whether Auto takes f16. CPU drivers have the memory, and unpack f16 slower than they read f32. A device whose f16
/// kernels are turned off (runtime/quarantine.h) still has the others.
bool suits_f16(const DeviceCaps& caps) {
  const auto is_f16_attention = [](std::string_view module) {
    return module.starts_with("attention") && module.ends_with("-f16");
  };
  return caps.type != DeviceType::Cpu && std::ranges::none_of(caps.broken_modules, is_f16_attention);
}

/// Elements of a head of a cache [.., KVH*d]; 1 where the node does not say.
std::int64_t head_width(const Graph& graph, const Node& attention, std::size_t cache) {
  const SymbolicShape& shape = graph.value(attention.inputs[cache]).shape;
  const std::int64_t heads = attention.attributes.integer("kv_heads", attention.attributes.integer("heads", 0));
  if (shape.empty() || !shape.back().name.empty() || heads <= 0) return 1;
  return shape.back().size / heads;
}

}  // namespace

Graph with_cache_type(Graph graph, CacheType wanted, const DeviceCaps& caps) {
  using namespace ops::attention_input;  // NOLINT: names of inputs
  if (wanted == CacheType::F32 || (wanted == CacheType::Auto && !suits_f16(caps))) return graph;
  std::set<ValueId> others = {graph.outputs.begin(), graph.outputs.end()};  // that stay as they are
  for (const Node& node : graph.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (!ops::reads_f16_state(node, i)) others.insert(node.inputs[i]);
    }
  }
  // The two caches of a node have one type.
  const auto each_pair = [&](const auto& visit) {
    for (const Node& node : graph.nodes) {
      if (node.op == "attention" && has_cache(node)) visit(node, node.inputs[kCacheK], node.inputs[kCacheV]);
    }
  };
  each_pair([&](const Node& node, ValueId k, ValueId v) {
    const bool fits = ops::fits_f16_cache(head_width(graph, node, kCacheK), head_width(graph, node, kCacheV));
    if (!fits || others.contains(k) || others.contains(v)) others.insert({k, v});
  });
  each_pair([&](const Node&, ValueId k, ValueId v) {
    if (!others.contains(k) && !others.contains(v)) graph.value(k).dtype = graph.value(v).dtype = DType::F16;
  });
  return graph;
}

CacheType cache_type_of(const Graph& graph) {
  const bool any = std::ranges::any_of(
      graph.values, [](const Value& value) { return value.kind == ValueKind::State && value.dtype == DType::F16; });
  return any ? CacheType::F16 : CacheType::F32;
}

std::string_view cache_type_name(CacheType type) {
  switch (type) {
    case CacheType::Auto:
      return "auto";
    case CacheType::F32:
      return "f32";
    case CacheType::F16:
      return "f16";
  }
  return "unknown";
}

std::string cache_advice(CacheType type) {
  if (type != CacheType::F16) return "";
  return "; or a key or value is too large for a cache of f16: try one of f32 (--cache f32)";
}

}  // namespace heed
