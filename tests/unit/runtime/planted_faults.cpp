// What kernels, planners and drivers get wrong, planted one at a time into plans of op cases: the harness of `heed
// conform` must name each.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <thread>

#include "heed/error.h"
#include "tests/op_cases/conform.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/run_case.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

using namespace op_cases;

OpCase case_named(std::string_view op, std::string_view part) {
  for (const CaseFamily& family : all_families()) {
    if (family.name != op) continue;
    for (OpCase& op_case : family.cases()) {
      if (op_case.name.find(part) != std::string::npos) return std::move(op_case);
    }
  }
  FAIL("no case of ", op, " with '", part, "' in its name");
  return {};
}

Variant variant_named(const Gpu& gpu, std::string_view name) {
  for (Variant& variant : variants_of(gpu.caps())) {
    if (variant.name == name) return std::move(variant);
  }
  FAIL("no variant '", name, "'");
  return {};
}

/// Checks that the case passes as it is, and returns what is said of it once the fault is in its plan.
std::string said_of(Gpu& gpu, const OpCase& op_case, const std::function<void(Plan&)>& plant, int repeats = 2,
                    std::string_view variant = "storage") {
  const CaseData data = make_case_data(op_case);
  const Bounds bounds = bounds_of(op_case, data);
  Plan plan = plan_case(op_case, variant_named(gpu, variant));
  const CaseResult sound = run_case(gpu, data, bounds, plan, {2, 2, 0.0});
  CHECK_MESSAGE(sound.passed, sound.message);
  plant(plan);
  const CaseResult result = run_case(gpu, data, bounds, std::move(plan), {repeats, repeats, 0.0});
  CHECK(!result.passed);
  CHECK(!result.nothing);
  MESSAGE(op_case.name, ": ", result.message);
  return result.message;
}

/// Lets a dispatch of one input write over it, `distance` bytes behind what it reads.
void write_over_input(Plan& plan, std::size_t dispatch, std::uint64_t distance) {
  const std::size_t shared = plan.dispatches[dispatch].bindings.front().tensor;
  const std::size_t written = plan.dispatches[dispatch].bindings.back().tensor;
  plan.tensors[shared].storage = Storage::Output;
  plan.tensors[shared].name = plan.tensors[written].name + " written over";
  plan.tensors[shared].bytes *= 2;
  for (Dispatch& user : plan.dispatches) {
    for (Binding& binding : user.bindings) {
      if (binding.tensor != written) continue;
      binding.tensor = shared;
      binding.offset = distance;
    }
  }
}

bool says(const std::string& message, std::string_view part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("planted: a dropped dispatch, first, last and in the middle") {
  const auto device = test_device();
  if (!device) return;
  const OpCase chain = case_named("elementwise", "a chain of twelve");
  const std::size_t count = plan_case(chain, variant_named(device->gpu(), "storage")).dispatches.size();
  REQUIRE(count == 12);
  for (const std::size_t which : {std::size_t{0}, count / 2, count - 1}) {
    const std::string said = said_of(device->gpu(), chain, [&](Plan& plan) {
      plan.dispatches.erase(plan.dispatches.begin() + static_cast<std::ptrdiff_t>(which));
    });
    CHECK(says(said, "'y' element"));
    if (which == count - 1) CHECK(says(said, "never written"));
  }
}

TEST_CASE("planted: all dispatches dropped; no case passes, or only those that have nothing to compute") {
  const auto device = test_device();
  if (!device) return;
  ConformOptions options;
  options.extent = Extent::Modules;
  options.racy_repeats = 1;
  options.edit = [](Plan& plan) { plan.dispatches.clear(); };
  int nothing = 0;
  int failures = 0;
  for (const ConformRow& row : conform(device->gpu(), options)) {
    CHECK_MESSAGE(row.passed() == 0, row.op, " [", row.variant, "]");
    nothing += row.nothing;
    failures += row.failures;
  }
  CHECK(failures > 100);
  CHECK(nothing < failures / 10);
}

TEST_CASE("planted: a missing barrier") {
  const auto device = test_device();
  if (!device) return;
  // Without the barrier a device may run the second before the first. CPU drivers run one after the other all the same,
  // so the fault is made to show: what the plan no longer forbids is done.
  const std::string said = said_of(device->gpu(), case_named("elementwise", "a chain of twelve"), [](Plan& plan) {
    REQUIRE(plan.dispatches[6].barrier_before);
    plan.dispatches[6].barrier_before = false;
    std::swap(plan.dispatches[5], plan.dispatches[6]);
  });
  CHECK(says(said, "'y' element"));
}

TEST_CASE("planted: a race within a dispatch, whose results are all near enough and found by repeats alone") {
  const auto device = test_device();
  if (!device) return;
  const std::uint64_t cores = std::thread::hardware_concurrency();
  if (cores < 2 && device->is_cpu()) {
    MESSAGE("SKIPPED: one core runs one workgroup after the other");
    return;
  }
  constexpr std::int64_t kCount = 1 << 20;
  GraphBuilder b("race");
  const ValueId one = b.input("one", DType::F32, {1});
  ValueId t = b.add("div", "before", {b.input("x", DType::F32, {kCount}), one});
  for (const char* raced : {"cores", "neighbours"}) t = b.add("div", "", {b.add("sqrt", raced, {t}), one});
  b.output(t, "y");
  OpCase op_case{"roots in place", std::move(b).finish(), {}, {{"one", {1.0}}}};
  // Roots of numbers next to 1, and roots of these: a few steps of float apart, which a root may be off by.
  for (std::int64_t i = 0; i < kCount; ++i) {
    op_case.values["x"].push_back(1.0 + std::ldexp(static_cast<double>(i * 7919 % 9), -23));
  }
  const std::string said = said_of(
      device->gpu(), op_case,
      [&](Plan& plan) {
        REQUIRE(plan.dispatches.size() == 5);
        // What a workgroup of a root writes over is what another reads at the same moment. That is the one at the same
        // place of the next core's share where each core of a CPU driver has an equal run of workgroups, and its
        // neighbour where they are given out one by one.
        write_over_input(plan, 1,
                         kCount * sizeof(float) / std::max<std::uint64_t>(cores, 2) / kMostAlignment * kMostAlignment);
        write_over_input(plan, 3, kMostAlignment);
      },
      10 * kRacyRepeats);  // it ends with the first that differs
  CHECK(says(said, "gave other bits than the first"));
}

TEST_CASE("planted: one too few, and one too many, of a tile") {
  const auto device = test_device();
  if (!device) return;
  // softmax: rows, length, inner.
  const OpCase rows = case_named("softmax", "softmax [3, 257] axis -1");
  CHECK(says(said_of(device->gpu(), rows, [](Plan& plan) { --plan.dispatches[0].push_constants[1]; }), "'y' element"));
  CHECK(
      says(said_of(device->gpu(), rows, [](Plan& plan) { --plan.dispatches[0].push_constants[0]; }), "never written"));
  // A row more than there are is read from, and written to, what lies behind.
  const std::string beyond = said_of(device->gpu(), rows, [](Plan& plan) {
    ++plan.dispatches[0].push_constants[0];
    ++plan.dispatches[0].groups[0];
    for (Binding& binding : plan.dispatches[0].bindings) binding.size += 256;
  });
  CHECK(says(beyond, "after the end of 'y'"));
  // A product that leaves out the last column, or takes the first weight row twice.
  const OpCase product = case_named("linear", "f32 5x45 -> 67");
  CHECK(says(said_of(device->gpu(), product, [](Plan& plan) { --plan.dispatches.back().groups[0]; }), "never written"));
}

TEST_CASE("planted: a wrong subgroup size") {
  const auto device = test_device();
  if (!device) return;
  const DeviceCaps& caps = device->gpu().caps();
  if (!caps.subgroup_shuffle || caps.subgroup_size < 4 || caps.max_workgroup_invocations < 2 * caps.subgroup_size) {
    MESSAGE("SKIPPED: no kernel is planned for one subgroup on this device");
    return;
  }
  const std::string said = said_of(
      device->gpu(), case_named("linear", "pair f32"),
      [](Plan& plan) {
        bool found = false;
        for (Dispatch& dispatch : plan.dispatches) {
          if (dispatch.shader != "linear_pair") continue;
          dispatch.specialization[0] *= 2;  // a workgroup of two subgroups, for a kernel that takes it for one
          found = true;
        }
        REQUIRE(found);
      },
      2, "pairs");
  CHECK(says(said, "element"));
}

TEST_CASE("planted: a number too large for half precision") {
  const auto device = test_device();
  if (!device) return;
  const auto graph = [](bool half) {
    GraphBuilder b("large");
    ValueId x = b.add("mul", "square", {b.input("a", DType::F32, {4}), b.input("b", DType::F32, {4})});
    if (half) x = b.add("cast", "half", {x}, {{"to", std::string("f16")}});
    b.output(b.add("neg", "after", {x}), "y");
    return std::move(b).finish();
  };
  const OpCase op_case{"70000", graph(false), {}, {{"a", {1, 2, 7, 3}}, {"b", {1, 2, 10000, 3}}}};
  const std::string said = said_of(device->gpu(), op_case, [&](Plan& plan) {
    plan = plan_case({"", graph(true), {}, {}}, variant_named(device->gpu(), "storage"));
  });
  CHECK(says(said, "expected -70000, got -inf"));
}

TEST_CASE("planted: a case that costs the device is named, with how to run it again") {
  const auto device = test_device();
  if (!device) return;
  testing::FakeDriver driver(device->gpu());
  ConformOptions options;
  options.wanted = [](std::string_view op, std::string_view) { return op == "softmax"; };
  options.extent = Extent::Modules;
  driver.lose_device(5);
  CHECK_THROWS_WITH_AS(conform(device->gpu(), options), doctest::Contains("softmax"), DeviceLost);
  options.extent = Extent::Whole;
  driver.lose_device(driver.waits() + 5);
  CHECK_THROWS_WITH_AS(conform(device->gpu(), options), doctest::Contains("--case "), DeviceLost);
}

TEST_CASE("planted: a read of what was never written") {
  const auto device = test_device();
  if (!device) return;
  // An element more than the row has: padding, which holds no number.
  const std::string said = said_of(device->gpu(), case_named("norm", "rms_norm 3x5, eps"), [](Plan& plan) {
    REQUIRE(plan.dispatches.size() == 1);
    bool found = false;
    for (std::uint32_t& word : plan.dispatches[0].push_constants) {
      if (word != 5 || found) continue;
      word = 6;
      found = true;
    }
    REQUIRE(found);
  });
  CHECK(says(said, "'y' element"));
  // An intermediate that no dispatch fills.
  const std::string arena = said_of(device->gpu(), case_named("rows", "tail of a tail"), [](Plan& plan) {
    for (Dispatch& dispatch : plan.dispatches) {
      for (Binding& binding : dispatch.bindings) {
        PlanTensor& tensor = plan.tensors[binding.tensor];
        if (tensor.storage == Storage::Input && tensor.name == "x") {
          tensor.storage = Storage::Arena;
          tensor.arena_block = plan.arena_blocks.size();
          tensor.arena_offset = 0;
          plan.arena_blocks.push_back(tensor.bytes);
        }
      }
    }
  });
  CHECK(says(arena, "got nan"));
}

TEST_CASE("planted: conform names the op, the variant and the case, and replays it") {
  const auto device = test_device();
  if (!device) return;
  ConformOptions options;
  options.wanted = [](std::string_view op, std::string_view name) { return op == "softmax" && name.find("huge") < 99; };
  options.edit = [](Plan& plan) { ++plan.dispatches[0].push_constants[1]; };
  const std::vector<ConformRow> rows = conform(device->gpu(), options);
  REQUIRE(!rows.empty());
  REQUIRE(rows[0].failures == 1);
  const ConformFailure failure = rows[0].failed.at(0);
  CHECK(failure.case_name.find("huge") != std::string::npos);
  CHECK(failure.id == case_id("softmax", failure.case_name, rows[0].variant));
  CHECK(failure.pipelines.size() == 1);
  CHECK(verdict_of(rows).outcome == Outcome::DoesNotConform);
  CHECK(verdict_of(rows).pipelines.contains(*failure.pipelines.begin()));

  options.wanted = nullptr;
  options.edit = nullptr;
  options.id = failure.id;
  const std::vector<ConformRow> again = conform(device->gpu(), options);
  REQUIRE(again.size() == 1);
  CHECK(again[0].variant == rows[0].variant);
  CHECK(again[0].passed() == 1);
  CHECK(verdict_of(again).outcome == Outcome::Conforms);

  // Where one of the plain variants is sound, the others are off.
  options.id.clear();
  options.wanted = [](std::string_view op, std::string_view name) {
    return op == "linear" && name == "f32 1x45 -> 67";
  };
  options.edit = [](Plan& plan) {
    if (plan.dispatches[0].texel) plan.dispatches.clear();
  };
  const Verdict verdict = verdict_of(conform(device->gpu(), options));
  if (device->gpu().caps().max_texel_buffer_elements == 0) return;
  CHECK(verdict.outcome == Outcome::ConformsWithout);
  CHECK(verdict.variants.contains("texel"));
  CHECK(!verdict.variants.contains("storage"));
  for (const std::string& pipeline : verdict.pipelines) CHECK(pipeline.find("texel") != std::string::npos);
}

TEST_CASE("bounds are each element's own") {
  GraphBuilder b("product");
  b.output(b.add("linear", "linear", {b.input("x", DType::F32, {1, 2}), b.weight("w", DType::F32, {3, 2})}), "y");
  const OpCase op_case{
      "sizes", std::move(b).finish(), {}, {{"x", {1.0, 1.0}}, {"w", {1e6, 1e6, 1e-3, 1e-3, 1000.0, -1000.0}}}};
  const CaseData data = make_case_data(op_case);
  const Bounds bounds = bounds_of(op_case, data);
  const std::vector<double>& bound = bounds.at("y");
  const double step = 0x1p-24;
  CHECK(bound[0] > 2e6 * step);
  CHECK(bound[0] < 2e6 * step * 50);
  CHECK(bound[1] > 2e-3 * step);
  CHECK(bound[1] < 2e-3 * step * 50);
  // Terms that cancel: off by steps of the terms, not of the sum.
  CHECK(data.outputs.at("y").data[2] == 0.0);
  CHECK(bound[2] > 1000.0 * step);
  CHECK(bound[2] < 1000.0 * step * 50);
  CHECK(bounds_of(op_case, data) == bounds);
}

}  // namespace heed
