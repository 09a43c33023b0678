// Every limit that a driver reports, at the ends of what it can say, alone and all together: planning either fits the
// device or refuses in words.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "heed/error.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

struct Limit {
  const char* name;
  std::function<void(DeviceCaps&, std::uint64_t)> set;
  std::uint64_t guaranteed;  // the least that Vulkan 1.1 allows, and of alignments the most
  bool optional = false;     // may be 0
};

template <typename T>
std::function<void(DeviceCaps&, std::uint64_t)> field(T DeviceCaps::*member) {
  return [member](DeviceCaps& caps, std::uint64_t value) { caps.*member = static_cast<T>(value); };
}

std::function<void(DeviceCaps&, std::uint64_t)> element(std::array<std::uint32_t, 3> DeviceCaps::*member,
                                                        std::size_t i) {
  return [member, i](DeviceCaps& caps, std::uint64_t value) { (caps.*member)[i] = static_cast<std::uint32_t>(value); };
}

std::vector<Limit> all_limits() {
  return {{"maxStorageBufferRange", field(&DeviceCaps::max_storage_buffer_range), 1u << 27},
          {"maxTexelBufferElements", field(&DeviceCaps::max_texel_buffer_elements), 65536, true},
          {"maxPerStageDescriptorStorageBuffers", field(&DeviceCaps::max_storage_buffers), 8},
          {"maxMemoryAllocationSize", field(&DeviceCaps::max_memory_allocation), 1u << 30},
          {"alignment", field(&DeviceCaps::buffer_alignment), 256, true},
          {"maxPushConstantsSize", field(&DeviceCaps::max_push_constants), 128},
          {"maxComputeWorkGroupInvocations", field(&DeviceCaps::max_workgroup_invocations), 128},
          {"maxComputeWorkGroupSize[0]", element(&DeviceCaps::max_workgroup_size, 0), 128},
          {"maxComputeWorkGroupSize[1]", element(&DeviceCaps::max_workgroup_size, 1), 128},
          {"maxComputeWorkGroupSize[2]", element(&DeviceCaps::max_workgroup_size, 2), 64},
          {"maxComputeWorkGroupCount[0]", element(&DeviceCaps::max_workgroup_count, 0), 65535},
          {"maxComputeWorkGroupCount[1]", element(&DeviceCaps::max_workgroup_count, 1), 65535},
          {"maxComputeWorkGroupCount[2]", element(&DeviceCaps::max_workgroup_count, 2), 65535},
          {"maxComputeSharedMemorySize", field(&DeviceCaps::max_shared_memory), 16384},
          {"subgroupSize", field(&DeviceCaps::subgroup_size), 1, true},
          {"loop iterations", field(&DeviceCaps::max_loop_iterations), 65535}};
}

/// Products of one and of many rows, norms, attention with and without a cache, a convolution, reductions and a sort:
/// what divides by limits.
std::vector<Graph> graphs() {
  std::vector<Graph> made;
  for (const std::int64_t rows : {1, 5}) {
    GraphBuilder b("decoder");
    const ValueId x = b.input("x", DType::F32, {rows, 64});
    const ValueId position = b.state("position", DType::I32, {1});
    const auto product = [&](const std::string& name, ValueId from, std::int64_t n, std::int64_t k) {
      return b.add("linear", name, {from, b.weight("w." + name, DType::Q8_0, {n, k})});
    };
    const ValueId normed = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {64})}, {{"eps", 1e-5}});
    const ValueId y =
        b.add("attention", "attend",
              {product("q", normed, 64, 64), product("k", normed, 32, 64), product("v", normed, 32, 64), kNoValue,
               b.state("ck", DType::F32, {96, 32}), b.state("cv", DType::F32, {96, 32}), position},
              {{"heads", std::int64_t{4}}, {"kv_heads", std::int64_t{2}}, {"causal", std::int64_t{1}}});
    const ValueId gate =
        b.add("gate", "act", {product("a", y, 96, 64), product("b", y, 96, 64)}, {{"activation", "silu"}});
    b.output(product("down", gate, 64, 96), "y");
    made.push_back(std::move(b).finish());
  }
  GraphBuilder b("picture");
  const ValueId x = b.input("x", DType::F32, {1, 4, 9, 9});
  const ValueId c = b.add("conv", "conv", {x, b.weight("w", DType::F32, {8, 4, 3, 3})});
  const ValueId s = b.add("softmax", "softmax", {c}, {{"axis", std::int64_t{1}}});
  b.output(b.add("transpose", "turn", {s}, {{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}}), "y");
  made.push_back(std::move(b).finish());
  return made;
}

/// "" when all graphs are planned, else what the refusal says. Anything but an Error ends the test.
std::string plan_all(const DeviceCaps& reported) {
  Tuning many_groups;
  many_groups.set(&ProductTuning::max_groups, UINT32_MAX);
  Tuning joined{.texel = true, .lanes = 8};
  joined.products.fill({.lane_rows = true, .lanes = 8, .pairs = true});
  for (const Tuning& tuning : {Tuning{}, many_groups, joined}) {
    for (const Graph& graph : graphs()) {
      try {
        const DeviceCaps caps = usable_caps(reported);
        const Plan plan = make_plan(graph, {}, caps, tuning);
        for (const Dispatch& dispatch : plan.dispatches) {
          CAPTURE(dispatch.label);
          for (std::size_t i = 0; i < 3; ++i) {
            CHECK(dispatch.groups[i] >= 1);
            CHECK(dispatch.groups[i] <= caps.max_workgroup_count[i]);
          }
          CHECK(dispatch.specialization.at(0) >= 1);
          CHECK(dispatch.specialization.at(0) <= caps.max_workgroup_invocations);
        }
      } catch (const Error& error) {
        return error.what();
      }
    }
  }
  return "";
}

}  // namespace

TEST_CASE("limits at the ends of their types plan as the guaranteed minimum does") {
  DeviceCaps all_most32, all_most64;
  for (const Limit& limit : all_limits()) {
    CAPTURE(limit.name);
    for (const std::uint64_t value : {limit.guaranteed, std::uint64_t{UINT32_MAX}, UINT64_MAX}) {
      CAPTURE(value);
      DeviceCaps caps;
      limit.set(caps, value);
      const std::string refusal = plan_all(caps);
      const bool too_aligned = std::string(limit.name) == "alignment" && value > 256;
      CHECK_MESSAGE(refusal.find(too_aligned ? "wants bindings at multiples of" : "") != std::string::npos, refusal);
      CHECK_MESSAGE(refusal.empty() != too_aligned, refusal);
    }
    if (std::string(limit.name) != "alignment") {
      limit.set(all_most32, UINT32_MAX);
      limit.set(all_most64, UINT64_MAX);
    }
  }
  // A product of lanes must not wrap around to nothing either.
  DeviceCaps wide = all_most32;
  wide.subgroup_size = 1u << 30;
  CHECK(plan_all(wide) == "");
  CHECK(plan_all(DeviceCaps{}) == "");
  CHECK(plan_all(all_most32) == "");
  CHECK(plan_all(all_most64) == "");
}

TEST_CASE("limits of 0 do without what is optional and are refused by name where nothing would run") {
  DeviceCaps optional;
  for (const Limit& limit : all_limits()) {
    CAPTURE(limit.name);
    DeviceCaps caps;
    limit.set(caps, 0);
    const std::string refusal = plan_all(caps);
    if (limit.optional) {
      CHECK_MESSAGE(refusal.empty(), refusal);
      limit.set(optional, 0);
    } else {
      CHECK_MESSAGE(!refusal.empty(), limit.name);
    }
    // Next to nothing is refused in words as well.
    limit.set(caps, 1);
    CHECK_NOTHROW(plan_all(caps));
  }
  CHECK(plan_all(optional) == "");
}

TEST_CASE("usable caps are counts that can be added to, and alignments are powers of two") {
  DeviceCaps caps;
  caps.max_workgroup_count = {UINT32_MAX, UINT32_MAX, 7};
  caps.max_storage_buffer_range = UINT64_MAX;
  caps.buffer_alignment = 0;
  caps.subgroup_size = 0;
  DeviceCaps usable = usable_caps(caps);
  CHECK(usable.max_workgroup_count == std::array<std::uint32_t, 3>{0x7fffffff, 0x7fffffff, 7});
  CHECK(usable.max_storage_buffer_range == std::uint64_t{1} << 62);
  CHECK(usable.buffer_alignment == 16);
  CHECK(usable.subgroup_size == 1);
  CHECK(usable_caps(usable) == usable);
  caps.buffer_alignment = 48;
  CHECK(usable_caps(caps).buffer_alignment == 64);
  caps.buffer_alignment = 256;
  CHECK(usable_caps(caps).buffer_alignment == 256);
  caps.name = "odd";
  caps.buffer_alignment = 257;
  CHECK_THROWS_WITH_AS(usable_caps(caps),
                       "device 'odd': wants bindings at multiples of 257; Vulkan allows a device to ask for 256",
                       Error);
  caps.buffer_alignment = 256;
  caps.max_workgroup_count[1] = 0;
  CHECK_THROWS_WITH_AS(
      usable_caps(caps),
      "device 'odd': reports maxComputeWorkGroupCount of 0; heed needs 1; the driver is broken or too small", Error);
}

TEST_CASE("an allocation limit below an alignment leaves room for nothing, not for everything") {
  for (const std::uint64_t limit : {0, 1, 255, 256}) {
    DeviceCaps caps;
    caps.max_memory_allocation = limit;
    CHECK(largest_weight(caps) == 0);
    CHECK_THROWS_AS(rows_per_piece(DType::F32, 64, 1, 1, caps), Error);
    CHECK(band_within(DType::F32, 64, 8, caps) == 1);
  }
}

}  // namespace heed
