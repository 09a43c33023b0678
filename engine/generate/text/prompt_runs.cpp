#include "generate/text/prompt_runs.h"

#include <bit>
#include <cassert>

#include "generate/submission_length.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "plan/submissions.h"

namespace heed {

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
  const auto size = static_cast<std::int64_t>(std::bit_ceil(left));
  runs.push_back({count - size, size});
  return runs;
}

std::int64_t longest_prompt_run(const DeviceCaps& caps, const Tuning& tuning,
                                const std::function<Plan(std::int64_t tokens)>& plan_of) {
  constexpr std::uint64_t kMemoryShare = 32;
  if (tuning.tile == 0) return kPromptBlock;
  const auto suits = [&](std::int64_t tokens) {
    try {
      const Plan plan = plan_of(tokens);
      std::uint64_t bytes = 0;
      for (const std::uint64_t block : plan.arena_blocks) bytes = saturating_sum(bytes, block);
      double seconds = 0;
      SubmissionLimits limits = SubmissionLimits::of(tuning);
      limits.keys = 0;  // at the beginning of a text
      for (const Dispatch& dispatch : plan.dispatches) seconds += planned_seconds(dispatch, limits);
      return bytes <= caps.memory / kMemoryShare && seconds <= 2 * kSubmissionSeconds;
    } catch (const Error&) {
      return false;  // a limit of the device
    }
  };
  std::int64_t tokens = kMostPromptRun;
  while (tokens > kPromptBlock && !suits(tokens)) tokens /= 2;
  return tokens;
}

}  // namespace heed
