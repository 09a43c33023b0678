#include "generate/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {

std::string metadata_text(const ModelFile& file, const char* key, const char* otherwise) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return otherwise;
  if (found->is_string()) return found->get<std::string>();
  throw Error(fmt::format("{}: metadata '{}' is no text; convert the model again", file.path().string(), key));
}

void check_task(const ModelFile& file, std::string_view task) {
  const std::string actual = metadata_text(file, "task", "unknown");
  if (actual == task) return;
  constexpr std::pair<std::string_view, std::string_view> kVerbs[] = {
      {"text-generation", "'heed generate' or 'heed chat'"},
      {"translation", "'heed translate'"},
      {"sound", "'heed sound'"},
      {"text-to-image", "'heed draw'"},
      {"draw", "'heed draw'"},
      {"image-to-image", "'heed upscale'"},
  };
  const auto* const found = std::ranges::find(kVerbs, actual, &std::pair<std::string_view, std::string_view>::first);
  throw Error(fmt::format("{}: the model's task is '{}', not {}; use {}", file.path().string(), actual, task,
                          found == std::end(kVerbs) ? "'heed run', or 'heed upscale' for pictures" : found->second));
}

const Graph& task_graph(const ModelFile& file, std::string_view task, const char* key, const char* otherwise,
                        std::initializer_list<const char*> names) {
  check_task(file, task);
  const Graph& graph = file.graph(metadata_text(file, key, otherwise));
  validate(graph, ops::is_op);
  for (const char* name : names) {
    if (graph.find(name) == kNoValue) {
      throw Error(fmt::format("{}: graph '{}' has no '{}'", file.path().string(), graph.name, name));
    }
  }
  return graph;
}

std::vector<std::int32_t> token_ids(const ModelFile& file, const std::string& where, const nlohmann::json& list,
                                    std::int64_t vocabulary) {
  if (!list.is_array()) {
    throw Error(fmt::format("{}: metadata '{}' is no list of token ids below {}; convert the model again",
                            file.path().string(), where, vocabulary));
  }
  std::vector<std::int32_t> tokens;
  for (const nlohmann::json& token : list) {
    const bool fits = token.is_number_integer() && token.get<std::int64_t>() >= 0;
    if (!fits || token.get<std::int64_t>() >= vocabulary) {
      throw Error(fmt::format("{}: metadata '{}' holds {}, expected token ids below {}; convert the model again",
                              file.path().string(), where, token.dump(), vocabulary));
    }
    tokens.push_back(token.get<std::int32_t>());
  }
  return tokens;
}

}  // namespace heed
