#include "generate/cache_type.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "generate/attention_weights.h"
#include "ops/attention.h"
#include "ops/op.h"

namespace heed {
namespace {

/// Whether Auto takes f16. CPU drivers have the memory, and unpack f16 slower than they read f32. A device whose f16
/// kernels are turned off (runtime/quarantine.h) still has the others; in place of cooperative ones, plainer ones of
/// f16.
bool suits_f16(const DeviceCaps& caps) {
  const auto is_f16_attention = [](std::string_view module) {
    return module.starts_with("attention") && module.ends_with("-f16") && !module.starts_with("attention_cooperative");
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

/// What something else than attention reads too: it stays as it is.
std::set<ValueId> read_by_others(const Graph& graph) {
  std::set<ValueId> others = {graph.outputs.begin(), graph.outputs.end()};
  for (const Node& node : graph.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (!ops::reads_f16_state(node, i)) others.insert(node.inputs[i]);
    }
  }
  return others;
}

/// Visits each attention with a cache, and its two caches, of which neither is among `others`. Caches that several
/// nodes share must suit all of them, by `suits`, and so must the other cache of each of these.
template <typename Suits, typename Visit>
void each_cache(Graph& graph, std::set<ValueId> others, const Suits& suits, const Visit& visit) {
  using namespace ops::attention_input;  // NOLINT: names of inputs
  const auto pair_of = [](const Node& node) { return std::pair(node.inputs[kCacheK], node.inputs[kCacheV]); };
  const auto is_other = [&](const std::pair<ValueId, ValueId>& caches) {
    return others.contains(caches.first) || others.contains(caches.second);
  };
  std::size_t before = 0;
  do {
    before = others.size();
    for (const Node& node : graph.nodes) {
      if (node.op != "attention" || !has_cache(node)) continue;
      const auto caches = pair_of(node);
      if (!suits(node) || is_other(caches)) others.insert({caches.first, caches.second});
    }
  } while (others.size() != before);
  for (Node& node : graph.nodes) {
    if (node.op == "attention" && has_cache(node) && !is_other(pair_of(node))) visit(node);
  }
}

}  // namespace

Graph with_cache_type(Graph graph, CacheType wanted, const DeviceCaps& caps) {
  using namespace ops::attention_input;  // NOLINT: names of inputs
  if (wanted == CacheType::F32 || (wanted == CacheType::Auto && !suits_f16(caps))) return graph;
  const auto fits = [&](const Node& node) {
    return ops::fits_f16_cache(head_width(graph, node, kCacheK), head_width(graph, node, kCacheV));
  };
  each_cache(graph, read_by_others(graph), fits, [&](const Node& node) {
    graph.value(node.inputs[kCacheK]).dtype = graph.value(node.inputs[kCacheV]).dtype = DType::F16;
  });
  return graph;
}

Graph with_caches_by_head(Graph graph) {
  using namespace ops::attention_input;  // NOLINT: names of inputs
  std::map<ValueId, std::int64_t> heads_of;
  // Nodes that share a cache find the same rows in it only where they divide them alike.
  const auto divides_alike = [&](const Node& node) {
    const std::int64_t heads = node.attributes.integer("kv_heads", node.attributes.integer("heads", 0));
    return std::ranges::all_of(std::array{node.inputs[kCacheK], node.inputs[kCacheV]}, [&](ValueId cache) {
      return heads_of.try_emplace(cache, heads).first->second == heads;
    });
  };
  each_cache(graph, read_by_others(graph), divides_alike,
             [](Node& node) { node.attributes.set("by_head", std::int64_t{1}); });
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
