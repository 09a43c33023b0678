#include "tools/verify_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>

#include "formats/npy.h"
#include "generate/cache_type.h"
#include "generate/metadata.h"
#include "generate/text/session.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "runtime/weights.h"
#include "tokenizer/tokenizer.h"
#include "tools/graph_arguments.h"
#include "tools/program.h"
#include "tools/progress.h"
#include "tools/prompts.h"

namespace heed::tools {
namespace {

using Tensors = std::map<std::string, HostTensor>;

// The reference is slow.
constexpr std::int64_t kMostOfPrompt = 24;
constexpr std::int64_t kSmallContext = 64;
constexpr std::int64_t kDrawn = 2;  // tokens that are chosen after the prompt

/// The model opened on the device.
class Verifying {
 public:
  explicit Verifying(const VerifyArguments& arguments)
      : arguments_(arguments),
        file_(ModelFile::open(arguments.model)),
        device_(open_device(arguments.device)),
        source_(file_),
        weights_(device_.gpu(), source_) {}

  VerifiedModel run() {
    std::vector<const Graph*> graphs;
    if (arguments_.graph.empty() && arguments_.inputs.empty()) {
      for (const Graph& graph : file_.header().graphs) graphs.push_back(&graph);
    } else {
      graphs.push_back(&choose_graph(file_, arguments_.graph));
    }
    for (const Graph& graph : file_.header().graphs) {
      if (std::ranges::find(graphs, &graph) == graphs.end()) left_out_.push_back(graph.name);
    }
    check_text_options(graphs);
    check_binds(graphs);
    for (const Graph* graph : graphs) verify(*graph);
    return {device_.info(), std::move(runs_), std::move(left_out_)};
  }

 private:
  bool is_text(const Graph& graph) const {
    return metadata_text(file_, "task") == "text-generation" && graph.name == metadata_text(file_, "graph", "decode") &&
           arguments_.inputs.empty();
  }

  bool is_sound(const Graph& graph) const {
    const bool makes = std::ranges::find(graph.nodes, "wavenet", &Node::op) != graph.nodes.end();
    return metadata_text(file_, "task") == "sound" && makes && arguments_.inputs.empty() && binds_of(graph).empty();
  }

  void check_text_options(const std::vector<const Graph*>& graphs) const {
    const char* const option = arguments_.has_tokens ? "--tokens" : arguments_.has_prompt ? "--prompt" : nullptr;
    if (option == nullptr) return;
    if (std::ranges::any_of(graphs, [&](const Graph* graph) { return is_text(*graph); })) return;
    const std::string why = !arguments_.inputs.empty() ? "--input gives the tokens"
                            : metadata_text(file_, "task") == "text-generation"
                                ? fmt::format("graph '{}' reads no text", graphs.front()->name)
                                : fmt::format("the model's task is '{}'; only text generation takes a prompt here",
                                              metadata_text(file_, "task", "unknown"));
    throw Error(fmt::format("{}: {}; leave {} out", option, why, option));
  }

  /// Every --bind names a dimension that one of the graphs has.
  void check_binds(const std::vector<const Graph*>& graphs) const {
    std::set<std::string, std::less<>> known;
    for (const Graph* graph : graphs) known.merge(dims_of(*graph));
    for (const std::string& text : arguments_.binds) {
      const std::string name = split_assignment(text, "--bind", "DIM=N, such as height=32").first;
      if (known.contains(name)) continue;
      throw Error(fmt::format("--bind '{}': no graph that is verified has a dimension '{}'; {}", text, name,
                              known.empty() ? "none has a name" : fmt::format("there are {}", fmt::join(known, ", "))));
    }
  }

  /// Those of a graph's own dimensions.
  std::vector<std::string> binds_of(const Graph& graph) const {
    const std::set<std::string, std::less<>> known = dims_of(graph);
    std::vector<std::string> binds;
    for (const std::string& text : arguments_.binds) {
      if (known.contains(text.substr(0, text.rfind('=')))) binds.push_back(text);
    }
    return binds;
  }

  void verify(const Graph& graph) {
    validate(graph, ops::is_op);
    // As the model runs it: others keep their caches as the file has them.
    const auto task = file_.metadata().find("task");
    const bool chooses = task != file_.metadata().end() && (*task == "text-generation" || *task == "translation");
    if (!chooses && arguments_.cache != CacheType::Auto) throw Error("--cache is for text and translation models");
    const Graph run = chooses ? with_cache_type(graph, arguments_.cache, device_.gpu().caps()) : graph;
    note_cache(arguments_.cache, cache_type_of(run));
    if (is_text(graph)) return verify_text(with_caches_by_head(run));
    is_sound(graph) ? verify_sound(run) : verify_any(run);
  }

  std::int64_t count_in_metadata(const char* key, std::int64_t otherwise) const {
    const auto found = file_.metadata().find(key);
    return found != file_.metadata().end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
  }

  /// The context that --bind asks for, or a small one.
  std::int64_t context_for(const Graph& graph, std::size_t tokens) const {
    const std::int64_t known = count_in_metadata("context", kSmallContext);
    Bindings dims;
    const std::vector<std::string> binds = binds_of(graph);
    for (const std::string& text : binds) {
      const std::string name = text.substr(0, text.rfind('='));
      if (name == "context") continue;
      throw Error(fmt::format("--bind '{}': '{}' of graph '{}' follows from --prompt or --tokens; bind context alone",
                              text, name, graph.name));
    }
    if (!binds.empty()) {
      dims = bind_dims(file_, graph, binds, {{"tokens", 1}, {"outputs", 1}});
      if (dims.at("context") > known) {
        throw Error(fmt::format("--bind '{}': the model knows a context of {} tokens", binds.front(), known));
      }
      return dims.at("context");
    }
    return std::min(known, std::max<std::int64_t>(kSmallContext, static_cast<std::int64_t>(tokens) + kDrawn));
  }

  struct Text {
    std::vector<std::int32_t> tokens;
    std::size_t given = 0;  // more than these where a prompt was cut
  };

  Text text(const Graph& graph) const {
    Text result;
    std::vector<std::int32_t>& tokens = result.tokens;
    const std::int64_t vocabulary = count_in_metadata("vocabulary", INT32_MAX);
    if (arguments_.has_tokens) {
      tokens = parse_tokens("--tokens", arguments_.tokens);
    } else if (file_.has_file("tokenizer.json")) {
      tokens = Tokenizer::from_json(file_.read_file("tokenizer.json"))->encode(arguments_.prompt);
      const std::int64_t room = context_for(graph, kMostOfPrompt) - kDrawn;
      const auto most = static_cast<std::size_t>(std::clamp<std::int64_t>(room, 0, kMostOfPrompt));
      result.given = tokens.size();
      tokens.resize(std::min(tokens.size(), most));
    } else if (arguments_.has_prompt) {
      throw Error(fmt::format("--prompt: {} has no tokenizer; give --tokens", arguments_.model));
    } else {
      tokens.resize(static_cast<std::size_t>(std::min<std::int64_t>(12, vocabulary)));
      std::iota(tokens.begin(), tokens.end(), 0);
    }
    if (tokens.size() < 2) {
      throw Error(
          fmt::format("verify needs at least 2 tokens, there are {}; give a longer --prompt or more --tokens, or "
                      "a larger --bind context=N",
                      tokens.size()));
    }
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < vocabulary) continue;
      throw Error(fmt::format("--tokens: {} is no token of the model, which has 0 to {}", token, vocabulary - 1));
    }
    result.given = std::max(result.given, tokens.size());
    return result;
  }

  /// What `heed generate` runs: the prompt as one chunk, then steps of a token with what the cache holds by then, one
  /// that takes the best token and one that draws.
  void verify_text(const Graph& graph) {
    for (const char* name : {"tokens", "position", "logits"}) {
      if (graph.find(name) == kNoValue) throw Error(fmt::format("graph '{}' has no '{}'", graph.name, name));
    }
    const Text given = text(graph);
    const std::vector<std::int32_t>& tokens = given.tokens;
    const auto count = static_cast<std::int64_t>(tokens.size());
    const std::int64_t context = context_for(graph, tokens.size());
    if (count + kDrawn > context) {
      throw Error(
          fmt::format("{} tokens and {} that follow do not fit a context of {}; give fewer --tokens, or a larger "
                      "--bind context=N",
                      count, kDrawn, context));
    }
    // The last token goes alone.
    Bindings dims = {{"context", context}, {"tokens", count - 1}, {"outputs", count - 1}};
    Tensors tensors;
    add_states(graph, dims, tensors);
    tensors["tokens"].data.assign(tokens.begin(), tokens.end() - 1);
    tensors["position"].data = {0.0};
    check(graph, dims, tensors,
          fmt::format("a prompt of {} tokens{}", count - 1,
                      given.given > tokens.size()
                          ? fmt::format(" ({} of the {} that were given are used)", tokens.size(), given.given)
                          : ""));

    dims["tokens"] = dims["outputs"] = 1;
    HostTensor& sampler = tensors["sampler"];
    sampler = {{DType::I32, {ops::kSamplerWords}}, words_of_sampler()};
    HostTensor& history = tensors["history"];
    history = {{DType::I32, {context}}, std::vector<double>(static_cast<std::size_t>(context))};
    std::ranges::copy(tokens, history.data.begin());
    tensors["tokens"].type.shape = {1};
    tensors["tokens"].data = {static_cast<double>(tokens.back())};
    tensors["position"].data = {static_cast<double>(count - 1)};
    // The states, and with them the token that is chosen, stay as the device leaves them.
    for (const bool greedy : {true, false}) {
      const auto position = static_cast<std::int64_t>(tensors["position"].data[0]);
      check(with_sampling(graph, context, {.greedy = greedy, .penalty = !greedy}), dims, tensors,
            fmt::format("a token at position {}, {}", position, greedy ? "then the best" : "then one drawn"));
    }
  }

  /// All that sampling has: a temperature, top-k, top-p, min-p and the repetition penalty.
  std::vector<double> words_of_sampler() const {
    ops::SamplerState state;
    state.seed_low = static_cast<std::uint32_t>(arguments_.seed);
    state.seed_high = static_cast<std::uint32_t>(arguments_.seed >> 32);
    state.temperature = 0.8f;
    state.top_k = 40;
    state.top_p = 0.95f;
    state.min_p = 0.01f;
    state.penalty = 1.1f;
    const auto words = std::bit_cast<std::array<std::int32_t, ops::kSamplerWords>>(state);
    return {words.begin(), words.end()};
  }

  static void add_states(const Graph& graph, const Bindings& dims, Tensors& tensors) {
    for (const auto& [name, type] : state_types(graph, dims)) {
      tensors.try_emplace(name,
                          HostTensor{type, std::vector<double>(static_cast<std::size_t>(element_count(type.shape)))});
    }
    for (const char* name : {"tokens", "position"}) {
      const Value& value = graph.value(graph.find(name));
      tensors[name].type = {value.dtype, bind(value.shape, dims)};
    }
  }

  /// Some samples of a sound model, drawn or given, of a frame or two.
  void verify_sound(const Graph& graph) {
    constexpr std::int64_t kSamples = 16;
    const Node& net = *std::ranges::find(graph.nodes, "wavenet", &Node::op);
    const std::int64_t frames = ceil_div(kSamples, net.attributes.integer("hop", kSamples));
    std::int64_t around = 0;  // frames that a convolution over them looks at besides
    for (const Node& node : graph.nodes) {
      const bool is_conv = node.op == "conv" && graph.value(node.inputs.at(1)).shape.size() == 3;
      if (is_conv) around = graph.value(node.inputs.at(1)).shape[2].size - 1;
    }
    const Bindings dims = {{"steps", kSamples}, {"window", frames + around}};
    std::mt19937_64 engine(arguments_.seed);
    std::uniform_real_distribution<double> values(-1.0, 1.0);
    const auto levels = static_cast<double>(net.attributes.integer("levels", 0));
    Tensors tensors;
    const auto add = [&](const std::string& name, const TensorType& type) -> std::vector<double>& {
      HostTensor tensor{type, std::vector<double>(static_cast<std::size_t>(element_count(type.shape)))};
      return tensors.emplace(name, std::move(tensor)).first->second.data;
    };
    for (const ValueId id : graph.inputs) {
      const Value& input = graph.value(id);
      std::vector<double>& numbers = add(input.name, {input.dtype, bind(input.shape, dims)});
      for (double& number : numbers) {
        number = values(engine);
        if (input.name == "given" && levels > 0) number = std::floor((number + 1.0) / 2.0 * levels);
        if (input.name == "local_mask") number = 1.0;
        if (!is_floating(input.dtype)) number = 0.0;
      }
    }
    for (const auto& [name, type] : state_types(graph, dims)) {
      std::vector<double>& numbers = add(name, type);
      if (name == "sampler") numbers = words_of_sampler();
    }
    check(graph, dims, tensors, fmt::format("{} samples", kSamples));
  }

  void verify_any(const Graph& graph) {
    Tensors tensors;
    std::map<std::string, Shape> shapes;
    const auto to_fix = inputs_to_fix(graph);
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
        const bool fixed = std::ranges::find(to_fix, id) != to_fix.end();
        if (fixed) {
          tensor.data = array.wide_integers(given);
        } else {
          const std::vector<std::int32_t> values = array.integers(given);
          check_range("input '" + name + "'", tensor.type.dtype, values);
          tensor.data.assign(values.begin(), values.end());
        }
      }
      shapes.emplace(name, array.shape);
      tensors.emplace(name, std::move(tensor));
    }
    const Graph fixed = fix_inputs(graph, fixed_inputs(graph, tensors));
    const Bindings dims = bind_dims(file_, graph, binds_of(graph), sizes_of(graph, shapes));
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
    runs_.push_back({graph.name, std::move(what), cache_type_of(graph),
                     verify_graph(device_.gpu(), session, graph, dims, lookup, tensors, options)});
  }

  const VerifyArguments& arguments_;
  ModelFile file_;
  Device device_;
  FileWeights source_;
  WeightStore weights_;
  std::vector<GraphRun> runs_;
  std::vector<std::string> left_out_;
};

}  // namespace

const NodeCheck* GraphRun::first_failure() const {
  const auto found = std::ranges::find(checks, false, &NodeCheck::passed);
  return found == checks.end() ? nullptr : &*found;
}

double GraphRun::worst() const {
  double worst = 0.0;
  for (const NodeCheck& check : checks) worst = std::max(worst, check.error);
  return worst;
}

VerifiedModel verify_model(const VerifyArguments& arguments) { return Verifying(arguments).run(); }

}  // namespace heed::tools
