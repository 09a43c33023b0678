// What the tuner times for attention, and the ways to run it.
#include "ops/attention.h"
#include "ops/tuning.h"

namespace heed::ops {
namespace {

/// A step of generation with a cache that is nearly full.
Graph step_with_cache(const DeviceCaps& caps) {
  const bool large = times_large_work(caps);
  const std::int64_t heads = large ? 32 : 16;
  const std::int64_t head_width = large ? 128 : 64;
  const std::int64_t context = large ? 4096 : 1024;
  GraphBuilder builder("attention of a step");
  const ValueId q = builder.input("q", DType::F32, {1, heads * head_width});
  const ValueId k = builder.input("k", DType::F32, {1, heads * head_width});
  const ValueId v = builder.input("v", DType::F32, {1, heads * head_width});
  const ValueId keys = builder.state("keys", DType::F32, {context, heads * head_width});
  const ValueId values = builder.state("values", DType::F32, {context, heads * head_width});
  const ValueId position =
      builder.add("cast", "position", {builder.integers("last", {context - 1})}, {{"to", std::string("i32")}});
  builder.output(builder.add("attention", "attention", {q, k, v, kNoValue, keys, values, position},
                             {{"heads", heads}, {"causal", std::int64_t{1}}}),
                 "y");
  return std::move(builder).finish();
}

std::vector<Tuning> workgroups_of_a_step(const DeviceCaps&, const Tuning& best) {
  return each_other(best, &Tuning::attention_groups, {0, 128, 640});
}

}  // namespace

std::vector<TuningStep> attention_tuning() {
  return {{"workgroups of a step's attention", step_with_cache, workgroups_of_a_step}};
}

}  // namespace heed::ops
