#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "graph/graph.h"

namespace heed {

/// A tensor of the double-precision reference. Integers and booleans are held as doubles too.
struct HostTensor {
  TensorType type;
  std::vector<double> data;
};

/// Values that are known before anything runs, by ValueId: constants, sizes of tensors, and what is computed of them
/// alone. All are small.
using KnownValues = std::map<ValueId, HostTensor>;

/// The nearest integer within +-2^53; for elements that stand for sizes and positions, where ONNX writes 2^63 - 1 for
/// "to the end".
std::int64_t to_integer(double element);

/// Integers beyond are not all doubles, and to_integer() keeps them as these.
inline constexpr double kMostInteger = 0x1p53;

/// Whether an element stands for the largest or smallest number of int64. Graphs write these for "up to the end" of a
/// slice and for what is above or below all else; the ends of int32 mean the same.
bool is_end_of_integers(double element);

}  // namespace heed
