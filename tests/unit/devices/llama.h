#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace heed::testing {

/// The decode graph of a model like Llama, with weights of one type but for norms; `experts` of which each token takes
/// `experts_used`, 0 for none.
Graph llama(std::int64_t width, std::int64_t layers, std::int64_t heads, std::int64_t kv_heads, std::int64_t ffn,
            std::int64_t vocabulary, std::int64_t context, DType type, std::int64_t experts = 0,
            std::int64_t experts_used = 0);

}  // namespace heed::testing
