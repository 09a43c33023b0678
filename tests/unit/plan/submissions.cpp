#include "plan/submissions.h"

#include <doctest/doctest.h>

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

}  // namespace heed
