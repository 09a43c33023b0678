// Attention as its cases ask for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

struct PlainAttention {
  std::int64_t queries = 3;
  std::int64_t keys = 5;
  std::int64_t heads = 2;
  std::int64_t kv_heads = 2;
  std::int64_t d = 16;
  std::int64_t dv = 16;
  bool causal = false;
  std::int64_t window = 0;
  double softcap = 0.0;
  int mask = 0;  // 2 or 3 dimensions
  bool weights = false;
  double scale = 0.0;  // 0: the default
  std::int64_t halves = 2;
};

/// Without a cache: q, k and v are inputs.
OpCase plain_attention(const PlainAttention& c);

struct CachedAttention {
  std::int64_t rows = 1;
  std::int64_t context = 32;
  double position = 0;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t d = 16;
  std::int64_t dv = 16;
  std::string rotary = {};  // layout; empty for none
  std::int64_t rotary_dims = 0;
  double rotary_scale = 1;
  bool projected = false;  // q, k and v are products of x, which fusion packs
  bool bias = false;
  DType dtype = DType::F32;  // of the products
  bool causal = true;
  std::int64_t window = 0;
  double softcap = 0.0;
  int mask = 0;
  bool weights = false;
  bool norm = false;     // of x before those products
  std::int64_t out = 0;  // columns of a product of the result, with a residual; 0 for none
  DType cache = DType::F32;
  std::int64_t halves = 2;
};

/// With a cache whose rows up to the position hold random numbers, and the ones behind NaN, which nobody may read.
OpCase cached_attention(const CachedAttention& c);

}  // namespace heed::op_cases
