// heed verify: does a model compute the right thing on this device, and where does it go wrong?
#include "runtime/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "formats/npy.h"
#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "runtime/weights.h"
#include "tokenizer/tokenizer.h"
#include "tools/graph_arguments.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"
#include "tools/prompts.h"

namespace heed::tools {
namespace {

using Tensors = std::map<std::string, HostTensor>;

struct VerifyArguments {
  std::string model;
  std::string graph;
  std::vector<std::string> inputs;
  std::vector<std::string> binds;
  std::string prompt = "The quick brown fox jumps over the lazy dog.";
  std::string tokens;
  std::uint64_t seed = 1;
  double slack = 1.0;
  std::string device;
  bool json = false;
};

/// One run of one graph.
struct GraphRun {
  std::string graph;
  std::string what;  // "a prompt of 12 tokens"
  std::vector<NodeCheck> checks;

  const NodeCheck* first_failure() const {
    const auto found = std::ranges::find(checks, false, &NodeCheck::passed);
    return found == checks.end() ? nullptr : &*found;
  }
  double worst() const {
    double worst = 0.0;
    for (const NodeCheck& check : checks) worst = std::max(worst, check.error);
    return worst;
  }
};

/// The model opened on the device.
class Verifying {
 public:
  explicit Verifying(const VerifyArguments& arguments)
      : arguments_(arguments),
        file_(ModelFile::open(arguments.model)),
        device_(open_device(arguments.device)),
        source_(file_),
        weights_(device_.gpu(), source_) {}

  std::vector<GraphRun> run() {
    if (arguments_.graph.empty() && arguments_.inputs.empty()) {
      for (const Graph& graph : file_.header().graphs) verify(graph);
    } else {
      verify(choose_graph(file_, arguments_.graph));
    }
    return std::move(runs_);
  }
  const DeviceInfo& device() const { return device_.info(); }

 private:
  void verify(const Graph& graph) {
    validate(graph, ops::is_op);
    const bool is_text = file_.metadata().value("task", "") == "text-generation" &&
                         graph.name == file_.metadata().value("graph", "decode") && arguments_.inputs.empty();
    is_text ? verify_text(graph) : verify_any(graph);
  }

  /// The prompt as one chunk, then a token alone with what the cache holds by then.
  void verify_text(const Graph& graph) {
    constexpr std::size_t kMostTokens = 24;  // the reference is slow
    std::vector<std::int32_t> tokens;
    if (!arguments_.tokens.empty()) {
      tokens = parse_tokens(arguments_.tokens);
    } else if (file_.has_file("tokenizer.json")) {
      tokens = Tokenizer::from_json(file_.read_file("tokenizer.json"))->encode(arguments_.prompt);
    } else {
      tokens.resize(12);
      std::iota(tokens.begin(), tokens.end(), 0);
    }
    tokens.resize(std::min(tokens.size(), kMostTokens));
    if (tokens.size() < 2) throw Error("verify needs a prompt of at least 2 tokens; give a longer one");
    const std::int64_t context = 64;
    Bindings dims = {{"context", context}};
    Tensors tensors;
    // The last token goes alone.
    const auto chunk = static_cast<std::int64_t>(tokens.size()) - 1;
    for (const auto& [first, count] : {std::pair{std::int64_t{0}, chunk}, std::pair{chunk, std::int64_t{1}}}) {
      dims["tokens"] = dims["outputs"] = count;
      for (const auto& [name, value] : state_types(graph, dims)) {
        tensors.try_emplace(
            name, HostTensor{value, std::vector<double>(static_cast<std::size_t>(element_count(value.shape)))});
      }
      HostTensor& ids = tensors["tokens"];
      ids.data.assign(tokens.begin() + first, tokens.begin() + first + count);
      tensors["position"].data = {static_cast<double>(first)};
      check(graph, dims, tensors,
            count == 1 ? fmt::format("a token at position {}", first) : fmt::format("a prompt of {} tokens", count));
    }
  }

  void verify_any(const Graph& graph) {
    Tensors tensors;
    std::map<std::string, Shape> shapes;
    for (const std::string& given : arguments_.inputs) {
      const auto [name, path] = split_assignment(given, "--input", "NAME=FILE.npy");
      const ValueId id = graph.find(name);
      if (id == kNoValue || graph.value(id).kind != ValueKind::Input) {
        throw Error(fmt::format("--input {}: graph '{}' has no input of this name", name, graph.name));
      }
      const NpyArray array = read_npy(path);
      HostTensor tensor{{graph.value(id).dtype, array.shape}, {}};
      if (is_floating(tensor.type.dtype)) {
        const std::vector<float> values = array.floats(given);
        tensor.data.assign(values.begin(), values.end());
      } else {
        tensor.data = array.wide_integers(given);
      }
      shapes.emplace(name, array.shape);
      tensors.emplace(name, std::move(tensor));
    }
    const Graph fixed = fix_inputs(graph, fixed_inputs(graph, tensors));
    const Bindings dims = bind_dims(file_, graph, arguments_.binds, sizes_of(graph, shapes));
    std::mt19937_64 engine(arguments_.seed);
    std::normal_distribution<double> normal;
    for (const ValueId id : fixed.inputs) {
      const Value& input = fixed.value(id);
      if (tensors.contains(input.name)) continue;
      const TensorType type{input.dtype, bind(input.shape, dims)};
      HostTensor tensor{type, std::vector<double>(static_cast<std::size_t>(element_count(type.shape)))};
      // Integers are 0: every table has a row for it.
      if (is_floating(type.dtype)) {
        for (double& number : tensor.data) number = normal(engine);
      }
      tensors.emplace(input.name, std::move(tensor));
    }
    for (const auto& [name, type] : state_types(fixed, dims)) {
      tensors.try_emplace(name,
                          HostTensor{type, std::vector<double>(static_cast<std::size_t>(element_count(type.shape)))});
    }
    std::vector<std::string> sizes;
    for (const auto& [name, size] : dims) sizes.push_back(fmt::format("{}={}", name, size));
    check(fixed, dims, tensors, sizes.empty() ? "its own sizes" : fmt::format("{}", fmt::join(sizes, " ")));
  }

  /// What --bind and --input say; small sizes for the rest, since the reference is slow.
  Bindings sizes_of(const Graph& graph, const std::map<std::string, Shape>& shapes) const {
    constexpr std::int64_t kSmall = 16;
    Bindings dims;
    for (const auto& [name, shape] : shapes) {
      const SymbolicShape& symbolic = graph.value(graph.find(name)).shape;
      if (symbolic.size() != shape.size()) {
        throw Error(fmt::format("--input {}: {} does not fit {} of graph '{}'", name, to_string(shape),
                                to_string(symbolic), graph.name));
      }
      for (std::size_t d = 0; d < shape.size(); ++d) {
        if (!symbolic[d].name.empty()) dims[symbolic[d].name] = shape[d];
      }
    }
    for (const Value& value : graph.values) {
      if (value.kind != ValueKind::Input && value.kind != ValueKind::State) continue;
      for (const Dim& dim : value.shape) {
        if (dim.name.empty() || dims.contains(dim.name)) continue;
        const bool bound = std::ranges::any_of(
            arguments_.binds, [&](const std::string& text) { return text.starts_with(dim.name + "="); });
        if (!bound) dims[dim.name] = dim.name == "batch" ? 1 : kSmall;
      }
    }
    return dims;
  }

  Tensors fixed_inputs(const Graph& graph, const Tensors& given) const {
    Tensors fixed;
    for (const ValueId id : inputs_to_fix(graph)) {
      const std::string& name = graph.value(id).name;
      const auto found = given.find(name);
      if (found == given.end()) {
        throw Error(fmt::format("graph '{}': sizes depend on the numbers in input '{}'; give it with --input",
                                graph.name, name));
      }
      fixed.emplace(*found);
    }
    return fixed;
  }

  static std::map<std::string, TensorType> state_types(const Graph& graph, const Bindings& dims) {
    std::map<std::string, TensorType> types;
    for (const Value& value : graph.values) {
      if (value.kind == ValueKind::State) types[value.name] = {value.dtype, bind(value.shape, dims)};
    }
    return types;
  }

  void check(const Graph& graph, const Bindings& dims, Tensors& tensors, std::string what) {
    Session session(device_.gpu(), weights_);
    Progress progress(fmt::format("{}, {}", graph.name, what));
    VerifyOptions options;
    options.slack = arguments_.slack;
    options.progress = [&](std::size_t done, std::size_t nodes) { progress.update(done, nodes); };
    const WeightLookup lookup = [&](const std::string& name, std::size_t elements) {
      return decode_weight(source_, name, elements);
    };
    runs_.push_back(
        {graph.name, std::move(what), verify_graph(device_.gpu(), session, graph, dims, lookup, tensors, options)});
  }

  const VerifyArguments& arguments_;
  ModelFile file_;
  Device device_;
  FileWeights source_;
  WeightStore weights_;
  std::vector<GraphRun> runs_;
};

std::string describe(const GraphRun& run, const NodeCheck& check) {
  return fmt::format(
      "graph '{}', {}: {} '{}' is the first that goes wrong\n"
      "  inputs   {}\n"
      "  kernels  {}\n"
      "  output   {} {} {}\n"
      "  worst    element {}: expected {:.9g}, got {:.9g}, {:.3g} times what rounding explains\n",
      run.graph, run.what, check.op, check.node, fmt::join(check.inputs, ", "), fmt::join(check.kernels, ", "),
      check.value, dtype_name(check.type.dtype), to_string(check.type.shape), check.worst_element, check.expected,
      check.actual, check.error);
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); }

nlohmann::json as_json(const GraphRun& run) {
  nlohmann::json json = {{"graph", run.graph},
                         {"what", run.what},
                         {"values", run.checks.size()},
                         {"worst_error", number(run.worst())},
                         {"first_failure", nullptr}};
  if (const NodeCheck* check = run.first_failure()) {
    json["first_failure"] = {{"node", check->node},
                             {"op", check->op},
                             {"inputs", check->inputs},
                             {"kernels", check->kernels},
                             {"value", check->value},
                             {"shape", check->type.shape},
                             {"worst_element", check->worst_element},
                             {"expected", number(check->expected)},
                             {"actual", number(check->actual)},
                             {"error", number(check->error)}};
  }
  return json;
}

int run_verify(const VerifyArguments& arguments) {
  Verifying verifying(arguments);
  const std::vector<GraphRun> runs = verifying.run();
  const bool passed = std::ranges::all_of(runs, [](const GraphRun& run) { return run.first_failure() == nullptr; });
  if (arguments.json) {
    nlohmann::json json = {{"model", arguments.model},
                           {"device", verifying.device().name},
                           {"driver", verifying.device().driver},
                           {"passed", passed},
                           {"runs", nlohmann::json::array()}};
    for (const GraphRun& run : runs) json["runs"].push_back(as_json(run));
    write_output(json_text(json, 2) + "\n");
    return passed ? 0 : kExitError;
  }
  std::string text;
  for (const GraphRun& run : runs) {
    if (const NodeCheck* check = run.first_failure()) {
      text += describe(run, *check);
    } else {
      text += fmt::format("graph '{}', {}: all {} values agree, the worst at {:.2f} of what rounding explains\n",
                          run.graph, run.what, run.checks.size(), run.worst());
    }
  }
  text += fmt::format("{} on {}, {}: {}\n", arguments.model, verifying.device().name, verifying.device().driver,
                      passed ? "verified" : "WRONG");
  write_output(text);
  return passed ? 0 : kExitError;
}

}  // namespace

void add_verify(Program& program) {
  CLI::App* verb = program.app.add_subcommand(
      "verify", "Compare a model on a device with a double-precision reference, node by node");
  verb->footer(
      "Runs every graph of the file once, with random inputs where none are given (integers: 0) and small sizes, and\n"
      "compares each value that the device makes with what the reference makes of the same operands. Prints the first\n"
      "node beyond what rounding explains; exit code 1 then.\n"
      "Examples:\n"
      "  heed verify stories.heed --prompt \"Once upon a time\"\n"
      "  heed verify rfdn.heed --bind height=32 --bind width=32");
  auto arguments = std::make_shared<VerifyArguments>();
  verb->add_option("MODEL", arguments->model, "A .heed file")->required();
  verb->add_option("--graph", arguments->graph, "Only this graph (default: all)")->type_name("NAME");
  CLI::Option* inputs =
      verb->add_option("--input", arguments->inputs, "An input of the graph and its array; repeatable")
          ->type_name("NAME=FILE.npy")
          ->allow_extra_args(false);
  CLI::Option* binds = verb->add_option("--bind", arguments->binds, "The size of a named dimension; repeatable")
                           ->type_name("DIM=N")
                           ->allow_extra_args(false);
  verb->add_option("--prompt", arguments->prompt, "What a text model reads; 24 tokens at most are used")
      ->capture_default_str()
      ->type_name("TEXT");
  verb->add_option("--tokens", arguments->tokens, "Token ids instead of a prompt: 1,15,27")->type_name("IDS");
  verb->add_option("--seed", arguments->seed, "Of the random inputs")
      ->capture_default_str()
      ->transform(integers(0, UINT64_MAX))
      ->type_name("SEED");
  verb->add_option("--slack", arguments->slack, "Allow so many times what rounding explains")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 1e6))
      ->type_name("X");
  add_device_option(*verb, arguments->device);
  verb->add_flag("--json", arguments->json, "Print JSON");
  verb->callback([&program, arguments, inputs, binds] {
    arguments->inputs = inputs->results();
    arguments->binds = binds->results();
    program.run = [arguments] { return run_verify(*arguments); };
  });
}

}  // namespace heed::tools
