#pragma once

#include <cstdint>

#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed::ops {

/// Projection, attention with a cache and output projection of a single row.
struct AttentionBlock {
  DType dtype = DType::F32;                // of both weights
  std::int64_t columns = 0;                // of x
  std::int64_t width = 0;                  // of y
  const Attributes* attributes = nullptr;  // of the attention
  Shape cache_k, cache_v;
  DType cache = DType::F32;  // of both caches
};

/// Whether a device runs the block as one dispatch (attention_block.comp), and may gain by it.
bool fits_one_dispatch(const AttentionBlock& block, const DeviceCaps& caps, const Tuning& tuning);

}  // namespace heed::ops
