#include "generate/text/graph.h"

#include <fmt/format.h>

#include <string>

#include "generate/metadata.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "plan/plan.h"
#include "planner/infer.h"

namespace heed {
namespace {

std::int64_t positive(const ModelFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end() || !found->is_number_integer() || found->get<std::int64_t>() <= 0) {
    throw Error(fmt::format("{}: metadata '{}' is missing or not a positive integer; convert the model again",
                            file.path().string(), key));
  }
  return found->get<std::int64_t>();
}

}  // namespace

TextGraph text_graph(const ModelFile& file, std::int64_t context, CacheType cache, const DeviceCaps& caps) {
  TextGraph text{
      .graph = with_caches_by_head(with_cache_type(
          task_graph(file, "text-generation", "graph", "decode", {"tokens", "position", "logits"}), cache, caps)),
      .context = positive(file, "context"),
      .vocabulary = positive(file, "vocabulary"),
  };
  if (context > text.context) {
    throw Error(fmt::format("{}: a context of {} tokens was asked for, but the model knows {}", file.path().string(),
                            context, text.context));
  }
  if (context > 0) text.context = context;
  const std::vector<TensorType> types =
      infer_all(text.graph, {{"tokens", 1}, {"outputs", 1}, {"context", text.context}});
  const Shape& logits = types[static_cast<std::size_t>(text.graph.find("logits"))].shape;
  if (logits != Shape{1, text.vocabulary}) {
    throw Error(
        fmt::format("{}: the graph makes logits {} for one token, but metadata 'vocabulary' is {}; convert the model "
                    "again",
                    file.path().string(), to_string(logits), text.vocabulary));
  }
  return text;
}

std::map<std::string, std::uint64_t> state_sizes(const Graph& graph, const std::string& dimension, std::int64_t count) {
  std::map<std::string, std::uint64_t> sizes;
  for (const Value& value : graph.values) {
    if (value.kind != ValueKind::State || value.shape.empty() || value.shape[0].name != dimension) continue;
    const std::int64_t elements = element_count(bind(value.shape, {{dimension, count}}));
    sizes[value.name] = saturating_product({u64(elements), device_element_bytes(value.kind, value.dtype)});
  }
  return sizes;
}

void check_tokens(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocabulary) {
      throw Error(
          fmt::format("token {} of the prompt is {}; the vocabulary has ids 0 to {}", i, tokens[i], vocabulary - 1));
    }
  }
}

void check_prompt(const std::vector<std::int32_t>& prompt, const TextGraph& text) {
  if (prompt.empty())
    throw Error("the prompt is empty and the model has no token to begin with; give at least one token");
  if (static_cast<std::int64_t>(prompt.size()) >= text.context) {
    throw Error(
        fmt::format("the prompt has {} tokens, but the context holds {} and one new token needs room; shorten it",
                    prompt.size(), text.context));
  }
  check_tokens(prompt, text.vocabulary);
}

std::string broken_logits(std::int64_t position, const DeviceCaps& caps, CacheType cache, bool limited) {
  return fmt::format(
      "position {}: {}the logits hold NaN or infinity, or nothing finite; the model or the driver is broken: "
      "'heed verify' tells which on {}{}",
      position,
      limited ? "nothing is left that may come next (by no-repeat n-gram, logit bias or constraint), or " : "",
      caps.name, cache_advice(cache));
}

}  // namespace heed
