// heed run: feeds any graph of a model arrays, and keeps what it gives.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "file/model_file.h"
#include "graph/bind.h"
#include "heed/device.h"
#include "heed/error.h"
#include "ops/op.h"
#include "plan/infer.h"
#include "runtime/session.h"
#include "tools/graph_arguments.h"
#include "tools/npy.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;

struct RunArguments {
  std::string model;
  std::string device;
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
    session.write(input.name, std::as_bytes(std::span(values)));
  } else {
    const std::vector<float> values = array.floats(where);
    session.write(input.name, std::as_bytes(std::span(values)));
  }
}

/// Throws Error where an input that serves as row numbers of a table names a row that is not there: the op gives zeros
/// for it, which nobody means.
void check_ids(const Graph& graph, const std::vector<TensorType>& types,
               const std::map<std::string, NpyArray>& arrays) {
  for (const Node& node : graph.nodes) {
    if (node.op != "embedding") continue;
    const Value& ids = graph.value(node.inputs[0]);
    if (ids.kind != ValueKind::Input) continue;
    const std::int64_t rows = types[static_cast<std::size_t>(node.inputs[1])].shape[0];
    const std::vector<std::int32_t> values = arrays.at(ids.name).integers(fmt::format("input '{}'", ids.name));
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= 0 && values[i] < rows) continue;
      throw Error(fmt::format("input '{}': element {} is {}; '{}' has rows 0 to {}", ids.name, i, values[i],
                              graph.value(node.inputs[1]).name, rows - 1));
    }
  }
}

/// The same for the position of a text model, beyond whose context there is no room in the cache.
void check_position(const ModelFile& file, const Graph& graph, const Bindings& dims,
                    const std::map<std::string, NpyArray>& arrays) {
  const auto said = file.metadata().find("context");
  const ValueId id = graph.find("position");
  if (said == file.metadata().end() || !said->is_number_integer() || id == kNoValue) return;
  const Value& position = graph.value(id);
  if (position.kind != ValueKind::Input || is_floating(position.dtype)) return;
  const auto bound = dims.find("context");
  auto context = said->get<std::int64_t>();
  if (bound != dims.end()) context = std::min(context, bound->second);
  const auto tokens = dims.find("tokens");
  const std::int64_t count = tokens == dims.end() ? 1 : tokens->second;
  for (const std::int32_t value : arrays.at(position.name).integers("input 'position'")) {
    if (value < 0 || value + count > context) {
      throw Error(
          fmt::format("input 'position' is {}, and there are {} tokens; a context of {} holds positions 0 to {}", value,
                      count, context, context - 1));
    }
  }
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
  check_ids(graph, types, arrays);
  check_position(file, graph, dims, arrays);

  const Device device = open_device(arguments.device);
  const FileWeights source(file);
  WeightStore weights(device.gpu(), source);
  Session session(device.gpu(), weights);
  Executable& executable = session.prepare(graph, dims);
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (session.has(input.name)) write_input(session, input, arrays.at(input.name));
  }
  session.run(executable);

  std::set<std::string> written;
  std::error_code error;
  fs::create_directories(arguments.outputs, error);
  if (error) throw Error(fmt::format("{}: cannot make the folder: {}", arguments.outputs, error.message()));
  for (const ValueId id : graph.outputs) {
    const TensorType& type = types[static_cast<std::size_t>(id)];
    const std::string& name = graph.value(id).name;
    std::vector<std::byte> data(static_cast<std::size_t>(element_count(type.shape)) * 4);
    session.read_output(executable, name, data);
    std::string file_name = name + ".npy";
    std::replace(file_name.begin(), file_name.end(), '/', '_');
    if (!written.insert(file_name).second) throw Error(fmt::format("two outputs would be written to {}", file_name));
    const fs::path path = fs::path(arguments.outputs) / file_name;
    write_npy(path, type.dtype, type.shape, from_words(type.dtype, data));
    write_output(fmt::format("{} {} {}: {}\n", name, dtype_name(type.dtype), to_string(type.shape), path.string()));
  }
  return 0;
}

}  // namespace

void add_run(Program& program) {
  CLI::App* verb = program.app.add_subcommand("run", "Run a graph of a .heed file on arrays");
  verb->footer(
      "Inputs are .npy files (float32, float64, int32, int64). States start at zero. Sizes that no input tells are\n"
      "bound with --bind; 'outputs' is otherwise as 'tokens', and 'context' the model's own. A '/' in the name of an\n"
      "output becomes '_' in its file's.\n"
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
