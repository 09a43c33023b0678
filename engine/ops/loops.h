#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/shape.h"

namespace heed::ops {

/// The shape to which two broadcast, as NumPy does it; nothing where they do not.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);

/// Elements to advance in a dense tensor for one step in each dimension.
Shape dense_strides(const Shape& shape);
/// The same for an operand that is broadcast to `result`: 0 where it is repeated.
Shape broadcast_strides(const Shape& operand, const Shape& result);

/// Nested loops over a result, outermost first, and how far some operands advance with each.
struct Loops {
  Shape sizes;
  std::vector<Shape> strides;  // of each operand, as many as sizes

  /// Drops loops of one step and joins neighbours through which all operands advance evenly.
  void merge();
  /// Puts loops of one step outside until there are `count`.
  void pad(std::size_t count);
  std::size_t count() const { return sizes.size(); }
  /// Makes the innermost loop one over vectors of four elements, and strides those of vectors, but for operands that
  /// are repeated in it, whose strides stay those of elements. False, and nothing changes, where it has another number
  /// of steps or an operand lies otherwise. Loops are merged before.
  bool vectorise();
};

/// Walks loops in order; for references.
class LoopCounter {
 public:
  explicit LoopCounter(const Loops& loops)
      : loops_(loops), index_(loops.sizes.size(), 0), at_(loops.strides.size(), 0) {}
  /// Where operand i is, in elements from where it began.
  std::int64_t at(std::size_t operand) const { return at_[operand]; }
  const Shape& index() const { return index_; }
  void next();

 private:
  const Loops& loops_;
  Shape index_;
  Shape at_;
};

/// `axis` of a tensor of `rank` dimensions; negative ones count from the end. Nothing where there is none.
std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank);

/// How many elements lie outside of an axis, and inside.
struct Sides {
  std::int64_t outer = 1;
  std::int64_t inner = 1;
};
Sides sides_of(const Shape& shape, std::size_t axis);

}  // namespace heed::ops
