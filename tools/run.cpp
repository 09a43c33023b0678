// heed run: feeds any graph of a model arrays, and keeps what it gives.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "file/model_file.h"
#include "formats/npy.h"
#include "graph/bind.h"
#include "heed/device.h"
#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "runtime/session.h"
#include "tools/graph_arguments.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/smaller_sizes.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;

struct RunArguments {
  std::string model;
  DeviceArguments device;
  std::string graph;
  std::vector<std::string> inputs;  // NAME=FILE
  std::vector<std::string> binds;   // DIM=N
  std::string outputs;
};

std::map<std::string, NpyArray> read_inputs(const Graph& graph, const RunArguments& arguments) {
  std::map<std::string, NpyArray> arrays;
  for (const std::string& text : arguments.inputs) {
    const auto [name, path] = split_assignment(text, "--input", "NAME=FILE.npy");
    const bool known = std::any_of(graph.inputs.begin(), graph.inputs.end(),
                                   [&, &wanted = name](ValueId id) { return graph.value(id).name == wanted; });
    if (!known) throw Error(fmt::format("graph '{}' has no input '{}'", graph.name, name));
    if (!arrays.emplace(name, read_npy(path)).second) throw Error(fmt::format("input '{}' is given twice", name));
  }
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (!arrays.contains(input.name)) {
      throw Error(fmt::format("input '{}' ({} {}) is missing; give --input {}=FILE.npy", input.name,
                              dtype_name(input.dtype), to_string(input.shape), input.name));
    }
  }
  return arrays;
}

/// Elements of inputs on whose values sizes depend.
std::map<std::string, HostTensor> fixed_inputs(const Graph& graph, const std::map<std::string, NpyArray>& arrays) {
  std::map<std::string, HostTensor> fixed;
  for (const ValueId id : inputs_to_fix(graph)) {
    const Value& input = graph.value(id);
    const NpyArray& array = arrays.at(input.name);
    HostTensor tensor{{input.dtype, array.shape}, {}};
    const std::string where = fmt::format("input '{}'", input.name);
    if (is_floating(input.dtype)) {
      const std::vector<float> values = array.floats(where);
      tensor.data.assign(values.begin(), values.end());
    } else {
      tensor.data = array.wide_integers(where);
    }
    fixed.emplace(input.name, std::move(tensor));
  }
  return fixed;
}

void write_input(Session& session, const Value& input, const NpyArray& array) {
  const std::string where = fmt::format("input '{}'", input.name);
  if (!is_floating(input.dtype)) {
    const std::vector<std::int32_t> values = array.integers(where);
    check_range(where, input.dtype, values);
    session.write(input.name, std::as_bytes(std::span(values)));
  } else {
    const std::vector<float> values = array.floats(where);
    session.write(input.name, std::as_bytes(std::span(values)));
  }
}

/// Where each output goes. One whose name is changed to a name that is taken is NAME.2.
std::vector<fs::path> output_paths(const Graph& graph, const fs::path& folder) {
  std::set<std::string> taken;  // first by those whose names are files' names as they are
  for (const ValueId id : graph.outputs) taken.insert(graph.value(id).name);
  std::vector<fs::path> paths;
  for (const ValueId id : graph.outputs) {
    const std::string& name = graph.value(id).name;
    std::string own = name;
    if (name.find('/') != std::string::npos) {
      std::string plain = name;
      std::replace(plain.begin(), plain.end(), '/', '_');
      own = plain;
      for (int number = 2; !taken.insert(own).second; ++number) own = fmt::format("{}.{}", plain, number);
    }
    paths.push_back(folder / (own + ".npy"));
  }
  return paths;
}

int run_graph(const RunArguments& arguments) {
  const ModelFile file = ModelFile::open(arguments.model);
  const Graph& stored = choose_graph(file, arguments.graph);
  validate(stored, ops::is_op);
  const std::map<std::string, NpyArray> arrays = read_inputs(stored, arguments);
  std::map<std::string, Shape> shapes;
  for (const auto& [name, array] : arrays) shapes.emplace(name, array.shape);
  const Bindings dims = bind_dims(file, stored, arguments.binds, bind_inputs(stored, shapes));
  const Graph graph = fix_inputs(stored, fixed_inputs(stored, arrays));
  const std::vector<TensorType> types = infer_all(graph, dims);

  const Device device = open_device(arguments.device);
  const FileWeights source(file);
  WeightStore weights(device.gpu(), source);
  Session session(device.gpu(), weights);
  Executable& executable = prepare(session, file, graph, dims, device.gpu());
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (session.has(input.name)) write_input(session, input, arrays.at(input.name));
  }
  std::error_code error;
  fs::create_directories(arguments.outputs, error);
  if (error) throw Error(fmt::format("{}: cannot make the folder: {}", arguments.outputs, error.message()));
  session.run(executable);

  const std::vector<fs::path> paths = output_paths(graph, arguments.outputs);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const ValueId id = graph.outputs[i];
    const TensorType& type = types[static_cast<std::size_t>(id)];
    const std::string& name = graph.value(id).name;
    std::vector<std::byte> data(static_cast<std::size_t>(element_count(type.shape)) * 4);
    session.read_output(executable, name, data);
    write_npy(paths[i], type.dtype, type.shape, from_words(type.dtype, data));
    write_output(fmt::format("{} {} {}: {}\n", name, dtype_name(type.dtype), to_string(type.shape), paths[i].string()));
  }
  return 0;
}

}  // namespace

void add_run(Program& program) {
  CLI::App* verb = program.app.add_subcommand("run", "Run a graph of a .heed file on arrays");
  verb->footer(
      "Inputs are .npy files of real numbers, integers or booleans. States start at zero. Sizes that no input\n"
      "tells are bound with --bind; 'outputs' is otherwise as 'tokens', and 'context' the model's own. A '/' in the\n"
      "name of an output becomes '_' in its file's, or NAME.2.npy where that is another output's.\n"
      "Example:\n"
      "  heed run stories.heed --input tokens=tokens.npy --input position=zero.npy --outputs results");
  auto arguments = std::make_shared<RunArguments>();
  verb->add_option("MODEL", arguments->model, "A .heed file")->required();
  verb->add_option("--graph", arguments->graph, "Which graph (default: the model's main one)")->type_name("NAME");
  CLI::Option* inputs = verb->add_option("--input", arguments->inputs, "An input and its array; repeatable")
                            ->type_name("NAME=FILE.npy")
                            ->allow_extra_args(false);
  CLI::Option* binds = verb->add_option("--bind", arguments->binds, "The size of a named dimension; repeatable")
                           ->type_name("DIM=N")
                           ->allow_extra_args(false);
  verb->add_option("--outputs", arguments->outputs, "The folder to write NAME.npy of each output to")
      ->required()
      ->type_name("DIR");
  add_device_option(*verb, arguments->device);
  verb->callback([&program, arguments, inputs, binds] {
    arguments->inputs = inputs->results();
    arguments->binds = binds->results();
    program.run = [arguments] { return run_graph(*arguments); };
  });
}

}  // namespace heed::tools
