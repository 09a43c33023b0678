// heed.h: any graph.
#include <deque>
#include <nlohmann/json.hpp>

#include "bindings/c/common.h"
#include "heed/model.h"

namespace heed::c {

struct GraphModelObject : GraphModel {
  static constexpr const char* kKind = "graph model";
  using GraphModel::GraphModel;
};

template <>
struct Described<heed_array> {
  static constexpr const char* kName = "heed_array";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_array, graph_type);
  static heed_array defaults() { return {}; }
};

template <>
struct Described<heed_run_options> {
  static constexpr const char* kName = "heed_run_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_run_options, dimension_count);
  static heed_run_options defaults() { return {}; }
};

namespace {

constexpr std::int32_t kMostDimensions = 8;
constexpr std::int64_t kMostElements = std::int64_t{1} << 40;

std::size_t count_of(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || (size > 0 && count > kMostElements / size)) {
      throw InvalidArgument(
          fmt::format("input '{}': a dimension of {} is no size, or the array is too large", name, size));
    }
    count *= size;
  }
  return static_cast<std::size_t>(count);
}

std::pair<std::string, Array> array_of(const heed_array* given) {
  need(given, "an input");
  const heed_array read = read_options(given);
  need(read.name, "an input's name");
  if (read.rank < 0 || read.rank > kMostDimensions) {
    throw InvalidArgument(
        fmt::format("input '{}': a rank of {}, expected 0 to {}", read.name, read.rank, kMostDimensions));
  }
  Array array;
  array.shape = list_of(read.shape, static_cast<std::size_t>(read.rank), "an input's shape");
  const std::size_t count = count_of(read.name, array.shape);
  if (read.type == HEED_F32) {
    array.elements = list_of(static_cast<const float*>(read.data), count, "an input's data");
  } else if (read.type == HEED_I64) {
    array.elements = list_of(static_cast<const std::int64_t*>(read.data), count, "an input's data");
  } else {
    throw InvalidArgument(fmt::format("input '{}': type {}, expected HEED_F32 or HEED_I64", read.name, read.type));
  }
  return {read.name, std::move(array)};
}

struct ArraysResult : Result {
  explicit ArraysResult(std::map<std::string, Array> given) : outputs(std::move(given)) {
    for (const auto& [name, array] : outputs) {
      heed_array& item = items.emplace_back();
      item.size = sizeof item;
      item.name = name.c_str();
      item.rank = static_cast<std::int32_t>(array.shape.size());
      item.shape = array.shape.data();
      item.graph_type = array.type.c_str();
      if (const auto* floats = std::get_if<std::vector<float>>(&array.elements)) {
        item.type = HEED_F32;
        item.data = floats->data();
      } else {
        item.type = HEED_I64;
        item.data = std::get<std::vector<std::int64_t>>(array.elements).data();
      }
      views.push_back(&item);
    }
    view.count = views.size();
    view.arrays = views.data();
  }
  heed_arrays view{};
  std::map<std::string, Array> outputs;
  std::deque<heed_array> items;
  std::vector<const heed_array*> views;
};

std::string description(const GraphModel& model) {
  nlohmann::json graphs = nlohmann::json::array();
  for (const std::string& name : model.graphs()) {
    nlohmann::json inputs = nlohmann::json::array();
    for (const ArrayInfo& input : model.inputs(name)) {
      inputs.push_back({{"name", input.name}, {"type", input.type}, {"shape", input.shape}});
    }
    nlohmann::json outputs = nlohmann::json::array();
    for (const ArrayInfo& output : model.outputs(name)) outputs.push_back(output.name);
    graphs.push_back({{"name", name}, {"inputs", inputs}, {"outputs", outputs}});
  }
  return nlohmann::json({{"graphs", graphs}}).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace
}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

heed_status heed_array_init(heed_array* array, size_t size) { return init_options(array, size); }
heed_status heed_run_options_init(heed_run_options* options, size_t size) { return init_options(options, size); }

heed_status heed_graph_model_open(heed_device* device, const char* file, heed_graph_model** model) {
  return guarded([&] { open_model<GraphModelObject>(device, file, model); });
}

heed_status heed_run(heed_graph_model* handle, const heed_array* const* inputs, size_t count,
                     const heed_run_options* given, const heed_arrays** outputs) {
  return guarded([&] {
    clear_out(outputs, "the place for the outputs");
    const heed_run_options asked = read_options(given);
    GraphRunOptions options;
    options.graph = text_or_nothing(asked.graph);
    const auto names = texts_of(asked.dimensions, asked.dimension_count, "dimensions");
    const auto sizes = list_of(asked.dimension_sizes, asked.dimension_count, "dimension_sizes");
    for (std::size_t i = 0; i < names.size(); ++i) options.sizes[names[i]] = sizes[i];
    std::map<std::string, Array> arrays;
    for (const heed_array* input : list_of(inputs, count, "the inputs")) {
      std::pair<std::string, Array> array = array_of(input);
      const std::string name = array.first;
      if (!arrays.insert(std::move(array)).second) {
        throw InvalidArgument(fmt::format("input '{}' is given twice", name));
      }
    }
    with_model<GraphModelObject>(
        handle, [&](GraphModel& model) { give(outputs, std::make_unique<ArraysResult>(model.run(arrays, options))); });
  });
}

heed_status heed_graph_reset(heed_graph_model* handle) {
  return guarded([&] { with_model<GraphModelObject>(handle, [](GraphModel& model) { model.reset(); }); });
}

heed_status heed_graph_model_describe(heed_graph_model* handle, const heed_text** json) {
  return guarded([&] {
    clear_out(json, "the place for the description");
    with_model<GraphModelObject>(
        handle, [&](GraphModel& model) { give(json, std::make_unique<TextResult>(description(model))); });
  });
}
}
