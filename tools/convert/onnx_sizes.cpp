#include "tools/convert/onnx_sizes.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "graph/shape.h"
#include "heed/error.h"
#include "ops/infer_all.h"
#include "planner/infer.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

// What models are exported for: batches, patches, texts, pictures.
constexpr std::int64_t kSizes[] = {1, 2, 3, 4, 8, 16, 32, 64, 100, 128, 224, 256, 512, 1000, 1024};

std::set<std::string> named_dims(const Graph& graph) {
  std::set<std::string> names;
  for (const ValueId id : graph.inputs) {
    for (const Dim& dim : graph.value(id).shape) {
      if (!dim.name.empty()) names.insert(dim.name);
    }
  }
  return names;
}

/// Types at the first size that fits; `problem` is that of the first that does not.
std::optional<std::vector<TensorType>> types_at_some_size(const Graph& graph, const std::string& name,
                                                          std::string& problem) {
  for (const std::int64_t size : kSizes) {
    try {
      return infer_all(graph, {{name, size}});
    } catch (const Error& error) {
      if (problem.empty()) problem = error.what();
    }
  }
  return std::nullopt;
}

/// Whether a shape may be what the file says: unnamed sizes are those, and what has a name may have any.
bool may_be(const Shape& shape, const onnx::TensorShapeProto& said) {
  if (said.dim_size() != static_cast<int>(shape.size())) return false;
  for (int i = 0; i < said.dim_size(); ++i) {
    // Some exporters write -1 or 0 where they do not know.
    const std::int64_t size = said.dim(i).dim_value();
    if (size > 0 && size != shape[static_cast<std::size_t>(i)]) return false;
  }
  return true;
}

std::string text_of(const onnx::TensorShapeProto& said) {
  std::string text;
  for (const auto& dim : said.dim()) {
    text += text.empty() ? "[" : ", ";
    text += dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param().empty() ? "?" : dim.dim_param();
  }
  return text.empty() ? "[]" : text + "]";
}

}  // namespace

std::vector<std::string> check_sizes(const Graph& graph, const onnx::GraphProto& file) {
  // Sizes that depend on what inputs hold are known when it runs.
  if (!inputs_to_fix(graph).empty()) return {};
  const std::set<std::string> names = named_dims(graph);
  if (names.size() > 1) return {};  // some sizes fit only with certain others
  std::vector<TensorType> types;
  if (names.empty()) {
    types = infer_all(graph, {});
  } else {
    std::string problem;
    const auto some = types_at_some_size(graph, *names.begin(), problem);
    if (!some) {
      return {fmt::format("may not run: with {} = {}, and with other sizes that were tried, {}",
                          in_quotes(*names.begin()), kSizes[0], problem)};
    }
    types = *some;
  }
  std::vector<std::string> notes;
  for (const onnx::ValueInfoProto& output : file.output()) {
    if (!output.type().tensor_type().has_shape()) continue;
    const auto& said = output.type().tensor_type().shape();
    const ValueId id = graph.find(output.name());
    if (id == kNoValue) continue;
    const Shape& shape = types[static_cast<std::size_t>(id)].shape;
    if (may_be(shape, said)) continue;
    notes.push_back(fmt::format("output {} is {}, and the file says {}", in_quotes(output.name()), to_string(shape),
                                text_of(said)));
  }
  return notes;
}

}  // namespace heed::convert
