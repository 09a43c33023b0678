#include "tools/symbolic_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"

namespace heed::tools {
namespace {

// Far apart, so that moving one keeps their order, and larger than most constants in graphs.
constexpr std::int64_t kPrimes[] = {10007, 20011, 30011, 40009, 50021};
// Some ops want whole blocks or an even number of pixels.
constexpr std::int64_t kRound[] = {16384, 32768, 49152, 65536, 81920};
constexpr std::size_t kMaxDims = std::size(kPrimes);
constexpr std::int64_t kRoundStep = 64;

std::set<std::string> named_dims(const Graph& graph) {
  std::set<std::string> names;
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::Intermediate) continue;
    for (const Dim& dim : value.shape) {
      if (!dim.name.empty()) names.insert(dim.name);
    }
  }
  // Ops may name a dimension that no tensor has: tail(rows = "outputs").
  for (const Node& node : graph.nodes) {
    if (const Attributes& a = node.attributes; a.has("rows")) {
      for (const auto& [name, attribute] : a) {
        if (const auto* text = std::get_if<std::string>(&attribute); name == "rows" && text != nullptr)
          names.insert(*text);
      }
    }
  }
  return names;
}

/// Shapes at one binding, and at bindings that differ from it in one dimension each.
struct Samples {
  std::vector<std::string> names;
  std::vector<std::int64_t> sizes;
  std::int64_t step = 1;
  std::vector<TensorType> base;
  std::vector<std::vector<TensorType>> moved;  // by dimension
};

Samples sample(const Graph& graph, const std::vector<std::string>& names, const std::int64_t* sizes, std::int64_t step,
               const Bindings& fixed) {
  Samples samples{names, {sizes, sizes + names.size()}, step, {}, {}};
  Bindings dims = fixed;
  for (std::size_t i = 0; i < names.size(); ++i) dims[names[i]] = sizes[i];
  samples.base = infer_all(graph, dims);
  for (std::size_t i = 0; i < names.size(); ++i) {
    Bindings other = dims;
    other[names[i]] += step;
    samples.moved.push_back(infer_all(graph, other));
  }
  return samples;
}

/// Which dimension may be larger than which is the graph's business ("outputs" is at most "tokens"): all orders are
/// tried.
std::optional<Samples> sample_somehow(const Graph& graph, std::string& problem) {
  const std::set<std::string> found = named_dims(graph);
  std::vector<std::string> names(found.begin(), found.end());
  if (names.size() > kMaxDims) {
    problem = fmt::format("more than {} named dimensions", kMaxDims);
    return std::nullopt;
  }
  problem.clear();
  const auto try_all = [&](const Bindings& fixed) -> std::optional<Samples> {
    for (const auto& [sizes, step] : {std::pair{kPrimes, std::int64_t{1}}, std::pair{kRound, kRoundStep}}) {
      std::sort(names.begin(), names.end());
      do {
        try {
          return sample(graph, names, sizes, step, fixed);
        } catch (const Error& error) {
          if (problem.empty()) problem = error.what();
        }
      } while (std::next_permutation(names.begin(), names.end()));
    }
    return std::nullopt;
  };
  std::optional<Samples> samples = try_all({});
  // Rows that share the memories of a batch are a multiple of it: then its size is 1.
  if (!samples && std::erase(names, "batch") > 0) samples = try_all({{"batch", 1}});
  return samples;
}

/// One size as an expression of the dimensions: a sum, or a product of two.
std::string expression(const Samples& samples, std::size_t value, std::size_t axis) {
  const std::int64_t size = samples.base[value].shape[axis];
  std::string text;
  std::int64_t rest = size;
  std::vector<std::size_t> parts;
  bool linear = true;
  for (std::size_t i = 0; i < samples.names.size(); ++i) {
    const Shape& shape = samples.moved[i][value].shape;
    if (shape.size() != samples.base[value].shape.size()) return "?";
    const std::int64_t growth = shape[axis] - size;
    if (growth == 0) continue;
    parts.push_back(i);
    const std::int64_t factor = growth / samples.step;
    linear = linear && growth % samples.step == 0;
    rest -= factor * samples.sizes[i];
    if (!text.empty()) text += " + ";
    if (factor != 1) text += fmt::format("{}*", factor);
    text += samples.names[i];
  }
  if (linear && rest >= 0) {
    if (text.empty()) return std::to_string(rest);
    return rest == 0 ? text : fmt::format("{} + {}", text, rest);
  }
  if (parts.size() == 2) {
    const std::int64_t product = samples.sizes[parts[0]] * samples.sizes[parts[1]];
    if (size % product == 0) {
      const std::string names = samples.names[parts[0]] + "*" + samples.names[parts[1]];
      return size == product ? names : fmt::format("{}*{}", size / product, names);
    }
  }
  return "?";
}

}  // namespace

SymbolicShapes symbolic_shapes(const Graph& graph) {
  SymbolicShapes result;
  std::optional<Samples> samples;
  const auto unknown =
      std::find_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) { return !ops::is_op(n.op); });
  if (unknown != graph.nodes.end()) {
    result.problem = fmt::format("this heed has no op '{}' (node '{}')", unknown->op, unknown->name);
  } else {
    samples = sample_somehow(graph, result.problem);
  }
  if (samples) result.problem.clear();

  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.kind != ValueKind::Intermediate) {
      result.shapes.push_back(fmt::format("{} {}", dtype_name(value.dtype), to_string(value.shape)));
    } else if (!samples) {
      result.shapes.push_back("?");
    } else {
      std::string axes;
      for (std::size_t axis = 0; axis < samples->base[i].shape.size(); ++axis) {
        axes += (axis == 0 ? "" : ", ") + expression(*samples, i, axis);
      }
      result.shapes.push_back(fmt::format("{} [{}]", dtype_name(samples->base[i].dtype), axes));
    }
  }
  return result;
}

}  // namespace heed::tools
