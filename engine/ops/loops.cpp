#include "ops/loops.h"

#include <algorithm>

namespace heed::ops {

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape y(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) return std::nullopt;
    y[y.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return y;
}

Shape dense_strides(const Shape& shape) {
  Shape strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

Shape broadcast_strides(const Shape& operand, const Shape& result) {
  Shape strides(result.size(), 0);
  const Shape dense = dense_strides(operand);
  for (std::size_t i = 0; i < operand.size(); ++i) {
    strides[result.size() - operand.size() + i] = operand[i] == 1 ? 0 : dense[i];
  }
  return strides;
}

void Loops::merge() {
  const auto erase = [&](std::size_t d) {
    sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(d));
    for (Shape& s : strides) s.erase(s.begin() + static_cast<std::ptrdiff_t>(d));
  };
  for (std::size_t d = sizes.size(); d-- > 0;) {
    if (sizes[d] == 1) erase(d);
  }
  for (std::size_t d = sizes.size(); d-- > 1;) {
    const bool even = std::ranges::all_of(strides, [&](const Shape& s) { return s[d - 1] == s[d] * sizes[d]; });
    if (!even) continue;
    sizes[d] *= sizes[d - 1];
    erase(d - 1);
  }
}

bool Loops::vectorise() {
  if (sizes.empty() || sizes.back() % 4 != 0) return false;
  for (const Shape& of : strides) {
    if (of.back() == 0) continue;
    if (of.back() != 1) return false;
    for (std::size_t i = 0; i + 1 < of.size(); ++i) {
      if (of[i] % 4 != 0) return false;
    }
  }
  sizes.back() /= 4;
  for (Shape& of : strides) {
    if (of.back() == 0) continue;
    for (std::size_t i = 0; i + 1 < of.size(); ++i) of[i] /= 4;
  }
  return true;
}

void Loops::pad(std::size_t count) {
  if (sizes.size() >= count) return;
  const std::size_t missing = count - sizes.size();
  sizes.insert(sizes.begin(), missing, 1);
  for (Shape& s : strides) s.insert(s.begin(), missing, 0);
}

void LoopCounter::next() {
  for (std::size_t d = index_.size(); d-- > 0;) {
    ++index_[d];
    for (std::size_t i = 0; i < at_.size(); ++i) at_[i] += loops_.strides[i][d];
    if (index_[d] < loops_.sizes[d]) return;
    for (std::size_t i = 0; i < at_.size(); ++i) at_[i] -= loops_.strides[i][d] * loops_.sizes[d];
    index_[d] = 0;
  }
}

std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank) {
  const auto size = static_cast<std::int64_t>(rank);
  if (axis < -size || axis >= size) return std::nullopt;
  return static_cast<std::size_t>(axis < 0 ? axis + size : axis);
}

Sides sides_of(const Shape& shape, std::size_t axis) {
  Sides sides;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (d != axis) (d < axis ? sides.outer : sides.inner) *= shape[d];
  }
  return sides;
}

}  // namespace heed::ops
