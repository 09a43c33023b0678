#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "file/model_file.h"

namespace heed {

/// A text of the metadata, or `otherwise` where it is absent. Throws Error where it is no text.
std::string metadata_text(const ModelFile& file, const char* key, const char* otherwise = "");

/// Throws Error, which says what runs the model, when it is for another task than this one (metadata `task`).
void check_task(const ModelFile& file, std::string_view task);

/// The graph that metadata `key` names, or `otherwise`, of a model for a task. Throws Error as check_task() does, and
/// when the graph is not valid or has no value of one of `names`.
const Graph& task_graph(const ModelFile& file, std::string_view task, const char* key, const char* otherwise,
                        std::initializer_list<const char*> names);

/// The ids of a list, all below `vocabulary`. Throws Error naming `where` in the metadata when it is no such list.
std::vector<std::int32_t> token_ids(const ModelFile& file, const std::string& where, const nlohmann::json& list,
                                    std::int64_t vocabulary);

}  // namespace heed
