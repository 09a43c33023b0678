#include "tools/convert/onnx_sizes.h"

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "graph/shape.h"
#include "heed/error.h"
#include "ops/infer_all.h"
#include "planner/infer.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

constexpr std::size_t kMostNodes = 1000;  // of graphs of which every size to 1024 is tried
// What models are often exported for: batches, patches, texts, sides of pictures, pieces of sound.
constexpr std::int64_t kOftenSizes[] = {1,   2,   3,   4,   8,   16,  28,   32,   64,   77,   96,   100,
                                        128, 197, 224, 256, 384, 512, 1000, 1024, 1500, 2048, 3000, 4096};

std::set<std::int64_t> sizes_to_try(const Graph& graph) {
  std::set<std::int64_t> sizes(std::begin(kOftenSizes), std::end(kOftenSizes));
  if (graph.nodes.size() <= kMostNodes) {
    for (std::int64_t size = 1; size <= 1024; ++size) sizes.insert(size);
  }
  return sizes;
}

std::set<std::string> input_dims(const Graph& graph) {
  std::set<std::string> names;
  for (const ValueId id : graph.inputs) {
    for (const Dim& dim : graph.value(id).shape) {
      if (!dim.name.empty()) names.insert(dim.name);
    }
  }
  return names;
}

/// Whether a shape is what the file says: the sizes that the file has as numbers are equal.
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
  const std::set<std::string> names = input_dims(graph);
  if (names.size() > 1) return {};  // some sizes fit only with certain others
  const std::string name = names.empty() ? "" : *names.begin();

  // Outputs that have had no size yet at which they are what the file says, with what they are at the first that fits.
  std::map<const onnx::ValueInfoProto*, Shape> unlike;
  const auto look_at_outputs = [&](const std::vector<TensorType>& types, bool first) {
    for (const onnx::ValueInfoProto& output : file.output()) {
      const ValueId id = graph.find(output.name());
      if (id == kNoValue || !output.type().tensor_type().has_shape()) continue;
      const Shape& shape = types[static_cast<std::size_t>(id)].shape;
      if (may_be(shape, output.type().tensor_type().shape())) {
        unlike.erase(&output);
      } else if (first) {
        unlike.emplace(&output, shape);
      }
    }
  };
  std::optional<std::int64_t> fits;
  if (name.empty()) {
    look_at_outputs(infer_all(graph, {}), true);
  } else {
    std::string problem;
    for (const std::int64_t size : sizes_to_try(graph)) {
      try {
        look_at_outputs(infer_all(graph, {{name, size}}), !fits);
        if (!fits) fits = size;
        if (unlike.empty()) break;
      } catch (const Error& error) {
        problem = fmt::format("with {} = {}, {}", in_quotes(name), size, error.what());
      }
    }
    if (!fits) {
      return {fmt::format("may not run: {}; nor does it fit with the smaller sizes that were tried", problem)};
    }
  }
  std::vector<std::string> notes;
  for (const onnx::ValueInfoProto& output : file.output()) {
    const auto found = unlike.find(&output);
    if (found == unlike.end()) continue;
    notes.push_back(fmt::format("output {} is {}{}, and the file says {}", in_quotes(output.name()),
                                to_string(found->second),
                                fits ? fmt::format(" with {} = {}", in_quotes(name), *fits) : "",
                                text_of(output.type().tensor_type().shape())));
  }
  return notes;
}

}  // namespace heed::convert
