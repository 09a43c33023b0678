#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "constants/attention_push.h"
#include "ops/attention.h"
#include "plan/lowering.h"

/// What the files that lower attention have in common: attention_lower.cpp chooses the kernel; attention_cache.cpp lets
/// keys and values enter caches, and goes through those that are too large for a binding; attention_step.cpp has the
/// kernels that do all of a step at once.
namespace heed::ops {

/// Whether each row says where it is; a single row does in either way.
bool has_own_positions(const Lowering& l);

/// Where keys lie, for the constant TABLED of the shaders: 0, where their positions say; 1, where a table says for each
/// row; 2, where one says for all rows.
std::uint32_t tabled(const Lowering& l);

/// Whether kernels read heads as vec4s.
bool has_vector_heads(const AttentionSizes& s);

/// What the shaders call the type of the keys and values that they read.
std::string cache_variant(const AttentionSizes& s);

/// The push constants, those of the mask too; rows of q lie as input kQ has them.
AttentionPush attention_push(const Lowering& l, const AttentionSizes& s);

/// How the kernels that go once over the keys (attention_pass.glsl) are cut: workgroups of `lanes` with a tile of
/// scores in shared memory and enough slots of the value row for every lane.
struct AttentionPass {
  std::uint32_t lanes;
  std::uint32_t tile;
  std::uint32_t slots;
  std::uint32_t q_length;

  /// Throws Error where the device has too little shared memory.
  static AttentionPass of(const Lowering& l, const AttentionSizes& s);
};

/// Rows of a cache that are bound at a time: all, but where a device binds less.
struct CachePiece {
  std::int64_t first;
  std::int64_t rows;
};

/// Rows of k and v enter a piece of the cache, and q and k are turned; q only with the first piece. Returns the turned
/// q, where there was anything to turn: `turned_before`, unless this is the first.
std::optional<Binding> enter_cache(Lowering& l, const AttentionSizes& s, const CachePiece& piece,
                                   const std::optional<Binding>& turned_before = std::nullopt);

/// Attention with a cache that is too large for one binding, one piece after the other. False where it is not.
bool lower_in_pieces(Lowering& l, const AttentionSizes& s);

/// Whether attention_split.comp and attention_step.comp do it all in one dispatch: a single row, or rows of which none
/// sees another's newest key.
bool is_attention_step(const Lowering& l, const AttentionSizes& s);

/// Completes and appends that dispatch: `d` binds q, keys, values, mask, positions and y.
void lower_attention_step(Lowering& l, const AttentionSizes& s, Dispatch d);

}  // namespace heed::ops
