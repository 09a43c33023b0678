#include "tests/unit/devices/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "generate/beam_search.h"
#include "generate/cache_type.h"
#include "generate/sampling.h"
#include "generate/step_state.h"
#include "generate/text/session.h"
#include "ops/logit_rules.h"
#include "ops/sample.h"
#include "planner/infer.h"
#include "tests/unit/devices/llama.h"
#include "tools/convert/convert.h"

namespace heed::testing {
namespace {

const std::filesystem::path kSource = HEED_SOURCE_DIR;

void add_text(std::vector<Model>& models, const std::string& name, const Graph& decode, std::int64_t context,
              bool large) {
  for (const std::int64_t tokens : {1, 64}) {
    models.push_back({fmt::format("{}, {} tokens", name, tokens),
                      decode,
                      {{"tokens", tokens}, {"outputs", 1}, {"context", context}},
                      large});
    if (large) continue;  // they take time, and differ from the others in sizes alone
    models.push_back(models.back());
    models.back().name += ", f16 cache";
    models.back().graph = with_cache_type(decode, CacheType::F16, {});
  }
  const Bindings step = {{"tokens", 1}, {"outputs", 1}, {"context", context}};
  models.push_back({name + ", sampled", with_sampling(decode, context), step, large});
  const ChoiceMode all = {.adjusts = true, .masks = true, .filters = true, .logprobs = true};
  models.push_back({name + ", sampled with all options", heed::with_sampling(decode, context, all), step, large});
  const std::vector<TensorType> types = infer_all(decode, step);
  const Shape& logits = types[static_cast<std::size_t>(decode.find("logits"))].shape;
  models.back().dims.insert({{"list", 1024}, {"mask_words", ops::mask_words(logits.back())}});
}

/// A translation model's graphs as they run: a batch is encoded, and beams of it take a step.
void add_translation(std::vector<Model>& models, const std::string& name, const ModelHeader& header) {
  const auto graph_named = [&](const std::string& graph) {
    return *std::ranges::find(header.graphs, graph, &Graph::name);
  };
  const std::int64_t context = header.metadata.at("context").get<std::int64_t>();
  const std::int64_t source = std::min<std::int64_t>(24, header.metadata.at("source_context").get<std::int64_t>());
  for (const std::int64_t sentences : {16}) {
    for (const std::int64_t beams : {4}) {
      const std::int64_t rows = sentences * beams;
      models.push_back({fmt::format("{} encode {} for {} beams", name, sentences, beams),
                        graph_named("encode"),
                        {{"batch", sentences}, {"source", source}, {"rows", rows}}});
      // The cache is f16 in the one and f32 in the other.
      const Graph half = StepState::with_rows(with_cache_type(graph_named("decode"), CacheType::F16, {}));
      const Graph stepped = StepState::with_rows(graph_named("decode"));
      for (const bool drawn : {false, true}) {
        models.push_back(
            {fmt::format("{} step of {} x {} {}", name, sentences, beams, drawn ? "samples" : "beams"),
             drawn ? Sampling::append_to(stepped, {.penalty = true}) : BeamSearch::append_to(half, beams, 1),
             {{"batch", sentences},
              {"source", source},
              {"rows", rows},
              {"tokens", rows},
              {"outputs", rows},
              {"positions", context},
              {"context", context},
              {"places", context * rows},
              {"sentences", sentences},
              {"options", static_cast<std::int64_t>(ops::kFirstForced)}}});
      }
    }
  }
}

/// A run of a sound model, as it draws samples and as it is given them.
void add_sound(std::vector<Model>& models, const std::filesystem::path& folder) {
  convert::Checkpoint checkpoint = convert::read_checkpoint(folder, {});
  const ModelHeader header = convert::make_header(checkpoint, std::nullopt);
  const nlohmann::json& parameters = header.metadata.at("parameters");
  constexpr std::int64_t kFrames = 8;
  const std::int64_t hop = parameters.at("hop");
  const std::int64_t around = std::max<std::int64_t>(0, parameters.at("local_kernel").get<std::int64_t>() - 1);
  for (const Graph& graph : header.graphs) {
    models.push_back({fmt::format("{} {}", folder.filename().string(), graph.name),
                      graph,
                      {{"steps", hop > 1 ? kFrames * hop : 512}, {"window", kFrames + around}}});
  }
}

}  // namespace

Graph with_sampling(const Graph& decode, std::int64_t context, bool greedy) {
  GraphBuilder builder(decode);
  Graph& graph = builder.graph();
  const ValueId tokens = graph.find("tokens"), position = graph.find("position");
  std::erase_if(graph.inputs, [&](ValueId id) { return id == tokens || id == position; });
  graph.value(tokens).kind = graph.value(position).kind = ValueKind::State;
  const ValueId logits = graph.find("logits");
  graph.outputs.clear();
  builder.output(
      builder.add("sample", "sample",
                  {logits, tokens, position, builder.state("history", DType::I32, {context}),
                   builder.state("sampler", DType::I32, {ops::kSamplerWords})},
                  {{"greedy", std::int64_t{greedy}}, {"penalty", std::int64_t{!greedy}}, {"rows", "tokens"}}),
      "next_token");
  return graph;
}

std::vector<Model> all_models() {
  std::vector<Model> models;
  std::vector<std::filesystem::path> translators = {kSource / "models" / "dates", kSource / "models" / "en-ja"};
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "tests" / "golden" / "translation")) {
    translators.push_back(entry.path());
  }
  for (const std::filesystem::path& folder : translators) {
    convert::Checkpoint checkpoint = convert::read_checkpoint(folder, {});
    add_translation(models, folder.filename().string(), convert::make_header(checkpoint, std::nullopt));
  }
  for (const char* folder : {"shakespeare", "fashion"}) {
    convert::Checkpoint checkpoint = convert::read_checkpoint(kSource / "models" / folder, {});
    const ModelHeader header = convert::make_header(checkpoint, std::nullopt);
    for (const Graph& graph : header.graphs) {
      if (graph.name == "decode") {
        add_text(models, folder, graph, 256, false);
      } else {
        Bindings dims;
        for (const Value& value : graph.values) {
          for (const Dim& dim : value.shape) {
            if (!dim.name.empty()) dims[dim.name] = 1;
          }
        }
        models.push_back({fmt::format("{} {}", folder, graph.name), graph, dims});
        for (auto& [dim, size] : dims) size = 3;
        models.push_back({fmt::format("{} {}, threes", folder, graph.name), graph, dims});
      }
    }
  }
  add_sound(models, kSource / "models" / "digits-voice");
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "tests" / "golden" / "wavenet")) {
    add_sound(models, entry.path());
  }
  add_text(models, "15M f32", llama(288, 6, 6, 6, 768, 32000, 256, DType::F32), 256, false);
  add_text(models, "15M q8_0", llama(288, 6, 6, 6, 768, 32000, 256, DType::Q8_0), 256, false);
  add_text(models, "1B q4_0", llama(2048, 22, 32, 4, 5632, 32000, 2048, DType::Q4_0), 2048, true);
  add_text(models, "7B f16", llama(4096, 32, 32, 32, 11008, 32000, 4096, DType::F16), 4096, true);
  add_text(models, "Mixtral 8x7B q4_0", llama(4096, 32, 32, 8, 14336, 32000, 4096, DType::Q4_0, 8, 2), 4096, true);
  return models;
}

}  // namespace heed::testing
