#include "ops/sample_kernels.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "ops/sample_shares.h"

namespace heed::ops {

std::uint32_t lanes_of_sequence(const Lowering& l, std::uint64_t loops) {
  const std::uint32_t lanes = l.lanes_within_loops(l.tuning().row_lanes, [&](std::uint32_t many) {
    return loops / many + 64 * (1 + Lowering::reduce_iterations(many)) + 2 * many;
  });
  return l.caps().subgroup_size <= 8 ? lanes : std::max(lanes, l.lanes(256));
}

std::uint32_t lanes_of_vocabulary(const Lowering& l, std::uint64_t passes, std::uint32_t vocabulary) {
  const std::uint32_t lanes = lanes_of_sequence(l, passes * vocabulary);
  return l.caps().subgroup_size <= 8 ? lanes : std::max(lanes, l.lanes(1024));
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

namespace {

/// The choice by many workgroups a sequence. Greedy: one dispatch. Drawn: the largest logit; passes that narrow down,
/// bin by bin, the key at which top-k ends and then that at which top-p does; the draw. How many passes have something
/// to do depends on the sampler's words, which only the device knows; the others leave at once.
void emit_shared_choice(Lowering& l, SampleShares shares, const SampledLogits& logits, const SampledInputs& inputs,
                        bool greedy, bool several, std::vector<Binding> rest) {
  const Binding parts = shares.parts(l, "parts");
  const Binding counters = l.counter(shares.push.sequences);
  Binding own_logits = logits.binding;
  own_logits.access = Access::Read;
  own_logits.view = View::F32;
  const auto emit = [&](const char* shader, std::vector<std::string> variant, const std::vector<Binding>& behind) {
    Dispatch d = shares.dispatch(l, shader);
    d.variant = std::move(variant);
    d.bindings = {own_logits};
    d.bindings.insert(d.bindings.end(), behind.begin(), behind.end());
    d.bindings.push_back(parts);
    d.bindings.push_back(counters);
    l.emit(std::move(d));
  };
  const std::vector<std::string> variant = {several ? "1" : "0"};
  if (greedy) {
    emit("sample_greedy_split", variant, rest);
    return;
  }
  const std::vector<Binding> read = {l.read(inputs.position, View::I32), l.read(inputs.sampler, View::I32)};
  emit("sample_largest", {}, read);
  for (; shares.push.pass < shares.passes; ++shares.push.pass) emit("sample_search", {}, read);
  emit("sample_draw", variant, rest);
}

}  // namespace

void emit_choice(Lowering& l, const SampledLogits& logits, const SampledInputs& inputs, bool greedy, bool several,
                 std::vector<Binding> rest) {
  constexpr std::size_t kOthers = 3;  // that kernels bind: the logits, parts and counters
  const SampleWork work = greedy ? SampleWork::Greedy : SampleWork::Draw;
  if (const auto shares = SampleShares::of(l, logits.push, work, rest.size() + kOthers)) {
    emit_shared_choice(l, *shares, logits, inputs, greedy, several, std::move(rest));
    return;
  }
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

void emit_score(Lowering& l, const SamplePush& push, std::vector<Binding> bindings) {
  Dispatch d;
  if (const auto shares = SampleShares::of(l, push, SampleWork::Score, bindings.size() + 2)) {
    d = shares->dispatch(l, "sample_score_split");
    bindings.push_back(shares->parts(l, "score_parts"));
    bindings.push_back(l.counter(push.sequences));
  } else {
    d.shader = "sample_score";
    d.push_constants = words_of(push);
    d.specialization = words_of(SampleConstants{.lanes = lanes_of_sequence(l, std::uint64_t{2} * push.vocabulary)});
    d.groups = l.spread(push.sequences);
  }
  d.variant = {l.caps().subgroup_arithmetic ? "1" : "0"};
  d.bindings = std::move(bindings);
  l.emit(std::move(d));
}

}  // namespace heed::ops
