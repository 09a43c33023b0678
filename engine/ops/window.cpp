#include "ops/window.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "heed/error.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMost = 1 << 30;  // of sizes, so that nothing computed of them overflows

enum class AutoPad : std::uint8_t { NotSet, SameUpper, SameLower, Valid };

[[noreturn]] void fail(const Node& node, std::string_view message) {
  throw Error(fmt::format("{} '{}': {}", node.op, node.name, message));
}

AutoPad auto_pad_of(const Node& node) {
  const std::string name = node.attributes.text("auto_pad", "notset");
  if (name == "notset") return AutoPad::NotSet;
  if (name == "same_upper") return AutoPad::SameUpper;
  if (name == "same_lower") return AutoPad::SameLower;
  if (name == "valid") return AutoPad::Valid;
  fail(node, fmt::format("auto_pad '{}' is none of 'notset', 'same_upper', 'same_lower', 'valid'", name));
}

/// Everything but the sizes of the result, and the padding that sizes give.
Window given_window(const Node& node, const Shape& x, std::span<const std::int64_t> kernel) {
  if (x.size() < 3 || x.size() > 5) {
    fail(node, fmt::format("x is {}, expected [batch, channels, and 1 to 3 spatial dimensions]", to_string(x)));
  }
  Window w;
  w.rank = x.size() - 2;
  if (kernel.size() != w.rank) {
    fail(node, fmt::format("a kernel of {} dimensions over {} spatial dimensions", kernel.size(), w.rank));
  }
  element_count(Shape(kernel.begin(), kernel.end()));  // throws for sizes without sense
  const std::vector<std::int64_t> strides = integers_or(node, "strides", w.rank, 1, 1);
  const std::vector<std::int64_t> dilations = integers_or(node, "dilations", w.rank, 1, 1);
  const std::vector<std::int64_t> pads = integers_or(node, "pads", 2 * w.rank, 0, 0);
  for (std::size_t i = 0; i < w.rank; ++i) {
    const std::size_t d = 3 - w.rank + i;
    w.in[d] = x[2 + i];
    w.kernel[d] = kernel[i];
    w.stride[d] = strides[i];
    w.dilation[d] = dilations[i];
    w.begin[d] = pads[i];
    w.end[d] = pads[w.rank + i];
    if (kernel[i] < 1) fail(node, fmt::format("a kernel of {} elements", kernel[i]));
    if (std::max({w.in[d], w.begin[d], w.end[d], w.stride[d]}) > kMost || kernel[i] > kMost / dilations[i]) {
      fail(node, "sizes above 2^30");
    }
  }
  return w;
}

/// Shares out padding: the odd element goes to the end, or with `lower` to the beginning.
void share(Window& w, std::size_t d, std::int64_t total, bool lower) {
  total = std::max<std::int64_t>(total, 0);
  w.begin[d] = lower ? total - total / 2 : total / 2;
  w.end[d] = total - w.begin[d];
}

}  // namespace

Shape Window::shape(std::int64_t batch, std::int64_t channels) const {
  Shape shape = {batch, channels};
  shape.insert(shape.end(), out.end() - static_cast<std::ptrdiff_t>(rank), out.end());
  return shape;
}

std::vector<std::int64_t> integers_or(const Node& node, std::string_view name, std::size_t count,
                                      std::int64_t otherwise, std::int64_t least) {
  if (!node.attributes.has(name)) return std::vector<std::int64_t>(count, otherwise);
  std::vector<std::int64_t> values = node.attributes.integers(name);
  if (values.size() != count) fail(node, fmt::format("has {} {}, expected {}", values.size(), name, count));
  for (const std::int64_t value : values) {
    if (value < least) fail(node, fmt::format("{} holds {}, but {} is the least", name, value, least));
  }
  return values;
}

Window sliding_window(const Node& node, const Shape& x, std::span<const std::int64_t> kernel) {
  Window w = given_window(node, x, kernel);
  const AutoPad auto_pad = auto_pad_of(node);
  const bool ceil = node.attributes.integer("ceil_mode", 0) != 0;
  for (std::size_t d = 3 - w.rank; d < 3; ++d) {
    if (auto_pad == AutoPad::SameUpper || auto_pad == AutoPad::SameLower) {
      w.out[d] = ceil_div(w.in[d], w.stride[d]);
      share(w, d, (w.out[d] - 1) * w.stride[d] + w.span(d) - w.in[d], auto_pad == AutoPad::SameLower);
      continue;
    }
    if (auto_pad == AutoPad::Valid) w.begin[d] = w.end[d] = 0;
    const std::int64_t room = w.in[d] + w.begin[d] + w.end[d] - w.span(d);
    if (room < 0) {
      fail(node, fmt::format("windows of {} do not fit {} elements, padding included", w.span(d),
                             w.in[d] + w.begin[d] + w.end[d]));
    }
    const bool up = ceil && auto_pad == AutoPad::NotSet;
    w.out[d] = (up ? ceil_div(room, w.stride[d]) : room / w.stride[d]) + 1;
    // No window begins in the padding behind the tensor.
    if (up && (w.out[d] - 1) * w.stride[d] >= w.in[d] + w.begin[d]) --w.out[d];
  }
  return w;
}

Window transposed_window(const Node& node, const Shape& x, std::span<const std::int64_t> kernel) {
  Window w = given_window(node, x, kernel);
  const AutoPad auto_pad = auto_pad_of(node);
  const std::vector<std::int64_t> more = integers_or(node, "output_padding", w.rank, 0, 0);
  const bool given = node.attributes.has("output_shape");
  const std::vector<std::int64_t> sizes = integers_or(node, "output_shape", w.rank, 0, 1);
  for (std::size_t i = 0; i < w.rank; ++i) {
    const std::size_t d = 3 - w.rank + i;
    if (std::max(more[i], sizes[i]) > kMost) fail(node, "sizes above 2^30");
    const std::int64_t whole = w.stride[d] * (w.in[d] - 1) + more[i] + w.span(d);
    const bool same = auto_pad == AutoPad::SameUpper || auto_pad == AutoPad::SameLower;
    if (given || same) {
      w.out[d] = given ? sizes[i] : w.in[d] * w.stride[d];
      share(w, d, whole - w.out[d], auto_pad != AutoPad::SameUpper);
      continue;
    }
    if (auto_pad == AutoPad::Valid) w.begin[d] = w.end[d] = 0;
    w.out[d] = whole - w.begin[d] - w.end[d];
    if (w.out[d] < 0 || w.in[d] == 0) {
      if (w.in[d] > 0) fail(node, fmt::format("padding takes all of {} elements", whole));
      w.out[d] = 0;
    }
  }
  return w;
}

void copy_to_words(const Triple& from, int (&to)[3]) {
  for (std::size_t i = 0; i < 3; ++i) to[i] = narrow<std::int32_t>(from[i]);
}

}  // namespace heed::ops
