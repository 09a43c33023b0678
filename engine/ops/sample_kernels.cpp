#include "ops/sample_kernels.h"

#include <algorithm>
#include <utility>

namespace heed::ops {

std::uint32_t lanes_of_sequence(const Lowering& l, std::uint64_t loops) {
  const std::uint32_t lanes = l.lanes_within_loops(l.tuning().row_lanes, [&](std::uint32_t many) {
    return loops / many + 64 * (1 + Lowering::reduce_iterations(many)) + 2 * many;
  });
  return l.caps().subgroup_size <= 8 ? lanes : std::max(lanes, l.lanes(256));
}

SampledLogits copy_of_logits(Lowering& l, const SamplePush& push) {
  const std::uint64_t elements = std::uint64_t{push.sequences} * push.vocabulary;
  const Binding copy = l.scratch("changed_logits", elements * 4);
  Dispatch d;
  d.shader = "rows";
  d.bindings = {l.read(0, View::I32), copy};
  d.bindings.back().access = Access::Write;
  d.push_constants = {u32(elements), push.first};
  d.specialization = {l.lanes(64), 0};
  d.groups = l.spread(ceil_div(elements, std::uint64_t{d.specialization[0]}));
  l.emit(std::move(d));
  SamplePush of_copy = push;
  of_copy.first = 0;
  return {copy, of_copy};
}

void emit_penalty(Lowering& l, const SampledLogits& copy, const SamplePush& push, const SampledInputs& inputs) {
  Dispatch d;
  d.shader = "sample_penalty";
  d.bindings = {l.read(inputs.position, View::I32), l.read(inputs.history, View::I32),
                l.read(inputs.sampler, View::I32), l.read(0, View::F32), copy.binding};
  d.push_constants = words_of(push);
  d.specialization = words_of(SampleConstants{.lanes = lanes_of_sequence(l, push.context)});
  d.groups = l.spread(push.sequences);
  l.emit(std::move(d));
}

void emit_choice(Lowering& l, const SampledLogits& logits, bool greedy, bool several, std::vector<Binding> rest) {
  const bool vectors = logits.push.vocabulary % 4 == 0;
  Dispatch d;
  d.shader = greedy ? "sample_greedy" : "sample";
  d.variant = {vectors ? "4" : "1", several ? "1" : "0"};
  if (!greedy) d.variant.push_back(l.caps().subgroup_arithmetic ? "1" : "0");
  d.bindings = {logits.binding};
  d.bindings.front().access = Access::Read;
  d.bindings.front().view = vectors ? View::F32x4 : View::F32;
  d.bindings.insert(d.bindings.end(), rest.begin(), rest.end());
  d.push_constants = words_of(logits.push);
  // Top-k and top-p make up to 32 passes each; the last index among equals and the draw a few more.
  d.specialization = words_of(
      SampleConstants{.lanes = lanes_of_sequence(l, std::uint64_t{greedy ? 1u : 100u} * logits.push.vocabulary)});
  d.groups = l.spread(logits.push.sequences);
  l.emit(std::move(d));
}

}  // namespace heed::ops
