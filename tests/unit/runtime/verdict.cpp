// What rows of `heed conform` come to: nothing is called sound, or turned off, that was not seen to be so.
#include <doctest/doctest.h>

#include "tests/op_cases/conform.h"

namespace heed {
namespace {

using namespace op_cases;

ConformRow passing(const std::string& op, const std::string& variant, const std::string& pipeline, int cases = 3) {
  ConformRow row;
  row.op = op;
  row.variant = variant;
  row.cases = cases;
  row.pipelines = {pipeline};
  row.modules = {module_of(pipeline)};
  return row;
}

ConformRow failing(const std::string& op, const std::string& variant, const std::string& pipeline) {
  ConformRow row;
  row.op = op;
  row.variant = variant;
  row.cases = row.failures = 1;
  row.failed.push_back({"0123456789", "a case", "it is wrong", {pipeline}, {}});
  return row;
}

}  // namespace

TEST_CASE("verdict: kernels go off where a plain variant passed cases of the op that fails") {
  const Verdict verdict =
      verdict_of({passing("softmax", "storage", "softmax-storage,8"), failing("softmax", "texel", "softmax-texel,8")});
  CHECK(verdict.outcome == Outcome::ConformsWithout);
  CHECK(verdict.plain == "storage");
  CHECK(verdict.plain_passed == 3);
  CHECK(verdict.modules == std::set<std::string>{"softmax-texel"});
  CHECK(verdict.variants == std::set<std::string>{"texel"});
}

TEST_CASE("verdict: a plain variant that did not run, or ran other ops alone, vouches for nothing") {
  const Verdict alone = verdict_of(
      {failing("linear", "pairs", "linear_pair-storage,8"), passing("linear", "8 rows", "linear_rows-storage,8")});
  CHECK(alone.outcome == Outcome::DoesNotConform);
  CHECK(alone.modules.empty());
  CHECK(alone.why_none == "the plainest kernels were not run");

  const Verdict other = verdict_of(
      {passing("softmax", "storage", "softmax-storage,8"), failing("linear", "pairs", "linear_pair-storage,8")});
  CHECK(other.outcome == Outcome::DoesNotConform);
  CHECK(other.modules.empty());
  CHECK(other.why_none == "the plainest kernels of linear were not run");

  // Nor do cases that have nothing to compute.
  ConformRow nothing = passing("linear", "storage", "linear-storage,8", 2);
  nothing.nothing = 2;
  CHECK(verdict_of({nothing, failing("linear", "pairs", "linear_pair-storage,8")}).outcome == Outcome::DoesNotConform);
}

TEST_CASE("verdict: a plan that passed in one variant counts for those that plan the same") {
  ConformRow row = passing("linear", "8 rows", "linear-storage,8");
  row.same["no subgroups"] = {2, {"linear-storage,8"}};
  const Verdict verdict = verdict_of({row, failing("linear", "pairs", "linear_pair-storage,8")});
  CHECK(verdict.outcome == Outcome::ConformsWithout);
  CHECK(verdict.plain == "no subgroups");
  CHECK(verdict.plain_passed == 2);
}

TEST_CASE("verdict: what the plain kernels need is not turned off, and nothing conforms without it") {
  // The same module with other constants: only modules can be turned off.
  const Verdict verdict = verdict_of(
      {passing("softmax", "storage", "softmax-storage,8"), failing("softmax", "128 lanes", "softmax-storage,128")});
  CHECK(verdict.outcome == Outcome::DoesNotConform);
  CHECK(verdict.modules.empty());
  CHECK(verdict.why_none == "what fails are kernels that the plainest variants need too");

  // Another plain variant may do without it.
  const Verdict texel =
      verdict_of({passing("softmax", "storage", "softmax-storage,8"), passing("softmax", "texel", "softmax-texel,8"),
                  failing("softmax", "128 lanes", "softmax-storage,128")});
  CHECK(texel.outcome == Outcome::ConformsWithout);
  CHECK(texel.plain == "texel");
  CHECK(texel.modules == std::set<std::string>{"softmax-storage"});
}

TEST_CASE("verdict: plain kernels that fail, and a failure before anything was planned") {
  CHECK(verdict_of({failing("softmax", "storage", "softmax-storage,8")}).why_none == "the plainest kernels fail too");
  ConformRow unplanned = failing("softmax", "pairs", "");
  unplanned.failed[0].pipelines.clear();
  const Verdict verdict = verdict_of({passing("softmax", "storage", "softmax-storage,8"), unplanned});
  CHECK(verdict.outcome == Outcome::DoesNotConform);
  CHECK(verdict.modules.empty());
  CHECK(verdict.why_none == "a case fails before it runs any kernel");
}

}  // namespace heed
