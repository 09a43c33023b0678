#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "generate/cache_type.h"
#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed {

/// The decode graph of a text-generation model and what its file says of it.
struct TextGraph {
  Graph graph;  // the file's, with caches of the type that was chosen
  std::int64_t context = 0;
  std::int64_t vocabulary = 0;
};

/// Throws Error when the file is no text-generation model, or `context` (0: the model's own) exceeds what it was
/// trained for.
TextGraph text_graph(const ModelFile& file, std::int64_t context, CacheType cache, const DeviceCaps& caps);

/// Bytes of each state whose first dimension is called so, where that has `count` elements, by name.
std::map<std::string, std::uint64_t> state_sizes(const Graph& graph, const std::string& dimension, std::int64_t count);

/// Throws Error naming the first of a prompt's tokens that the vocabulary does not have.
void check_tokens(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary);
/// The same, and when the prompt is empty or leaves no room for a token in the context.
void check_prompt(const std::vector<std::int32_t>& prompt, const TextGraph& text);

/// What to say where no token could be chosen for a position; `limited`: options may have left none.
std::string broken_logits(std::int64_t position, const DeviceCaps& caps, CacheType cache, bool limited = false);

}  // namespace heed
