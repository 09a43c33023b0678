// How limits that a plan breaks are found, by the planner and by the checker of these tests.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "heed/error.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/devices/check_plan.h"
#include "tests/unit/devices/llama.h"

namespace heed {
namespace {

Plan small_plan(const DeviceCaps& caps, bool texel = true) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {1, 64});
  const ValueId n = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {64})}, {{"eps", 1e-5}});
  const ValueId s = b.add("softmax", "soft", {n}, {{"axis", std::int64_t{1}}});
  b.output(b.add("linear", "project", {s, b.weight("w", DType::F32, {64, 64})}), "y");
  Tuning tuning = default_tuning(caps);
  tuning.texel = texel;
  return make_plan(std::move(b).finish(), {}, caps, tuning);
}

}  // namespace

TEST_CASE("what is too large is refused in words") {
  DeviceCaps caps;
  caps.name = "small card";
  caps.memory = std::uint64_t{1} << 30;
  const Graph graph = testing::llama(4096, 32, 32, 32, 11008, 32000, 4096, DType::F16);
  const Bindings dims = {{"tokens", 1}, {"outputs", 1}, {"context", 4096}};
  CHECK_THROWS_WITH_AS(make_plan(graph, dims, caps, default_tuning(caps)),
                       "graph 'decode' on small card: needs 16.6 GiB of memory; the device has 1.0 GiB; use a smaller "
                       "model, context or size, or weights of a smaller type (heed convert --type q4_0)",
                       Error);
  caps.memory = 0;
  CHECK(misfits(make_plan(graph, dims, caps, default_tuning(caps)), caps).empty());
}

TEST_CASE("the checker finds each limit that a plan breaks") {
  DeviceCaps caps;
  const Plan good = small_plan(caps);
  REQUIRE(misfits(good, caps).empty());
  const auto finds = [&](const std::string& what, const auto& change) {
    Plan plan = good;
    DeviceCaps limits = caps;
    change(plan, limits);
    const std::vector<std::string> problems = misfits(plan, limits);
    REQUIRE_MESSAGE(!problems.empty(), what);
    bool found = false;
    for (const std::string& problem : problems) found = found || problem.find(what) != std::string::npos;
    CHECK_MESSAGE(found, what << " expected, found " << problems.front());
  };
  finds("no such shader", [](Plan& p, DeviceCaps&) { p.dispatches[0].shader = "norml"; });
  finds("bytes of shared memory", [](Plan&, DeviceCaps& c) { c.max_shared_memory = 16; });
  finds("bytes of shared memory", [](Plan& p, DeviceCaps&) { p.dispatches[0].specialization[0] = 8192; });
  finds("capability 63", [](Plan& p, DeviceCaps&) {
    for (Dispatch& d : p.dispatches) {
      if (d.variant.back() == "0") d.variant.back() = "1";
    }
  });
  finds("workgroup size 129", [](Plan& p, DeviceCaps&) { p.dispatches[0].specialization[0] = 129; });
  finds("invocations", [](Plan& p, DeviceCaps& c) {
    p.dispatches[0].specialization[0] = 256;
    c.max_workgroup_size[0] = 256;
  });
  finds("65536 workgroups", [](Plan& p, DeviceCaps&) { p.dispatches[0].groups[1] = 65536; });
  finds("0 workgroups", [](Plan& p, DeviceCaps&) { p.dispatches[0].groups[2] = 0; });
  finds("bytes of push constants, limit", [](Plan& p, DeviceCaps&) { p.dispatches[0].push_constants.resize(33); });
  finds("bytes of push constants, the shader", [](Plan& p, DeviceCaps&) { p.dispatches[0].push_constants.pop_back(); });
  finds("specialization constants", [](Plan& p, DeviceCaps&) { p.dispatches[0].specialization.push_back(1); });
  finds("alignment", [](Plan& p, DeviceCaps&) { p.dispatches[0].bindings[0].offset = 16; });
  finds("' binds ", [](Plan& p, DeviceCaps&) { p.dispatches[0].bindings[0].size += 256; });
  finds("' binds ", [](Plan& p, DeviceCaps&) { p.dispatches[0].bindings[0].offset = UINT64_MAX - 255; });
  finds("texels, limit", [](Plan&, DeviceCaps& c) { c.max_texel_buffer_elements = 15; });
  finds("bytes, limit 200", [](Plan& p, DeviceCaps& c) {
    for (Dispatch& d : p.dispatches) d.texel = false;
    c.max_storage_buffer_range = 200;
  });
  finds("storage buffers", [](Plan&, DeviceCaps& c) { c.max_storage_buffers = 0; });
  finds("texel buffers", [](Plan&, DeviceCaps& c) { c.max_texel_buffers = 1; });
  finds("buffers, limit 2", [](Plan&, DeviceCaps& c) { c.max_resources = 2; });
  finds("an allocation", [](Plan&, DeviceCaps& c) { c.max_memory_allocation = 100; });
  finds("memory 1000", [](Plan&, DeviceCaps& c) { c.memory = 1000; });
}

TEST_CASE("descriptors are held against the device's counts of each kind") {
  DeviceCaps caps;
  REQUIRE(small_plan(caps).dispatches.back().texel);
  caps.max_texel_buffers = 2;
  const Plan plan = small_plan(caps);
  CHECK(misfits(plan, caps).empty());
  CHECK_FALSE(plan.dispatches.back().texel);
  caps.max_resources = 3;
  CHECK_THROWS_AS(small_plan(caps), Error);
}

}  // namespace heed
