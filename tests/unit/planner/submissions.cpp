#include "plan/submissions.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "planner/make_plan.h"

namespace heed {
namespace {

Dispatch work(std::uint64_t flops, bool barrier) {
  Dispatch dispatch;
  dispatch.flops = flops;
  dispatch.barrier_before = barrier;
  return dispatch;
}

/// "|" begins a submission, "." is a barrier, letters are dispatches.
std::string shown(const Plan& plan, int repeats, const SubmissionLimits& limits) {
  std::string text;
  for (const Recorded& recorded : split_into_submissions(plan, repeats, limits)) {
    if (recorded.new_submission) text += '|';
    if (recorded.barrier) text += '.';
    text += static_cast<char>('a' + recorded.dispatch);
  }
  return text;
}

}  // namespace

TEST_CASE("submissions hold as much as they may, and no barrier inside one is lost") {
  Plan plan;
  plan.dispatches = {work(4, false), work(4, true), work(4, false)};
  CHECK(shown(plan, 1, {100, 100}) == "|a.bc");
  CHECK(shown(plan, 2, {100, 100}) == "|a.bc.a.bc");
  CHECK(shown(plan, 1, {8, 100}) == "|a.b|c");
  CHECK(shown(plan, 2, {8, 100}) == "|a.b|c.a|bc");
  CHECK(shown(plan, 1, {1, 100}) == "|a|b|c");
}

TEST_CASE("a dispatch too large for any submission still waits for small ones before it") {
  Plan plan;
  plan.dispatches = {work(0, false), work(50, true), work(0, true)};
  CHECK(shown(plan, 1, {10, 10}) == "|a.b|c");
  CHECK(shown(plan, 2, {10, 10}) == "|a.b|c.a.b|c");
}

TEST_CASE("bytes count like flops") {
  Plan plan;
  plan.dispatches = {work(0, false), work(0, true)};
  for (Dispatch& dispatch : plan.dispatches) dispatch.bytes = 6;
  CHECK(shown(plan, 1, {10, 10}) == "|a|b");
  CHECK(shown(Plan(), 3, {10, 10}).empty());
}

TEST_CASE("what counts no bytes counts what it binds, but for weights and states") {
  Plan plan;
  plan.tensors.resize(3);
  plan.tensors[1].storage = Storage::Weight;
  plan.tensors[2].storage = Storage::State;
  plan.dispatches = {work(0, false), work(0, true)};
  plan.dispatches[0].bindings = {{0, 0, 6}};
  plan.dispatches[1].bindings = {{0, 0, 6}, {1, 0, 100}, {2, 0, 100}};
  CHECK(shown(plan, 1, {100, 10}) == "|a|b");
  CHECK(shown(plan, 1, {100, 12}) == "|a.b");
}

TEST_CASE("keys count as many as there may be") {
  Plan plan;
  plan.dispatches = {work(4, false), work(4, true)};
  for (Dispatch& dispatch : plan.dispatches) {
    dispatch.flops_a_key = 2;
    dispatch.fewest_keys = 2;  // `flops` has them
    dispatch.most_keys = 10;
  }
  CHECK(shown(plan, 1, {8, 100, 2}) == "|a.b");
  CHECK(shown(plan, 1, {8, 100, 0}) == "|a.b");
  CHECK(shown(plan, 1, {8, 100, 3}) == "|a|b");
  CHECK(shown(plan, 1, {12, 100, 3}) == "|a.b");
  CHECK(shown(plan, 1, {39, 100}) == "|a|b");  // all ten: 20 each
  CHECK(shown(plan, 1, {40, 100}) == "|a.b");
}

TEST_CASE("sums of work end at the largest number") {
  Plan plan;
  plan.dispatches = {work(UINT64_MAX, false), work(UINT64_MAX, false)};
  CHECK(shown(plan, 1, {UINT64_MAX - 1, 100}) == "|a|b");
  plan.dispatches[0].flops_a_key = plan.dispatches[0].most_keys = UINT64_MAX;
  CHECK(shown(plan, 1, {UINT64_MAX - 1, 100}) == "|a|b");
  CHECK(planned_seconds(plan.dispatches[0]) > 1e8);
}

TEST_CASE("a faster device gets more in a submission, and is planned to take as long for it") {
  Tuning tuning;
  CHECK(SubmissionLimits::of(tuning).flops == SubmissionLimits().flops);
  tuning.flops_pace = 50;
  tuning.bytes_pace = 3;
  const SubmissionLimits limits = SubmissionLimits::of(tuning);
  Plan plan;
  plan.dispatches = {work(SubmissionLimits().flops, false)};
  CHECK(planned_seconds(plan.dispatches[0]) == doctest::Approx(0.1));
  // Kernels that are no products may be eight times slower, but never slower than on a device that nobody measured.
  CHECK(planned_seconds(plan.dispatches[0], limits) == doctest::Approx(0.1 / 50 * 8));
  CHECK(std::ranges::count_if(split_into_submissions(plan, 100, limits), &Recorded::new_submission) == 17);
  plan.dispatches[0].bytes = 2 * SubmissionLimits().bytes;
  CHECK(planned_seconds(plan.dispatches[0], limits) == doctest::Approx(0.2));
  plan.dispatches = {work(SubmissionLimits().flops, false)};
  plan.dispatches[0].product = true;
  CHECK(planned_seconds(plan.dispatches[0], limits) == doctest::Approx(0.1 / 50));
  plan.dispatches[0].bytes = 2 * SubmissionLimits().bytes;
  CHECK(planned_seconds(plan.dispatches[0], limits) == doctest::Approx(0.2 / 3));
  plan.dispatches[0].bytes = 0;
  CHECK(std::ranges::count_if(split_into_submissions(plan, 100, limits), &Recorded::new_submission) == 2);
}

TEST_CASE("a long cache of attention is not one submission, a short one of it is") {
  GraphBuilder b("g");
  constexpr std::int64_t kRows = 64, kContext = 131072, kWide = 1024;
  const ValueId position = b.state("position", DType::I32, {1});
  for (int layer = 0; layer < 32; ++layer) {
    const auto name = [&](const char* what) { return what + std::to_string(layer); };
    const ValueId x = b.input(name("x"), DType::F32, {kRows, kWide});
    b.output(b.add("attention", name("attend"),
                   {x, x, x, kNoValue, b.state(name("k"), DType::F32, {kContext, kWide}),
                    b.state(name("v"), DType::F32, {kContext, kWide}), position},
                   {{"heads", std::int64_t{8}}, {"causal", std::int64_t{1}}}),
             name("y"));
  }
  DeviceCaps caps;
  caps.max_storage_buffer_range = std::uint64_t{1} << 31;
  const Plan plan = make_plan(std::move(b).finish(), {}, caps, {});
  const auto submissions = [&](std::uint64_t keys) {
    SubmissionLimits limits;
    limits.keys = keys;
    std::int64_t count = 0;
    for (const Recorded& recorded : split_into_submissions(plan, 1, limits)) count += recorded.new_submission;
    return count;
  };
  CHECK(plan.flops() == std::uint64_t{32} * 2 * kRows * kRows * 2 * kWide);  // with an empty cache
  CHECK(submissions(UINT64_MAX) >= 32);
  CHECK(submissions(1024) < 4);
}

}  // namespace heed
