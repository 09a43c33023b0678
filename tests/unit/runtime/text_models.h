#pragma once

#include <cstdint>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "graph/graph.h"
#include "heed/text.h"
#include "tests/temporary_folder.h"

/// Small text models for tests of the text loop.
namespace heed::testing {

using Ids = std::vector<std::int32_t>;

inline constexpr std::int32_t kVocabulary = 32;
inline constexpr std::int64_t kContext = 400;

/// After token t it always says t + 1, and after the last token 0. In a folder of its own, removed at the end.
class CountingModel {
 public:
  explicit CountingModel(const Ids& end_tokens = {}, std::int32_t said_vocabulary = kVocabulary) {
    GraphBuilder g("decode");
    const ValueId tokens = g.input("tokens", DType::I32, {"tokens"});
    g.input("position", DType::I32, {1});
    const ValueId one_hot =
        g.add("embedding", "embedding", {tokens, g.weight("same", DType::F32, {kVocabulary, kVocabulary})});
    const ValueId last = g.add("tail", "tail", {one_hot}, {{"rows", std::string("outputs")}});
    g.output(g.add("linear", "output", {last, g.weight("next", DType::F32, {kVocabulary, kVocabulary})}), "logits");
    ModelHeader header;
    header.graphs.push_back(std::move(g).finish());
    for (const char* name : {"same", "next"}) {
      header.tensors.push_back({name, DType::F32, {kVocabulary, kVocabulary}, 0, 0, 0});
    }
    header.metadata = {
        {"task", "text-generation"}, {"graph", "decode"}, {"context", kContext}, {"vocabulary", said_vocabulary}};
    if (!end_tokens.empty()) header.metadata["end_tokens"] = end_tokens;
    write_model_file(path(), header, {}, [](const TensorInfo& tensor, const auto& sink) {
      std::vector<float> values(kVocabulary * kVocabulary);
      for (std::size_t t = 0; t < kVocabulary; ++t) {
        values[(tensor.name == "same" ? t : (t + 1) % kVocabulary) * kVocabulary + t] = 1;
      }
      sink(std::as_bytes(std::span(values)));
    });
  }
  std::filesystem::path path() const { return folder_.path("counting.heed"); }

 private:
  TemporaryFolder folder_;
};

/// A model that looks back: one layer of attention over everything so far, random weights. What it says depends on
/// every cached key and value. `projection`, of k or v, is so many times as large as the others.
class LookingBackModel {
 public:
  explicit LookingBackModel(const std::string& projection = "", float times = 1.0f, std::int64_t context = kContext) {
    constexpr std::int64_t kWidth = 32;
    GraphBuilder g("decode");
    const ValueId tokens = g.input("tokens", DType::I32, {"tokens"});
    const ValueId position = g.input("position", DType::I32, {1});
    ModelHeader header;
    const auto weight = [&](const std::string& name, std::int64_t rows) {
      header.tensors.push_back({name, DType::F32, {rows, kWidth}, 0, 0, 0});
      return g.weight(name, DType::F32, {rows, kWidth});
    };
    const ValueId x = g.add("embedding", "embedding", {tokens, weight("words", kVocabulary)});
    const auto product = [&](const std::string& name) {
      return g.add("linear", name, {x, weight(name + ".weight", kWidth)});
    };
    const ValueId q = product("q");
    const ValueId k = product("k");
    const ValueId v = product("v");
    const ValueId attended =
        g.add("attention", "attention",
              {q, k, v, kNoValue, g.state("cache.k", DType::F32, {"context", kWidth}),
               g.state("cache.v", DType::F32, {"context", kWidth}), position},
              {{"heads", std::int64_t{2}}, {"kv_heads", std::int64_t{2}}, {"causal", std::int64_t{1}}});
    const ValueId last = g.add("tail", "tail", {attended}, {{"rows", std::string("outputs")}});
    g.output(g.add("linear", "output", {last, weight("output.weight", kVocabulary)}), "logits");
    header.graphs.push_back(std::move(g).finish());
    header.metadata = {
        {"task", "text-generation"}, {"graph", "decode"}, {"context", context}, {"vocabulary", kVocabulary}};
    std::uint32_t state = 1;
    write_model_file(path(), header, {}, [&](const TensorInfo& tensor, const auto& sink) {
      std::vector<float> values(static_cast<std::size_t>(element_count(tensor.shape)));
      for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
        if (tensor.name == projection + ".weight") value *= times;
      }
      sink(std::as_bytes(std::span(values)));
    });
  }
  std::filesystem::path path() const { return folder_.path("looking_back.heed"); }

 private:
  TemporaryFolder folder_;
};

inline GenerationOptions greedy(std::int64_t max_tokens) {
  GenerationOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = max_tokens;
  return options;
}

/// first, first + 1, ... to before `end`.
inline Ids count_up(std::int32_t first, std::int32_t end) {
  Ids ids(static_cast<std::size_t>(end - first));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

}  // namespace heed::testing
