#include "plan/submissions.h"

#include <algorithm>

namespace heed {

double planned_seconds(const Dispatch& dispatch) {
  constexpr double kSeconds = 0.1;  // of a submission at its limits
  const SubmissionLimits limits;
  return kSeconds * std::max(static_cast<double>(dispatch.flops) / static_cast<double>(limits.flops),
                             static_cast<double>(dispatch.bytes) / static_cast<double>(limits.bytes));
}

std::vector<Recorded> split_into_submissions(const Plan& plan, int repeats, const SubmissionLimits& limits) {
  std::vector<Recorded> recorded;
  std::uint64_t flops = 0;
  std::uint64_t bytes = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < plan.dispatches.size(); ++i) {
      const Dispatch& dispatch = plan.dispatches[i];
      const bool over = flops + dispatch.flops > limits.flops || bytes + dispatch.bytes > limits.bytes;
      Recorded next{i, recorded.empty() || (over && flops + bytes > 0), false};
      if (next.new_submission) flops = bytes = 0;
      // The first of a repeat waits for the repeat before.
      next.barrier = !next.new_submission && (dispatch.barrier_before || i == 0);
      flops += dispatch.flops;
      bytes += dispatch.bytes;
      recorded.push_back(next);
    }
  }
  return recorded;
}

}  // namespace heed
