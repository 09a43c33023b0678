// op store(state [S, ..], x [R, ..]): x enters the first R rows of a state, f32 or i32. No output.
#include <fmt/format.h>

#include <algorithm>

#include "graph/integer.h"
#include "ops/op.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {});
  const TensorType& state = c.input(0);
  const TensorType& x = c.input(1);
  if (state.dtype != DType::F32 && state.dtype != DType::I32) {
    c.fail(fmt::format("the state is {}, expected f32 or i32", dtype_name(state.dtype)));
  }
  if (x.dtype != state.dtype) {
    c.fail(fmt::format("x is {}, but the state {}", dtype_name(x.dtype), dtype_name(state.dtype)));
  }
  const bool rows_fit = !x.shape.empty() && !state.shape.empty() && x.shape[0] <= state.shape[0];
  Shape all_rows = x.shape;
  if (rows_fit) all_rows[0] = state.shape[0];
  if (!rows_fit || all_rows != state.shape) {
    c.fail(fmt::format("x {} is not of the shape of the first rows of the state {}", to_string(x.shape),
                       to_string(state.shape)));
  }
  return {};
}

void reference(const ReferenceContext& c) { std::ranges::copy(c.in(1), c.inputs[0]->data.begin()); }

void lower(Lowering& l) {
  const auto count = static_cast<std::uint64_t>(element_count(l.input(1).shape));
  if (count == 0) return;
  Dispatch d;
  d.shader = "rows";
  Binding state = l.update(0);
  state.access = Access::Write;
  // Copied as words, so floats keep their bits.
  d.bindings = {l.read(1, View::I32), state};
  d.push_constants = {u32(count), 0};
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes, 0};
  d.groups = l.spread(ceil_div(count, lanes));
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_store;
const Op op_store = {.names = {"store"}, .infer = infer, .reference = reference, .lower = lower, .updates = {0}};

}  // namespace heed::ops
