#include "plan/product_tuning.h"

#include "graph/quantised.h"

namespace heed {

WeightKind weight_kind(DType weight) {
  if (const QuantisedType* type = quantised_type(weight)) {
    constexpr std::uint32_t kSmallBlock = 32;
    if (type->block_elements > kSmallBlock) return WeightKind::KQuants;
    return type->low_bits == 8 ? WeightKind::Bytes : WeightKind::Nibbles;
  }
  return dtype_info(weight).block_bytes == 2 ? WeightKind::Halves : WeightKind::Floats;
}

std::string_view weight_kind_name(WeightKind kind) {
  switch (kind) {
    case WeightKind::Floats:
      return "floats";
    case WeightKind::Halves:
      return "halves";
    case WeightKind::Bytes:
      return "bytes";
    case WeightKind::Nibbles:
      return "nibbles";
    case WeightKind::KQuants:
      return "K-quants";
  }
  return "";
}

std::uint32_t ProductTuning::rows_a_lane(std::int64_t outputs, bool gate, std::int64_t head_rows) const {
  std::uint32_t result = rows;
  while (result > 1 && outputs < std::int64_t{result} * lanes * kFewestGroups) result /= 2;
  if (gate && result > 1) result /= 2;
  while (result > 1 && head_rows > 0 && head_rows % (std::int64_t{lanes} * result) != 0) --result;
  return result;
}

}  // namespace heed
