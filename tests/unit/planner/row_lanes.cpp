// How many lanes go over a row together: as tuned, but none without work.
#include <doctest/doctest.h>

#include "ops/op.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::large_gpu;

/// Lanes of the only dispatch of an op over rows of so many elements.
std::uint32_t lanes_of(const char* op, std::int64_t elements, const DeviceCaps& caps, const Tuning& tuning) {
  GraphBuilder b("rows");
  std::vector<ValueId> inputs = {b.input("x", DType::F32, {3, elements})};
  Attributes attributes;
  if (std::string_view(op) == "rms_norm") {
    inputs.push_back(b.weight("weight", DType::F32, {elements}));
    attributes.set("eps", 1e-5);
  }
  b.output(b.add(op, "row", inputs, attributes), "y");
  const Plan plan = make_plan(std::move(b).finish(), {}, caps, tuning);
  REQUIRE(plan.dispatches.size() == 1);
  return plan.dispatches[0].specialization[0];
}

}  // namespace

TEST_CASE("a row of a large model is work for many lanes of a GPU, and a short one for few") {
  const DeviceCaps caps = large_gpu(32);
  const Tuning tuning = default_tuning(caps);
  CHECK(tuning.lanes == 32);
  CHECK(tuning.row_lanes == 256);
  CHECK(lanes_of("rms_norm", 4096, caps, tuning) == 256);  // 1024 vec4s
  CHECK(lanes_of("rms_norm", 400, caps, tuning) == 128);   // 100 vec4s
  CHECK(lanes_of("rms_norm", 8, caps, tuning) == 32);
  CHECK(lanes_of("softmax", 4096, caps, tuning) == 256);
  CHECK(lanes_of("softmax", 65, caps, tuning) == 128);
  CHECK(lanes_of("softmax", 64, caps, tuning) == 64);
}

TEST_CASE("workgroups of a row are whole subgroups, and no wider than the device allows") {
  CHECK(default_tuning(large_gpu(64)).row_lanes == 256);
  CHECK(lanes_of("softmax", 3, large_gpu(64), default_tuning(large_gpu(64))) == 64);
  DeviceCaps small = large_gpu(32);
  small.max_workgroup_invocations = 128;
  CHECK(default_tuning(small).row_lanes == 128);
  Tuning odd = default_tuning(large_gpu(32));
  odd.row_lanes = 96;
  CHECK(lanes_of("softmax", 3, large_gpu(32), odd) == 96);  // its half is no whole subgroup
}

}  // namespace heed
