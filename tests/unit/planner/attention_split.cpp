// Attention of a step of generation: its keys are shared by as many workgroups as the tuning says, where the device
// can.
#include <doctest/doctest.h>

#include "ops/op.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::large_gpu;

Graph step(std::int64_t heads, std::int64_t kv_heads, std::int64_t width, std::int64_t context) {
  GraphBuilder b("step");
  const ValueId q = b.input("q", DType::F32, {1, heads * width});
  const ValueId k = b.input("k", DType::F32, {1, kv_heads * width});
  const ValueId v = b.input("v", DType::F32, {1, kv_heads * width});
  b.output(b.add("attention", "attention",
                 {q, k, v, kNoValue, b.state("keys", DType::F32, {context, kv_heads * width}),
                  b.state("values", DType::F32, {context, kv_heads * width}), b.state("position", DType::I32, {1})},
                 {{"heads", heads}, {"kv_heads", kv_heads}, {"causal", std::int64_t{1}}}),
           "y");
  return std::move(b).finish();
}

struct Planned {
  std::string shader;
  std::uint64_t workgroups;
};

Planned planned(const Graph& graph, const DeviceCaps& caps, std::uint32_t groups) {
  Tuning tuning = default_tuning(caps);
  tuning.attention_groups = groups;
  const Plan plan = make_plan(graph, {}, caps, tuning);
  for (const Dispatch& dispatch : plan.dispatches) {
    if (!dispatch.shader.starts_with("attention")) continue;
    return {dispatch.shader, std::uint64_t{dispatch.groups[0]} * dispatch.groups[1] * dispatch.groups[2]};
  }
  return {};
}

}  // namespace

TEST_CASE("attention of a 7B model at 4096 tokens is work for four workgroups a core of a large GPU") {
  constexpr std::uint64_t kCores = 132;
  const Planned all_heads = planned(step(32, 32, 128, 4096), large_gpu(), 640);
  CHECK(all_heads.shader == "attention_split");
  CHECK(all_heads.workgroups >= 4 * kCores);
  // Eight heads share a key: few blocks of heads, more runs of keys.
  const Planned grouped = planned(step(64, 8, 128, 4096), large_gpu(), 640);
  CHECK(grouped.shader == "attention_split");
  CHECK(grouped.workgroups >= 4 * kCores);
  // Runs have 16 keys at least.
  CHECK(planned(step(4, 4, 64, 100), large_gpu(), 640).workgroups == 4 * 7);
}

TEST_CASE("a head's keys stay with one workgroup where that is tuned so, or the device cannot share them") {
  const Graph graph = step(32, 32, 128, 4096);
  CHECK(planned(graph, large_gpu(), 0).shader == "attention_step");
  DeviceCaps caps = large_gpu();
  caps.max_storage_buffers = 12;
  CHECK(planned(graph, caps, 640).shader == "attention_step");
  CHECK(planned(step(8, 8, 6, 100), large_gpu(), 640).shader == "attention_step");
  caps = large_gpu();
  caps.max_workgroup_invocations = 16;
  caps.max_workgroup_size = {16, 16, 16};
  caps.subgroup_size = 8;
  CHECK(planned(graph, caps, 640).shader == "attention_step");
  caps = large_gpu();
  caps.max_loop_iterations = 65535;
  CHECK(planned(graph, caps, 640).shader == "attention_split");
}

}  // namespace heed
