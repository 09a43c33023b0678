#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "constants/attention_cooperative.h"
#include "constants/attention_push.h"
#include "constants/attention_tiles.h"
#include "graph/graph.h"
#include "ops/fusion.h"
#include "ops/tuning.h"

namespace heed {
class Lowering;     // plan/lowering.h
struct DeviceCaps;  // plan/device_caps.h
struct Dispatch;    // plan/plan.h
}  // namespace heed

namespace heed::ops {

/// Inputs of op attention, in order.
namespace attention_input {
enum : std::size_t { kQ, kK, kV, kMask, kCacheK, kCacheV, kPosition, kLengths, kTable, kScoreWeight };
}

/// Positions of which a head's keys lie side by side in a cache that lies by head, and its values.
inline constexpr std::int64_t kKeyBlock = 64;

enum class AttentionScore : std::uint8_t { Dot = 0, Additive = 1, Cosine = 2, Distance = 3 };  // as in the shaders

/// What an attention node works on; the shapes are those of its inputs (attention.cpp), nullptr where absent.
struct AttentionSizes {
  std::int64_t heads, kv_heads, d, dv;
  std::int64_t queries;      // of all blocks
  std::int64_t query_rows;   // of a block: T of q [B, T, ..], all of q [T, ..]
  std::int64_t memory_rows;  // queries that see the same memory
  std::int64_t length;       // keys there can be for a query: positions of a cache, or S
  bool cached, packed;
  std::int64_t cache_rows;   // of a cache, or of the piece of it that is bound
  bool by_head;              // where it lies so
  DType cache = DType::F32;  // of both; not taken from the shapes: set by who knows it
  AttentionScore score;
  double scale, softcap;
  std::int64_t window;
  bool causal;

  static AttentionSizes from(const Attributes& attributes, const Shape& q, const Shape* k, const Shape* v,
                             const Shape* cache_k, const Shape* cache_v, const Shape* table = nullptr);
  /// Log2 of the positions of which a head's rows lie side by side in the cache.
  std::uint32_t block_shift() const { return by_head ? std::countr_zero(static_cast<std::uint64_t>(kKeyBlock)) : 0; }
  /// Among rows of a single head, that of a head in a place of the cache.
  std::int64_t row_of_head(std::int64_t place, std::int64_t kv_head) const {
    if (!by_head) return place * kv_heads + kv_head;
    const std::int64_t block = place / kKeyBlock * kKeyBlock;
    return block * kv_heads + kv_head * std::min(kKeyBlock, cache_rows - block) + place - block;
  }
  std::int64_t memories() const { return queries / memory_rows; }
  std::int64_t positions() const { return length - queries + 1; }  // at which rows can enter the cache
  std::int64_t q_width() const { return heads * d; }
  std::int64_t k_width() const { return kv_heads * d; }
  std::int64_t v_width() const { return kv_heads * dv; }
};

/// Elements of a mask from head to head and from memory to memory; 0 where all have the same.
struct AttentionMask {
  std::int64_t head_stride = 0;
  std::int64_t memory_stride = 0;
  static AttentionMask of(const Shape& mask);
};

/// Whether caches of heads of so many elements may be f16: a word of two never belongs to two heads, and kernels read
/// whole vec4s.
constexpr bool fits_f16_cache(std::int64_t d, std::int64_t dv) { return d % 4 == 0 && dv % 4 == 0; }
/// A number as a cache of that type holds it. What is too large for f16 is NaN, which is seen in all that is made of
/// it.
double cached_as(DType cache, double value);

/// Appends the dispatches of an attention node: attention_lower.cpp.
void lower_attention(Lowering& lowering);

/// The push constants that follow from the sizes; q_row, mask_head, mask_memory and dims are left to the op, 0.
AttentionPush attention_push(const AttentionSizes& sizes);
/// Keys that a pass over them by so many lanes scores at a time.
std::uint32_t attention_tile(std::uint32_t lanes);
/// Loop iterations that an invocation of such a pass runs.
std::uint64_t attention_iterations(const AttentionSizes& sizes, bool vectors, std::uint32_t lanes);
/// Bytes of shared memory that it uses.
std::uint64_t attention_shared(const AttentionSizes& sizes, std::uint32_t lanes);
/// Adds to a dispatch what it does for the keys: for each of them `products` multiplications a query and head. It reads
/// them `passes` times. The first of them is number `first_key` of a cache, of which the dispatch may have a piece.
void count_keys(const AttentionSizes& sizes, std::int64_t products, Dispatch& dispatch, std::int64_t passes = 1,
                std::int64_t first_key = 0);

/// How attention_tiles.comp is cut; what a dispatch alone knows (cached, causal, masked, ..) is left 0.
struct AttentionTiles {
  AttentionTilesConstants constants;
  std::int64_t rows;     // of a workgroup: queries times heads that share keys
  std::int64_t blocks;   // of so many rows that a memory's queries are; workgroups for each memory and key/value head
  std::uint64_t shared;  // bytes of shared memory
  std::uint64_t iterations;  // of the loops of an invocation, at most

  /// Tiles of about `rows` rows, or of fewer where there are fewer or the device has no room. Nothing where the kernel
  /// cannot run (heads that are no whole vec4s, other scores than dot, a device that is too small) or most of a tile
  /// would be empty.
  static std::optional<AttentionTiles> of(const AttentionSizes& sizes, const DeviceCaps& caps, std::int64_t rows);
};

/// How attention_cooperative.comp is cut, likewise.
struct AttentionMatrices {
  AttentionCooperativeConstants constants;
  std::int64_t rows, blocks;
  std::uint64_t shared, iterations;

  /// As AttentionTiles::of, with q, weights, and keys and values that are not f16 as so many halves. Nothing, besides,
  /// where the device has no matrices that fit.
  static std::optional<AttentionMatrices> of(const AttentionSizes& sizes, const DeviceCaps& caps, std::int64_t rows,
                                             std::uint32_t halves);
};

/// What the tuner times for attention: attention_tuning.cpp.
std::vector<TuningStep> attention_tuning();

// Passes of this op (attention_fusions.cpp).

/// attention(rotary(q), rotary(k), v) with a cache takes over the rotation (attributes rotary_*), which then happens
/// where keys enter the cache.
void fuse_rotary(const FusionContext& context);

/// attention whose q, k and v are linears of the same x gets one linear with stacked rows; attribute `packed` = 1 says
/// that input 0 holds q, k and v side by side.
void fuse_packed_attention(const FusionContext& context);

}  // namespace heed::ops
