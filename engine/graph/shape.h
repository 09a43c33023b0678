#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/dtype.h"

namespace heed {

/// Concrete sizes, outermost first; empty for a scalar.
using Shape = std::vector<std::int64_t>;

/// A size that is either a number or a name bound at plan time ("tokens", "context", "height").
struct Dim {
  std::int64_t size = 0;
  std::string name;  // empty for a number

  Dim(std::int64_t number) : size(number) {}            // NOLINT: shapes are written as {"tokens", 64}
  Dim(std::string symbol) : name(std::move(symbol)) {}  // NOLINT
  Dim(const char* symbol) : name(symbol) {}             // NOLINT
  bool operator==(const Dim&) const = default;
};
using SymbolicShape = std::vector<Dim>;

/// The values of named dimensions for one plan.
using Bindings = std::map<std::string, std::int64_t, std::less<>>;

inline constexpr std::size_t kMaxRank = 8;
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;  // far above any real tensor, far below overflow

/// Number of elements. Throws Error when a size is negative, the rank exceeds kMaxRank or the product kMaxElements.
std::int64_t element_count(const Shape& shape);
/// Bytes of a tensor stored densely. Throws Error where element_count does, or when the last dimension of a quantised
/// tensor is not a multiple of the block.
std::uint64_t byte_size(DType type, const Shape& shape);
/// "[2, 3]" and "[tokens, 64]", for messages.
std::string to_string(const Shape& shape);
std::string to_string(const SymbolicShape& shape);
/// Replaces names by their bound sizes. Throws Error naming the dimension that has none.
Shape bind(const SymbolicShape& shape, const Bindings& bindings);

/// What an op sees of a value at plan time.
struct TensorType {
  DType dtype = DType::F32;
  Shape shape;
  bool operator==(const TensorType&) const = default;
};

}  // namespace heed
