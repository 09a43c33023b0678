#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "graph/dtype.h"

namespace heed {

/// Kinds of weights of products: kernels do alike with what they fetch of one kind, and so little alike with that of
/// another that a device may be fastest with other numbers.
enum class WeightKind : std::uint8_t {
  Floats,   // f32
  Halves,   // f16, bf16
  Bytes,    // quants of 8 bits: q8_0
  Nibbles,  // fewer bits, in blocks of 32: q4_0, q4_1, q5_0, q5_1, iq4_nl
  KQuants,  // in blocks of 256 with scales within: q2_k to q6_k
};
inline constexpr std::array kWeightKinds = {WeightKind::Floats, WeightKind::Halves, WeightKind::Bytes,
                                            WeightKind::Nibbles, WeightKind::KQuants};

/// Of a type that a weight may have. It follows from what quantised.h says of the type.
WeightKind weight_kind(DType weight);
/// "floats", "halves", ...
std::string_view weight_kind_name(WeightKind kind);

/// The part of Tuning (device_caps.h) that is about products of x with weights of one kind.
struct ProductTuning {
  // One row of x, and few where no other choice says otherwise.
  bool lane_rows = false;            // a lane has weight rows of its own
  std::uint32_t lanes = 64;          // invocations of a workgroup
  std::uint32_t rows = 4;            // weight rows that such a workgroup, or lane, multiplies at a time
  std::uint32_t max_groups = 65535;  // spread larger work over loops inside this many workgroups
  bool pairs = false;                // small products of one row, one after the other, in one dispatch
  // Several rows where `lane_rows`.
  std::uint32_t x_rows = 1;  // of x that a workgroup takes; 1: as where lanes have no rows
  /// And about so many multiplications that a lane does of what it fetches at a time, at most: each is code of its own.
  std::uint32_t x_products = 1024;
  bool shuffle_rows = false;  // and a subgroup's lanes fetch x in turn and hand them on
  /// Many rows: rows of x and of the weight that a workgroup multiplies at a time out of shared memory, 32, 64 or 128,
  /// or fewer where limits say so; 0: kernels without shared memory.
  std::uint32_t tile = 0;
  /// And about how many workgroups such a product should be shared by: tiles of narrow ones are made smaller, and long
  /// sums cut.
  std::uint32_t tile_groups = 0;
  bool cooperative = false;  // such tiles are multiplied by subgroups together, where the device can
  /// One row and a few with quantised weights: about so many workgroups share a product, in integers, where the device
  /// can; 0: in floats, by the kernels above.
  std::uint32_t dot_groups = 0;
  std::uint32_t few_dot_groups = 0;  // of them those of several rows, where others are better; 0: as of one row
  bool operator==(const ProductTuning&) const = default;

  static constexpr std::uint32_t kMostXRows = 8;
  static constexpr std::int64_t kFewestGroups = 8;  // worth having, so that a CPU driver's threads have equal work

  /// Weight rows of each lane where `lane_rows` and a product has so many output columns: fewer for a narrow output
  /// rather than too few workgroups. A gated product reads two rows for each, so it takes half as many. Where
  /// `head_rows` rows from a multiple of them on are read by one workgroup (an attention head), as many as divide them
  /// evenly.
  std::uint32_t rows_a_lane(std::int64_t outputs, bool gate, std::int64_t head_rows) const;
  /// Rows of such a product's weight that lie interleaved in memory (DeviceWeight::band): those of a workgroup, so that
  /// it reads memory from front to back.
  std::int64_t weight_band(std::int64_t outputs, bool gate, std::int64_t head_rows) const {
    return lane_rows ? std::int64_t{lanes} * rows_a_lane(outputs, gate, head_rows) : 1;
  }
};

}  // namespace heed
