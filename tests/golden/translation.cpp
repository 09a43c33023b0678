// Tiny encoder-decoder models with random weights, against transformers and PyTorch in double: the folders of
// tests/golden/translation; README.md says how they were made and what may differ.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "graph/bind.h"
#include "graph/convert_dtype.h"
#include "graph/shape.h"
#include "reference/evaluate.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kTranslationTolerance = 1e-4;  // of the range of what is expected

HostTensor ints(std::vector<std::int64_t> values, Shape shape) {
  HostTensor tensor{{DType::I32, std::move(shape)}, {}};
  for (const std::int64_t value : values) tensor.data.push_back(static_cast<double>(value));
  return tensor;
}

/// A model that runs, on the device or through the reference.
class TranslationRunner {
 public:
  using Tensors = std::map<std::string, HostTensor>;
  explicit TranslationRunner(const fs::path& folder) : model_(folder) {}

  const ModelFile& file() const { return model_.file(); }
  bool has_parents() const { return file().graph("decode").find("parents") != kNoValue; }
  bool on_reference = false;

  /// Outputs by name; with attention also the weights of `attends`, a node, as "weights".
  Tensors run(const std::string& name, const Tensors& inputs, const Bindings& more, const std::string& attends = "") {
    Graph graph = file().graph(name);
    if (!attends.empty()) add_weights(graph, attends);
    Tensors given;
    std::map<std::string, Shape> shapes;
    for (const ValueId id : graph.inputs) {
      const std::string& input = graph.value(id).name;
      given[input] = inputs.at(input);
      shapes[input] = given[input].type.shape;
    }
    Bindings dims = bind_inputs(graph, shapes);
    for (const auto& [dim, size] : more) dims[dim] = size;
    if (!on_reference) return model_.run(graph, given, dims);
    for (const Value& value : graph.values) {
      if (value.kind != ValueKind::State) continue;
      HostTensor& state = states_[value.name];
      state.data.resize(static_cast<std::size_t>(element_count(heed::bind(value.shape, dims))));
      given[value.name] = state;
    }
    const WeightLookup lookup = [&](const std::string& tensor, std::size_t count) {
      const TensorInfo& info = *file().find_tensor(tensor);
      std::vector<float> values(count);
      decode_to_f32(info.dtype, file().read_all(info), count, values.data());
      return std::vector<double>(values.begin(), values.end());
    };
    Tensors outputs = evaluate(graph, dims, lookup, given);
    for (auto& [state, tensor] : states_) {
      if (given.contains(state)) tensor = given.at(state);
    }
    return outputs;
  }

 private:
  static void add_weights(Graph& graph, const std::string& node_name) {
    const auto node = std::ranges::find(graph.nodes, node_name, &Node::name);
    REQUIRE_MESSAGE(node != graph.nodes.end(), node_name);
    Value value;
    value.name = "weights";
    graph.values.push_back(value);
    node->outputs.push_back(static_cast<ValueId>(graph.values.size()) - 1);
    graph.outputs.push_back(node->outputs.back());
    graph.name += "." + node_name;
  }

  ConvertedModel model_;
  Tensors states_;
};

struct Sentences {
  std::vector<std::vector<std::int64_t>> sources, targets;
};

Sentences sentences_of(const fs::path& folder) {
  const nlohmann::json golden = read_json(folder / "golden.json");
  return {golden.at("sources").get<std::vector<std::vector<std::int64_t>>>(),
          golden.at("targets").get<std::vector<std::vector<std::int64_t>>>()};
}

/// The largest difference over the range of what is expected; of rows from `first` on and as many as `expected` has.
double rows_error(const HostTensor& actual, std::size_t first_element, const HostTensor& expected) {
  const auto [least, most] = std::ranges::minmax(expected.data);
  double worst = 0;
  REQUIRE(actual.data.size() >= first_element + expected.data.size());
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    const double error = std::abs(actual.data[first_element + i] - expected.data[i]) / (most - least);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

std::string numbered(const char* name, std::size_t i) { return std::string(name) + "." + std::to_string(i); }

/// Sentences [first, first + count) in one batch, filled up with the pad token. Returns their lengths.
HostTensor encode(TranslationRunner& model, const fs::path& golden, const Sentences& sentences, std::size_t first,
                  std::size_t count, const Bindings& sizes, double& worst) {
  std::size_t longest = 0;
  for (std::size_t i = first; i < first + count; ++i) longest = std::max(longest, sentences.sources[i].size());
  const auto pad = model.file().metadata().at("pad").get<std::int64_t>();
  std::vector<std::int64_t> tokens, lengths;
  for (std::size_t i = first; i < first + count; ++i) {
    std::vector<std::int64_t> row = sentences.sources[i];
    lengths.push_back(static_cast<std::int64_t>(row.size()));
    row.resize(longest, pad);
    tokens.insert(tokens.end(), row.begin(), row.end());
  }
  const HostTensor batch = ints(lengths, {static_cast<std::int64_t>(count)});
  const auto outputs = model.run(
      "encode",
      {{"source_tokens", ints(tokens, {static_cast<std::int64_t>(count), static_cast<std::int64_t>(longest)})},
       {"source_lengths", batch}},
      sizes);
  const HostTensor& memory = outputs.at("memory");
  const auto width = static_cast<std::size_t>(memory.type.shape.at(2));
  for (std::size_t i = 0; i < count; ++i) {
    const HostTensor expected = read_npz_tensor(golden, numbered("memory", first + i));
    worst = std::max(worst, rows_error(memory, i * longest * width, expected));
  }
  return batch;
}

std::vector<fs::path> folders() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "translation")) {
    all.push_back(entry.path());
  }
  std::ranges::sort(all);
  return all;
}

/// What all of a folder's sentences differ by at most: encoder states, logits.
struct Errors {
  double memory = 0, logits = 0, attention = 0;
};

/// Sentence after sentence, its target in one piece or token by token.
void decode_alone(TranslationRunner& model, const fs::path& golden, const Sentences& sentences, bool stepwise,
                  Errors& errors) {
  const auto context = model.file().metadata().at("context").get<std::int64_t>();
  for (std::size_t i = 0; i < sentences.sources.size(); ++i) {
    const auto source = static_cast<std::int64_t>(sentences.sources[i].size());
    const std::vector<std::int64_t>& target = sentences.targets[i];
    Bindings sizes = {{"context", context}, {"rows", 1}, {"source", source}, {"batch", 1}};
    const HostTensor lengths = encode(model, golden, sentences, i, 1, sizes, errors.memory);
    const HostTensor expected = read_npz_tensor(golden, numbered("logits", i));
    const auto vocabulary = static_cast<std::size_t>(expected.type.shape[1]);
    const std::size_t piece = stepwise ? 1 : target.size();
    HostTensor all{expected.type, {}};
    for (std::size_t begin = 0; begin < target.size(); begin += piece) {
      const auto rows = static_cast<std::int64_t>(piece);
      sizes["outputs"] = rows;
      const std::vector<std::int64_t> tokens(target.begin() + static_cast<std::ptrdiff_t>(begin),
                                             target.begin() + static_cast<std::ptrdiff_t>(begin + piece));
      const auto outputs = model.run("decode",
                                     {{"tokens", ints(tokens, {rows})},
                                      {"position", ints({static_cast<std::int64_t>(begin)}, {1})},
                                      {"parents", ints(std::vector<std::int64_t>(piece, 0), {rows})},
                                      {"source_lengths", lengths}},
                                     sizes);
      const HostTensor& logits = outputs.at("logits");
      REQUIRE(logits.data.size() == piece * vocabulary);
      all.data.insert(all.data.end(), logits.data.begin(), logits.data.end());
    }
    errors.logits = std::max(errors.logits, rows_error(all, 0, expected));
  }
}

/// All sentences of a recurrent model at once, a row each.
void decode_together(TranslationRunner& model, const fs::path& golden, const Sentences& sentences, Errors& errors) {
  const std::size_t count = sentences.sources.size();
  std::size_t source = 0, longest = 0;
  for (const auto& row : sentences.sources) source = std::max(source, row.size());
  for (const auto& row : sentences.targets) longest = std::max(longest, row.size());
  const auto rows = static_cast<std::int64_t>(count);
  const Bindings sizes = {
      {"rows", rows}, {"source", static_cast<std::int64_t>(source)}, {"batch", rows}, {"outputs", rows}};
  const HostTensor lengths = encode(model, golden, sentences, 0, count, sizes, errors.memory);
  const bool attends = model.file().metadata().at("parameters").at("attention") != "none";
  std::vector<std::int64_t> parents;
  for (std::size_t i = 0; i < count; ++i) parents.push_back(static_cast<std::int64_t>(i));
  for (std::size_t step = 0; step < longest; ++step) {
    std::vector<std::int64_t> tokens;
    for (const auto& target : sentences.targets) tokens.push_back(step < target.size() ? target[step] : target.back());
    const auto outputs = model.run("decode",
                                   {{"tokens", ints(tokens, {rows})},
                                    {"position", ints({static_cast<std::int64_t>(step)}, {1})},
                                    {"parents", ints(parents, {rows})},
                                    {"source_lengths", lengths}},
                                   sizes, attends ? "attention" : "");
    for (std::size_t i = 0; i < count; ++i) {
      if (step >= sentences.targets[i].size()) continue;
      const HostTensor all = read_npz_tensor(golden, numbered("logits", i));
      const auto vocabulary = static_cast<std::size_t>(all.type.shape[1]);
      HostTensor expected{{DType::F32, {1, all.type.shape[1]}}, {}};
      const auto begin = all.data.begin() + static_cast<std::ptrdiff_t>(step * vocabulary);
      expected.data.assign(begin, begin + static_cast<std::ptrdiff_t>(vocabulary));
      errors.logits = std::max(errors.logits, rows_error(outputs.at("logits"), i * vocabulary, expected));
      if (!attends) continue;
      const HostTensor weights = read_npz_tensor(golden, numbered("attention", i));  // (steps, source)
      const auto length = static_cast<std::size_t>(weights.type.shape[1]);
      for (std::size_t s = 0; s < source; ++s) {  // heads 1, rows, source; behind a sentence's end 0
        const double want = s < length ? weights.data[step * length + s] : 0.0;
        errors.attention = std::max(errors.attention, std::abs(outputs.at("weights").data[i * source + s] - want));
      }
    }
  }
}

}  // namespace

TEST_CASE(
    "translation: encoder states and logits within 1e-4 of their range, alone and in a batch, in steps and in one "
    "piece") {
  std::set<std::string> seen;
  for (const fs::path& folder : folders()) {
    const std::string kind = folder.filename().string();
    CAPTURE(kind);
    TranslationRunner model(folder);
    const fs::path golden = folder / "golden.npz";
    const Sentences sentences = sentences_of(folder);
    seen.insert(kind);
    for (const bool reference : {false, true}) {
      CAPTURE(reference);
      model.on_reference = reference;
      Errors errors;
      if (model.has_parents()) {
        decode_together(model, golden, sentences, errors);
        if (!reference) decode_alone(model, golden, sentences, true, errors);
      } else {
        double together = 0;
        encode(model, golden, sentences, 0, sentences.sources.size(), {}, together);
        CHECK(together < kTranslationTolerance);
        decode_alone(model, golden, sentences, false, errors);
        if (!quick()) decode_alone(model, golden, sentences, true, errors);
      }
      MESSAGE(kind << std::string(reference ? ", reference" : ", device") << ": memory within " << errors.memory
                   << ", logits " << errors.logits << ", attention " << errors.attention);
      CHECK(errors.memory < kTranslationTolerance);
      CHECK(errors.logits < kTranslationTolerance);
      CHECK(errors.attention < kTranslationTolerance);
    }
  }
  CHECK(seen.size() >= 18);
}

TEST_CASE("translation: weights of cross-attention of every layer and head") {
  for (const fs::path& folder : folders()) {
    const std::vector<std::string> names = names_in_npz(folder / "golden.npz");
    if (std::ranges::find(names, "cross.0") == names.end()) continue;
    CAPTURE(folder.filename().string());
    TranslationRunner model(folder);
    const Sentences sentences = sentences_of(folder);
    const auto context = model.file().metadata().at("context").get<std::int64_t>();
    const auto source = static_cast<std::int64_t>(sentences.sources[0].size());
    const auto rows = static_cast<std::int64_t>(sentences.targets[0].size());
    const Bindings sizes = {{"context", context}, {"source", source}, {"batch", 1}, {"outputs", 1}};
    double memory = 0;
    const HostTensor lengths = encode(model, folder / "golden.npz", sentences, 0, 1, sizes, memory);
    const HostTensor expected = read_npz_tensor(folder / "golden.npz", "cross.0");  // (layers, heads, steps, source)
    const std::size_t layers = static_cast<std::size_t>(expected.type.shape[0]);
    const std::size_t each = expected.data.size() / layers;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const auto outputs = model.run(
          "decode",
          {{"tokens", ints(sentences.targets[0], {rows})}, {"position", ints({0}, {1})}, {"source_lengths", lengths}},
          sizes, "layer" + std::to_string(layer) + ".cross_attention");
      const HostTensor& weights = outputs.at("weights");
      REQUIRE(weights.data.size() == each);
      for (std::size_t i = 0; i < each; ++i) {
        REQUIRE(std::abs(weights.data[i] - expected.data[layer * each + i]) < kTranslationTolerance);
      }
    }
  }
}

}  // namespace heed::golden
