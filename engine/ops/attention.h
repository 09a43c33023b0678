#pragma once

#include <cstdint>

#include "constants/attention_push.h"
#include "graph/graph.h"

namespace heed {
struct Dispatch;  // plan/plan.h
}  // namespace heed

namespace heed::ops {

/// What an attention node works on; the shapes are those of its inputs (attention.cpp), nullptr where absent.
struct AttentionSizes {
  std::int64_t heads, kv_heads, queries, d, dv;
  std::int64_t length;  // keys there can be: cache rows or S
  bool cached, packed;
  double scale, softcap;
  std::int64_t window;
  bool causal;

  static AttentionSizes from(const Attributes& attributes, const Shape& q, const Shape* k, const Shape* v,
                             const Shape* cache_k, const Shape* cache_v);
  std::int64_t positions() const { return length - queries + 1; }  // at which rows can enter the cache
  std::int64_t q_width() const { return heads * d; }
  std::int64_t k_width() const { return kv_heads * d; }
  std::int64_t v_width() const { return kv_heads * dv; }
};

/// The push constants that follow from the sizes; q_row, mask_heads and dims are left to the op, 0.
AttentionPush attention_push(const AttentionSizes& sizes);
/// Keys that a pass over them by so many lanes scores at a time.
std::uint32_t attention_tile(std::uint32_t lanes);
/// Loop iterations that an invocation of such a pass runs.
std::uint64_t attention_iterations(const AttentionSizes& sizes, bool vectors, std::uint32_t lanes);
/// Bytes of shared memory that it uses.
std::uint64_t attention_shared(const AttentionSizes& sizes, std::uint32_t lanes);
/// Adds to a dispatch what it does for the keys: for each of them `products` multiplications a query and head.
void count_keys(const AttentionSizes& sizes, std::int64_t products, Dispatch& dispatch);

}  // namespace heed::ops
