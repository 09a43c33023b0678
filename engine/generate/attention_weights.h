#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "heed/attention.h"
#include "runtime/session.h"
#include "tokenizer/tokenizer.h"

namespace heed {

/// The text of a token as labels show it: its piece, "<ID>" where that is empty or the vocabulary has no such token,
/// the id where there is no tokenizer.
std::string token_label(const Tokenizer* tokenizer, std::int32_t token);

/// Whether an attention node reads what earlier steps left in a cache.
bool has_cache(const Node& node);

/// The attention nodes of a graph that `chosen` says, in order.
std::vector<AttentionLayer> attention_layers(const Graph& graph, const std::function<bool(const Node&)>& chosen);

/// A graph whose outputs are the weights of those of its attention nodes that `chosen` says. `kind` tells graphs apart
/// that were made of one.
Graph with_attention_weights(const Graph& original, const std::string& kind,
                             const std::function<bool(const Node&)>& chosen);

/// Reads the weights that a run of such a graph left, the last of the session, as rows from `first_row` on of the
/// nodes, of which earlier runs left those before. Where `nodes` is empty they are made: `describe` gives a node's name
/// and kind, and how many rows it will have in all. Throws Error for a node of more than one block.
void read_attention_weights(Session& session, const Executable& executable, const Graph& graph,
                            const std::function<AttentionWeights(const Node&)>& describe, std::int64_t first_row,
                            std::vector<AttentionWeights>& nodes);

}  // namespace heed
