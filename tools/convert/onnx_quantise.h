#pragma once

#include "tools/convert/onnx_import.h"

namespace heed::convert {

/// The least and the most that a quantised tensor holds.
struct QuantisedType {
  DType dtype = DType::U8;
  int bits = 0;  // 4 or 2, where it is narrower than its dtype
  double least = 0.0;
  double most = 255.0;
};

/// Throws Error naming the node for other types than integers of 2 to 16 bits.
QuantisedType quantised_type(const OnnxNode& node, DType dtype, int bits);
inline QuantisedType quantised_type(const OnnxNode& node, const Operand& like) {
  return quantised_type(node, like.dtype, like.bits);
}

/// Scales and zero points along one axis of x, shaped to broadcast; one of all elements stays as it is. With blocks
/// each stands for `block` elements along the axis.
Operand along_axis(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& scale,
                   std::int64_t axis, std::int64_t block);

/// round(x) + zero, to the nearest that `to` holds, in that type. x is in steps of the scale, real; `zero` broadcasts,
/// and may be absent. Halves go to the even neighbour.
Operand rounded_to(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& zero,
                   const QuantisedType& to);

/// (x - zero) scale, real. Scale and zero broadcast; zero may be absent.
Operand dequantised(OnnxImporter& import, const OnnxNode& node, const Operand& x, const Operand& scale,
                    const Operand& zero);

}  // namespace heed::convert
