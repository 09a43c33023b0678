#include "generate/metadata.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {

const Graph& task_graph(const ModelFile& file, std::string_view task, const char* key, const char* otherwise,
                        std::initializer_list<const char*> names) {
  const nlohmann::json& metadata = file.metadata();
  if (metadata.value("task", "") != task) {
    throw Error(fmt::format("{}: the model's task is '{}', not {}", file.path().string(),
                            metadata.value("task", "unknown"), task));
  }
  const Graph& graph = file.graph(metadata.value(key, otherwise));
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
