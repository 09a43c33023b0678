#include "plan/submissions.h"

#include <algorithm>

#include "graph/integer.h"

namespace heed {
namespace {

struct Work {
  std::uint64_t flops = 0;
  std::uint64_t bytes = 0;
};

/// Flops and bytes of a dispatch as they count for limits, when caches hold at most as many keys as these say.
Work counted_work(const Dispatch& dispatch, const SubmissionLimits& limits) {
  Work work{dispatch.flops, dispatch.bytes};
  const std::uint64_t end = std::max(std::min(limits.keys, dispatch.most_keys), dispatch.first_key);
  const std::uint64_t more = end - std::min(end, dispatch.fewest_keys);
  work.flops = saturating_sum(work.flops, saturating_product({more, dispatch.flops_a_key}));
  work.bytes = saturating_sum(work.bytes, saturating_product({end - dispatch.first_key, dispatch.bytes_a_key}));
  if (dispatch.product) return work;
  return {saturating_product({work.flops, limits.others_flops}), saturating_product({work.bytes, limits.others_bytes})};
}

/// The same, but no fewer bytes than the dispatch binds: many ops count none. Weights and states are left out of that,
/// since a kernel may read little of them.
Work work_of(const Plan& plan, const Dispatch& dispatch, const SubmissionLimits& limits) {
  Work work = counted_work(dispatch, limits);
  std::uint64_t bound = 0;
  for (const Binding& binding : dispatch.bindings) {
    const Storage storage = plan.tensors[binding.tensor].storage;
    if (storage != Storage::Weight && storage != Storage::State) bound = saturating_sum(bound, binding.size);
  }
  if (!dispatch.product) bound = saturating_product({bound, limits.others_bytes});
  work.bytes = std::max(work.bytes, bound);
  return work;
}

}  // namespace

SubmissionLimits SubmissionLimits::of(const Tuning& tuning) {
  SubmissionLimits limits;
  limits.flops = saturating_product({limits.flops, tuning.flops_pace});
  limits.bytes = saturating_product({limits.bytes, tuning.bytes_pace});
  constexpr std::uint32_t kSlower = 8;  // times, than products: a guess with room
  limits.others_flops = std::min(kSlower, tuning.flops_pace);
  limits.others_bytes = std::min(kSlower, tuning.bytes_pace);
  return limits;
}

double planned_seconds(const Dispatch& dispatch, const SubmissionLimits& limits) {
  constexpr double kSeconds = 0.1;  // of a submission at its limits
  const Work work = counted_work(dispatch, limits);
  return kSeconds * std::max(static_cast<double>(work.flops) / static_cast<double>(limits.flops),
                             static_cast<double>(work.bytes) / static_cast<double>(limits.bytes));
}

std::vector<Recorded> split_into_submissions(const Plan& plan, int repeats, const SubmissionLimits& limits) {
  std::vector<Recorded> recorded;
  Work sum;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < plan.dispatches.size(); ++i) {
      const Dispatch& dispatch = plan.dispatches[i];
      const Work work = work_of(plan, dispatch, limits);
      const Work with = {saturating_sum(sum.flops, work.flops), saturating_sum(sum.bytes, work.bytes)};
      const bool over = with.flops > limits.flops || with.bytes > limits.bytes;
      Recorded next{i, recorded.empty() || (over && (sum.flops > 0 || sum.bytes > 0)), false};
      // The first of a repeat waits for the repeat before.
      next.barrier = !next.new_submission && (dispatch.barrier_before || i == 0);
      sum = next.new_submission ? work : with;
      recorded.push_back(next);
    }
  }
  return recorded;
}

}  // namespace heed
