#include "generate/text/prompt_runs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "generate/step_state.h"
#include "generate/submission_length.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "plan/submissions.h"

namespace heed {
namespace {

constexpr double kMostSeconds = 2 * kSubmissionSeconds;  // of a run

/// The kind of weight that most flops of a plan's products are with.
WeightKind main_kind(const Plan& plan) {
  std::array<std::uint64_t, kWeightKinds.size()> flops = {};
  for (const Dispatch& dispatch : plan.dispatches) {
    for (const Binding& binding : dispatch.bindings) {
      const PlanTensor& tensor = plan.tensors[binding.tensor];
      if (tensor.storage != Storage::Weight) continue;
      const DeviceWeight& weight = plan.weights[tensor.source];
      if (weight.layout != WeightLayout::Matrix) continue;
      std::uint64_t& sum = flops[static_cast<std::size_t>(weight_kind(weight.dtype))];
      sum = saturating_sum(sum, dispatch.flops);
      break;  // others of a dispatch are of the same type
    }
  }
  return kWeightKinds[static_cast<std::size_t>(std::ranges::max_element(flops) - flops.begin())];
}

}  // namespace

std::vector<PromptRun> prompt_runs(std::int64_t done, std::int64_t count, std::int64_t most) {
  assert(most >= kPromptBlock && std::has_single_bit(u64(most)));
  std::vector<PromptRun> runs;
  for (; count - done > most; done += most) runs.push_back({done, most});
  auto left = static_cast<std::uint64_t>(count - done);
  if (!std::has_single_bit(left) && static_cast<std::int64_t>(std::bit_ceil(left)) > count) {
    // A prompt shorter than that: nothing is before it.
    const auto first = static_cast<std::int64_t>(std::bit_floor(left));
    runs.push_back({done, first});
    left -= static_cast<std::uint64_t>(first);
  }
  const auto size = std::max(static_cast<std::int64_t>(std::bit_ceil(left)),
                             count < StepState::kLeastRows ? 1 : StepState::kLeastRows);
  runs.push_back({count - size, size});
  return runs;
}

std::int64_t PromptLength::behind(std::int64_t tokens) const {
  const double each = seconds_a_token + seconds_a_token_and_key * static_cast<double>(tokens);
  std::int64_t length = most;
  while (length > kPromptBlock && static_cast<double>(length) * each > kMostSeconds) length /= 2;
  return length;
}

PromptLength prompt_length(const DeviceCaps& caps, const Tuning& tuning, std::int64_t most,
                           const std::function<Plan(std::int64_t tokens)>& plan_of) {
  constexpr std::uint64_t kMemoryShare = 32;
  if (!tuning.any(&ProductTuning::tile)) return {};
  for (std::int64_t tokens = most; tokens > kPromptBlock; tokens /= 2) {
    try {
      const Plan plan = plan_of(tokens);
      if (tuning.of(main_kind(plan)).tile == 0) return {};
      std::uint64_t bytes = 0, keys = 0;
      for (const std::uint64_t block : plan.arena_blocks) bytes = saturating_sum(bytes, block);
      if (bytes > caps.memory / kMemoryShare) continue;
      SubmissionLimits limits = SubmissionLimits::of(tuning);
      double full = 0, empty = 0;  // caches
      for (const Dispatch& dispatch : plan.dispatches) {
        keys = std::max(keys, dispatch.most_keys);
        full += planned_seconds(dispatch, limits);
      }
      limits.keys = 0;
      for (const Dispatch& dispatch : plan.dispatches) empty += planned_seconds(dispatch, limits);
      const auto rows = static_cast<double>(tokens);
      return {tokens, empty / rows, keys == 0 ? 0 : (full - empty) / rows / static_cast<double>(keys)};
    } catch (const Error&) {
      continue;  // a limit of the device
    }
  }
  return {};
}

}  // namespace heed
