#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <span>

#include "file/model_file.h"
#include "graph/bind.h"
#include "heed/error.h"
#include "heed/model.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "planner/make_plan.h"
#include "runtime/graph_choice.h"
#include "runtime/session.h"

namespace heed {
namespace {

std::size_t elements_of(const Array& array) {
  return std::visit([](const auto& elements) { return elements.size(); }, array.elements);
}

void check_array(const Value& input, const Array& array) {
  const bool floats = std::holds_alternative<std::vector<float>>(array.elements);
  if (floats != is_floating(input.dtype)) {
    throw Error(fmt::format("input '{}': the array holds {}, expected {} ({})", input.name,
                            floats ? "real numbers" : "integers", floats ? "integers" : "real numbers",
                            dtype_name(input.dtype)));
  }
  const auto expected = element_count(array.shape);
  if (static_cast<std::size_t>(expected) != elements_of(array)) {
    throw Error(fmt::format("input '{}': {} elements are given, expected {} for shape {}", input.name,
                            elements_of(array), expected, to_string(array.shape)));
  }
}

/// One array for each input, of the right kind of numbers.
void check_arrays(const Graph& graph, const std::map<std::string, Array>& arrays) {
  std::vector<std::string> names;
  for (const ValueId id : graph.inputs) names.push_back(graph.value(id).name);
  for (const auto& item : arrays) {
    if (std::ranges::find(names, item.first) == names.end()) {
      throw Error(
          fmt::format("graph '{}' has no input '{}'; there are {}", graph.name, item.first, fmt::join(names, ", ")));
    }
  }
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    const auto found = arrays.find(input.name);
    if (found == arrays.end()) {
      throw Error(
          fmt::format("input '{}' ({} {}) is missing", input.name, dtype_name(input.dtype), to_string(input.shape)));
    }
    check_array(input, found->second);
  }
}

/// Elements of inputs on whose values sizes depend.
std::map<std::string, HostTensor> values_to_fix(const Graph& graph, const std::map<std::string, Array>& arrays) {
  std::map<std::string, HostTensor> fixed;
  for (const ValueId id : inputs_to_fix(graph)) {
    const Value& input = graph.value(id);
    const Array& array = arrays.at(input.name);
    HostTensor tensor{{input.dtype, array.shape}, {}};
    std::visit(
        [&](const auto& elements) {
          for (const auto element : elements) tensor.data.push_back(static_cast<double>(element));
        },
        array.elements);
    fixed.emplace(input.name, std::move(tensor));
  }
  return fixed;
}

void write_array(Session& session, const std::string& name, DType type, const Array& array) {
  if (const auto* floats = std::get_if<std::vector<float>>(&array.elements)) {
    session.write(name, std::as_bytes(std::span(*floats)));
    return;
  }
  const auto& wide = std::get<std::vector<std::int64_t>>(array.elements);
  std::vector<std::int32_t> words(wide.size());
  for (std::size_t i = 0; i < wide.size(); ++i) {
    const auto [least, most] = integer_range(type);
    if (wide[i] < least || wide[i] > most) {
      throw Error(fmt::format("input '{}': element {} is {}, expected {} to {} ({})", name, i, wide[i], least, most,
                              dtype_name(type)));
    }
    words[i] = static_cast<std::int32_t>(wide[i]);
  }
  session.write(name, std::as_bytes(std::span(words)));
}

Array read_array(Session& session, const Executable& executable, const std::string& name, const TensorType& type) {
  const auto count = static_cast<std::size_t>(element_count(type.shape));
  Array array{type.shape, {}, std::string(dtype_name(type.dtype))};
  if (is_floating(type.dtype)) {
    std::vector<float> floats(count);
    session.read_output(executable, name, std::as_writable_bytes(std::span(floats)));
    array.elements = std::move(floats);
  } else {
    std::vector<std::int32_t> words(count);
    session.read_output(executable, name, std::as_writable_bytes(std::span(words)));
    array.elements = std::vector<std::int64_t>(words.begin(), words.end());
  }
  return array;
}

}  // namespace

std::string task_of(const std::filesystem::path& file) {
  const ModelFile opened = ModelFile::open(file);
  const auto task = opened.metadata().find("task");
  return task != opened.metadata().end() && task->is_string() ? task->get<std::string>() : "";
}

struct GraphModel::State {
  State(const Device& on, const std::filesystem::path& path)
      : device(on),
        file(ModelFile::open(path)),
        source(file),
        weights(device.gpu(), source),
        session(device.gpu(), weights) {}

  Device device;
  ModelFile file;
  FileWeights source;
  WeightStore weights;
  Session session;
};

GraphModel::GraphModel(const Device& device, const std::filesystem::path& file)
    : state_(std::make_unique<State>(device, file)) {}
GraphModel::~GraphModel() = default;
GraphModel::GraphModel(GraphModel&&) noexcept = default;
GraphModel& GraphModel::operator=(GraphModel&&) noexcept = default;

std::vector<std::string> GraphModel::graphs() const {
  std::vector<std::string> names;
  for (const Graph& graph : state_->file.header().graphs) names.push_back(graph.name);
  return names;
}

std::vector<ArrayInfo> GraphModel::inputs(std::string_view name) const {
  const Graph& graph = choose_graph(state_->file, name);
  std::vector<ArrayInfo> infos;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    ArrayInfo info{input.name, std::string(dtype_name(input.dtype)), {}};
    for (const Dim& dim : input.shape) info.shape.push_back(dim.name.empty() ? std::to_string(dim.size) : dim.name);
    infos.push_back(std::move(info));
  }
  return infos;
}

std::vector<ArrayInfo> GraphModel::outputs(std::string_view name) const {
  const Graph& graph = choose_graph(state_->file, name);
  std::vector<ArrayInfo> infos;
  for (const ValueId id : graph.outputs) infos.push_back({graph.value(id).name, "", {}});
  return infos;
}

std::map<std::string, Array> GraphModel::run(const std::map<std::string, Array>& inputs,
                                             const GraphRunOptions& options) {
  const Graph& stored = choose_graph(state_->file, options.graph);
  validate(stored, ops::is_op);
  check_arrays(stored, inputs);
  std::map<std::string, Shape> shapes;
  for (const auto& [name, array] : inputs) shapes.emplace(name, array.shape);
  Bindings dims = bind_inputs(stored, shapes);
  for (const auto& [name, size] : options.sizes) give_dim(stored, dims, name, size, "sizes");
  complete_dims(state_->file, stored, dims, "name '{}' among the sizes");

  const std::map<std::string, HostTensor> fixed = values_to_fix(stored, inputs);
  const Graph graph = fixed.empty() ? stored : fix_inputs(stored, fixed);
  const std::vector<TensorType> types = infer_all(graph, dims);
  Session& session = state_->session;
  // The session knows executables by the graph's name and sizes, and not by values that are fixed.
  std::unique_ptr<Executable> made;
  const Gpu& gpu = state_->device.gpu();
  if (!fixed.empty()) made = session.prepare(make_plan(graph, dims, gpu.caps(), gpu.tuning()));
  Executable& executable = made != nullptr ? *made : session.prepare(graph, dims);
  for (const ValueId id : graph.inputs) {
    const std::string& name = graph.value(id).name;
    if (session.has(name)) write_array(session, name, graph.value(id).dtype, inputs.at(name));
  }
  session.run(executable);
  std::map<std::string, Array> outputs;
  for (const ValueId id : graph.outputs) {
    const std::string& name = graph.value(id).name;
    outputs.emplace(name, read_array(session, executable, name, types[static_cast<std::size_t>(id)]));
  }
  return outputs;
}

void GraphModel::reset() {
  for (const Graph& graph : state_->file.header().graphs) {
    for (const Value& value : graph.values) {
      if (value.kind == ValueKind::State && state_->session.has(value.name)) state_->session.clear(value.name);
    }
  }
}

}  // namespace heed
