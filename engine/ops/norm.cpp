// op rms_norm, layer_norm: over the last dimension. x [.., D], weight [D], bias [D]? (layer_norm); attribute eps.
// rms_norm (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight. layer_norm (Ba et al. 2016):
// (x - mean) / sqrt(variance + eps) * weight + bias, the variance without Bessel's correction.
#include <algorithm>
#include <cmath>

#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(3, {"eps"});
  const Shape& x = c.input(0).shape;
  if (x.empty()) c.fail("x is a scalar");
  c.expect_shape(1, {x.back()}, "weight");
  if (c.has(2)) c.expect_shape(2, {x.back()}, "bias");
  if (c.has(2) && c.node.op == "rms_norm") c.fail("has no bias");
  c.expect_floats(0, "x");
  c.expect_floats(1, "the weight");
  if (c.has(2)) c.expect_floats(2, "the bias");
  c.node.attributes.real("eps");
  return {c.input(0)};
}

void reference(const ReferenceContext& c) {
  const auto width = static_cast<std::size_t>(c.shape(0).back());
  const bool centred = c.node.op == "layer_norm";
  const double eps = c.node.attributes.real("eps");
  for (std::size_t begin = 0; begin < c.in(0).size(); begin += width) {
    const double* x = c.in(0).data() + begin;
    double mean = 0.0;
    if (centred) {
      for (std::size_t k = 0; k < width; ++k) mean += x[k];
      mean /= static_cast<double>(width);
    }
    double squares = 0.0;
    for (std::size_t k = 0; k < width; ++k) squares += (x[k] - mean) * (x[k] - mean);
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(width) + eps);
    for (std::size_t k = 0; k < width; ++k) {
      c.out(0)[begin + k] = (x[k] - mean) * scale * c.in(1)[k] + (c.has(2) ? c.in(2)[k] : 0.0);
    }
  }
}

void lower(Lowering& l) {
  const auto width = u32(l.input(0).shape.back());
  if (width == 0) return;
  const auto rows = static_cast<std::uint64_t>(element_count(l.input(0).shape)) / width;
  const bool vectors = width % 4 == 0;
  Dispatch d;
  d.shader = "norm";
  d.variant = {vectors ? "4" : "1", l.caps().subgroup_arithmetic ? "1" : "0"};
  const View view = vectors ? View::F32x4 : View::F32;
  const Binding weight = l.read(1, view);
  d.bindings = {l.read(0, view), weight, l.read_or(2, view, weight), l.write()};
  d.push_constants = {width, u32(rows), bits(l.attributes().real("eps"))};
  const std::uint64_t elements = std::uint64_t{width} / (vectors ? 4 : 1);
  const std::uint32_t lanes = l.lanes_within_loops(l.lanes_of_row(elements), [&](std::uint32_t many) {
    return 3 * (elements / many + 1) + 2 * Lowering::reduce_iterations(many);
  });
  d.specialization = {lanes, l.node().op == "layer_norm", l.has(2)};
  d.groups = l.spread(rows);
  l.emit(std::move(d));
}

std::vector<PartAxis> parts(const Lowering& l) {
  return parts_along(l, 1, [last = l.output().shape.size() - 1](std::size_t d) { return d == last; });
}

/// Norms of a row, one of what the other made, as a step of generation has them, and of many.
Graph norms_of_rows(const DeviceCaps&) {
  constexpr std::int64_t kWidth = 4096;
  GraphBuilder builder("norms");
  const ValueId weight = builder.weight("weight", DType::F32, {kWidth});
  for (const std::int64_t rows : {1, 64}) {
    const std::string name = std::to_string(rows);
    ValueId x = builder.input("x" + name, DType::F32, {rows, kWidth});
    for (int i = 0; i < 4; ++i)
      x = builder.add("rms_norm", name + "." + std::to_string(i), {x, weight}, {{"eps", 1e-5}});
    builder.output(x, "y" + name);
  }
  return std::move(builder).finish();
}

std::vector<Tuning> lanes_of_a_row(const DeviceCaps& caps, const Tuning& best) {
  // CPU drivers run a workgroup's lanes one subgroup after the other.
  if (caps.subgroup_size <= 8) return {};
  std::vector<std::uint32_t> widths = {64, 128, 256, 512};
  std::erase_if(widths, [&](std::uint32_t lanes) { return lanes % caps.subgroup_size != 0; });
  return each_other(best, &Tuning::row_lanes, widths);
}

}  // namespace

extern const Op op_norm;
const Op op_norm = {.names = {"rms_norm", "layer_norm"},
                    .infer = infer,
                    .reference = reference,
                    .lower = lower,
                    .tuning = {{"lanes of a row", norms_of_rows, lanes_of_a_row}},
                    .parts = parts};

}  // namespace heed::ops
