// How a prompt is read on a described GPU: in how many runs, and how often the host waits.
#include <doctest/doctest.h>

#include <algorithm>

#include "generate/cache_type.h"
#include "generate/text/prompt_runs.h"
#include "plan/default_tuning.h"
#include "plan/submissions.h"
#include "planner/make_plan.h"
#include "tests/unit/devices/llama.h"
#include "tests/unit/large_gpu.h"

namespace heed {

TEST_CASE("a prompt of 4096 tokens of a 7B model on a large GPU: the host waits four times") {
  DeviceCaps caps = testing::h100();
  caps.cooperative_sizes = {{16, 16, 16}};
  Tuning tuning = default_tuning(caps);
  tuning.set(&ProductTuning::cooperative, true);
  const Graph decode =
      with_cache_type(testing::llama(4096, 32, 32, 32, 11008, 32000, 8192, DType::F16), CacheType::Auto, caps);
  const auto plan_of = [&](std::int64_t tokens) {
    return make_plan(decode, {{"tokens", tokens}, {"outputs", 0}, {"context", 8192}}, caps, tuning);
  };
  // Nobody knows how fast the device is, and others should not wait for long.
  CHECK(prompt_length(caps, tuning, kMostPromptRun, plan_of).behind(0) == kPromptBlock);
  tuning.flops_pace = 1000;  // 100 of its 989 TFLOP/s
  tuning.bytes_pace = 60;
  const PromptLength length = prompt_length(caps, tuning, kMostPromptRun, plan_of);
  const std::int64_t most = length.behind(0);
  const std::vector<PromptRun> runs = prompt_runs(0, 4096, most);
  CHECK(runs.size() == 4);
  const SubmissionLimits limits = SubmissionLimits::of(tuning);
  for (const PromptRun& run : runs) {
    // Session::run() waits once where all of it may be on its way (tests/unit/runtime/run_proof.cpp).
    const Plan plan = plan_of(run.size);
    double seconds = 0;
    for (const Dispatch& dispatch : plan.dispatches) seconds += planned_seconds(dispatch, limits);
    CHECK(seconds < 1.6);
    CHECK(std::ranges::count_if(split_into_submissions(plan, 1, limits), &Recorded::new_submission) < 16);
  }
  // Sixteen tokens behind it: likewise.
  const Plan step = make_plan(decode, {{"tokens", 1}, {"outputs", 1}, {"context", 8192}}, caps, tuning);
  CHECK(std::ranges::count_if(split_into_submissions(step, 16, limits), &Recorded::new_submission) < 16);
  // A device whose memory the intermediates would fill, and one that takes too long for a piece.
  DeviceCaps small = caps;
  small.memory = std::uint64_t{1} << 30;
  CHECK(prompt_length(small, tuning, kMostPromptRun, plan_of).most < most);
  // Deep in a long text attention takes most of the time.
  CHECK(length.behind(1'000'000) == kPromptBlock);
  CHECK(length.behind(4096) < most);
  // The weights are f16: nothing else tells whether they are read in tiles.
  Tuning kinds = tuning;
  kinds.set(&ProductTuning::tile, 0);
  kinds.of(WeightKind::Halves).tile = 128;
  CHECK(prompt_length(caps, kinds, kMostPromptRun, plan_of).behind(0) == most);
  kinds.set(&ProductTuning::tile, 128);
  kinds.of(WeightKind::Halves).tile = 0;
  CHECK(prompt_length(caps, kinds, kMostPromptRun, plan_of).behind(0) == kPromptBlock);
  Tuning slower = tuning;
  slower.flops_pace = 20;
  CHECK(prompt_length(caps, slower, kMostPromptRun, plan_of).behind(0) == 64);
  slower.set(&ProductTuning::tile, 0);
  CHECK(prompt_length(caps, slower, kMostPromptRun, plan_of).behind(0) == 64);
}

}  // namespace heed
