// op col2im: sums blocks, laid out as columns, where they overlap in an image of one to three dimensions.
//
// col2im(x [B, C * block elements, blocks], image_shape, block_shape) -> [B, C, image..]: what convolution's windows
// are cut out by goes back to its place. Attributes strides, dilations, pads (ops/window.h).
#include <fmt/format.h>

#include "graph/integer.h"
#include "ops/op.h"
#include "ops/window.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

struct Blocks {
  Window window;  // over the image
  std::int64_t channels = 0;
};

/// From the elements of image_shape and block_shape; infer() uses it to check them.
Blocks blocks_of(const Node& node, const Shape& x, const std::vector<double>& image, const std::vector<double>& block) {
  Shape padded = {x[0], 1};
  std::vector<std::int64_t> kernel;
  for (const double size : image) padded.push_back(to_integer(size));
  for (const double size : block) kernel.push_back(to_integer(size));
  Blocks b;
  b.window = sliding_window(node, padded, kernel);
  b.channels = x[1] / b.window.taps();
  return b;
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(3, {"dilations", "pads", "strides"});
  c.expect_rank(0, 3, "x");
  c.expect_floats(0, "x");
  for (const std::int64_t size : c.known_integers(1, "image_shape")) {
    if (size < 0) c.fail(fmt::format("an image of {} elements", size));
  }
  c.known_integers(2, "block_shape");
  const Shape& x = c.input(0).shape;
  const Blocks b = blocks_of(c.node, x, c.known[1]->data, c.known[2]->data);
  if (x[1] % b.window.taps() != 0 || x[2] != b.window.out_count()) {
    c.fail(fmt::format("x is {}, expected a multiple of {} elements of {} blocks", to_string(x), b.window.taps(),
                       b.window.out_count()));
  }
  Shape y = {x[0], b.channels};
  for (const double size : c.known[1]->data) y.push_back(to_integer(size));
  return {{DType::F32, y}};
}

void reference(const ReferenceContext& c) {
  const Shape& x = c.shape(0);
  const Blocks b = blocks_of(c.node, x, c.in(1), c.in(2));
  const Window& w = b.window;
  std::fill(c.out(0).begin(), c.out(0).end(), 0.0);
  for (std::size_t i = 0; i < c.in(0).size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    const std::int64_t block = n % x[2];
    const std::int64_t tap = n / x[2] % w.taps();
    const Triple o = {block / (w.out[1] * w.out[2]), block / w.out[2] % w.out[1], block % w.out[2]};
    const Triple k = {tap / (w.kernel[1] * w.kernel[2]), tap / w.kernel[2] % w.kernel[1], tap % w.kernel[2]};
    std::int64_t element = n / x[2] / w.taps();
    bool inside = true;
    for (std::size_t d = 0; d < 3; ++d) {
      const std::int64_t at = o[d] * w.stride[d] - w.begin[d] + k[d] * w.dilation[d];
      inside = inside && at >= 0 && at < w.in[d];
      element = element * w.in[d] + at;
    }
    if (inside) c.out(0)[static_cast<std::size_t>(element)] += c.in(0)[i];
  }
}

void lower(Lowering& l) {
  const Shape& x = l.input(0).shape;
  const std::int64_t count = element_count(l.output().shape);
  if (count == 0) return;
  if (count > 0x7fffffff || element_count(x) > 0x7fffffff) l.fail("more than 2^31 elements");
  const Window w = blocks_of(l.node(), x, l.known(1)->data, l.known(2)->data).window;
  const auto iterations = static_cast<std::uint64_t>(w.kernel[0] * (2 + w.kernel[1] * (2 + w.kernel[2])));
  if (iterations > l.caps().max_loop_iterations / 2) {
    l.fail(fmt::format("blocks of {} elements need more than {} loop iterations; use a newer driver", w.taps(),
                       l.caps().max_loop_iterations));
  }
  Dispatch d;
  d.shader = "col2im";
  d.bindings = {l.read(0, View::F32), l.write()};
  d.push_constants = {u32(count)};
  for (const Triple* triple : {&w.in, &w.out, &w.kernel, &w.stride, &w.dilation, &w.begin}) {
    for (const std::int64_t value : *triple) d.push_constants.push_back(i32(value));
  }
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_col2im;
const Op op_col2im = {{"col2im"}, infer, reference, lower, {{"col2im", 1, 2}}};

}  // namespace heed::ops
