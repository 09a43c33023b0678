// Op cases in the variants of their kernels on one device.
//
// HEED_DEVICE_INDEX chooses the device (default: the best one), HEED_OP narrows the cases to those of one op,
// HEED_CASES to those with this in their name, and HEED_EXTENT says how far they go: brief (default), whole, or modules
// (conform.h).
#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include "heed/device.h"
#include "heed/error.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "shader_table.h"
#include "tests/op_cases/conform.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/run_case.h"

namespace heed::op_cases {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool has_vulkan() {
  try {
    for (const DeviceInfo& device : list_devices()) {
      if (device.unusable.empty()) return true;
    }
  } catch (const Error& error) {
    // No loader or no driver: the same as no device. But a layer that was asked for must be there.
    if (std::string_view(error.what()).starts_with("Vulkan validation")) throw;
  }
  return false;
}

std::optional<Device> open_device() {
  const std::string index = environment("HEED_DEVICE_INDEX");
  if (!has_vulkan() && index.empty()) {
    MESSAGE("SKIPPED: no usable Vulkan device");
    return std::nullopt;
  }
  std::optional<Device> device(std::in_place, index);
  MESSAGE("device: ", device->info().name, ", ", device->info().driver);
  return device;
}

/// The combinations of variants that no plan uses.
bool is_ever_asked_for(const std::string& key, const DeviceCaps& caps) {
  // Of the runtime itself, with which every submission ends, and of the probes of `heed conform`.
  if (key == "run_proof-storage" || key == "subgroup_probe-storage") return false;
  // Multiplies by cooperative matrices, and what makes halves of x for that.
  static const std::regex kCooperative("(linear|conv|attention)_(cooperative|halves)-.*");
  if (caps.cooperative_sizes.empty() && std::regex_match(key, kCooperative)) return false;
  static const std::regex kDots("linear_(dot|bytes)-.*");
  if (!caps.integer_dot_product && std::regex_match(key, kDots)) return false;
  // A unit of 32 columns is more than lanes of narrow subgroups hold together.
  static const std::regex kWide("(linear_pair|attention_block)-.*-i?q[2-6].*-rows.*");
  // Workgroups that are one subgroup.
  static const std::regex kJoined(
      "(linear_pair|attention_block)-.*-rows.*|attention_(step|rows)-.*-shuffle-.*|(linear_lanes|conv)-.*-shuffle");
  if (!caps.can_hand_on() && std::regex_match(key, kJoined)) return false;
  // Heads of usual models are more than registers of GPUs hold.
  if (caps.type != DeviceType::Cpu && key.starts_with("attention_rows-")) return false;
  return caps.subgroup_size >= 8 || !std::regex_match(key, kWide);
}

Extent extent() {
  const std::string name = environment("HEED_EXTENT");
  if (name.empty() || name == "brief") return Extent::Brief;
  if (name == "modules") return Extent::Modules;
  REQUIRE_MESSAGE(name == "whole", "HEED_EXTENT is '", name, "', expected brief, whole or modules");
  return Extent::Whole;
}

}  // namespace

TEST_CASE("case names are unique within an op") {
  for (const CaseFamily& family : all_families()) {
    std::set<std::string> names;
    for (const OpCase& op_case : family.cases()) {
      CHECK_MESSAGE(names.insert(op_case.name).second, family.name, " ", op_case.name);
    }
    CHECK_MESSAGE(!names.empty(), family.name);
  }
}

TEST_CASE("every kernel that spreads its workgroups has a case in which they are too many for one dimension") {
  DeviceCaps caps;
  caps.subgroup_size = 4;
  caps.subgroup_arithmetic = true;
  // The first loops instead, with the rows of x in y; the others are one workgroup.
  const std::set<std::string> never = {"linear_dot", "wavenet", "expert_tiles"};
  std::set<std::string> planned;
  std::set<std::string> spread;
  for (const Variant& variant : variants_of(caps)) {
    if (!variant.name.starts_with("folded grids")) continue;
    for (const CaseFamily& family : all_families()) {
      for (const OpCase& op_case : family.cases()) {
        for (const Dispatch& dispatch : plan_case(op_case, variant).dispatches) {
          planned.insert(dispatch.shader);
          if (dispatch.groups[1] > 1) spread.insert(dispatch.shader);
        }
      }
    }
  }
  CHECK(planned.size() > 35);
  for (const std::string& shader : planned) {
    CHECK_MESSAGE((spread.contains(shader) || never.contains(shader)), shader);
  }
}

TEST_CASE("what only CPU drivers are offered is left out on GPUs") {
  const auto most = [](DeviceType type) {
    DeviceCaps caps;
    caps.type = type;
    std::pair<std::uint32_t, std::uint32_t> result;
    for (const Variant& variant : variants_of(caps)) {
      result.first = std::max(result.first, variant.tuning.of(DType::F32).x_rows);
      result.second = std::max(result.second, variant.tuning.conv_sums);
    }
    return result;
  };
  CHECK(most(DeviceType::Cpu) == std::pair{ProductTuning::kMostXRows, 128u});
  CHECK(most(DeviceType::Discrete) == std::pair{1u, 64u});
}

TEST_CASE("every variant of a case counts the work of the plainest") {
  DeviceCaps caps;
  caps.type = DeviceType::Cpu;
  caps.subgroup_size = 8;
  caps.subgroup_arithmetic = caps.subgroup_shuffle = true;
  caps.max_storage_buffers = 32;
  caps.cooperative_sizes = {{8, 8, 8}};
  // With full caches, and but for the sums of what was computed in parts.
  const auto flops_of = [](const Plan& plan) {
    std::uint64_t flops = 0;
    for (const Dispatch& d : plan.dispatches) {
      if (d.shader == "linear_parts" || d.shader == "reduce") continue;
      flops += d.flops + d.flops_a_key * (d.most_keys - d.fewest_keys);
    }
    return static_cast<double>(flops);
  };
  const std::vector<Variant> variants = variants_of(caps);
  std::set<std::string> counted;
  for (const CaseFamily& family : all_families()) {
    for (const OpCase& op_case : family.cases()) {
      const double plainest = flops_of(plan_case(op_case, variants[0]));
      if (plainest == 0.0) continue;
      // Pieces of a transposed convolution share lines of x, and leave out some of which only padding comes.
      const bool transposed = op_case.graph.nodes[0].op == "conv_transpose";
      for (const Variant& variant : variants) {
        const Plan plan = plan_case(op_case, variant);
        const double flops = flops_of(plan);
        // Shares of experts are rounded.
        const bool shares = transposed && variant.cut_bindings;
        const bool as_much = flops >= plainest * (shares ? 0.5 : 0.999) && flops <= plainest * (shares ? 2.0 : 1.001);
        CHECK_MESSAGE(as_much, family.name, " ", op_case.name, " [", variant.name, "]: ", flops, " of ", plainest);
        for (const Dispatch& dispatch : plan.dispatches) {
          if (dispatch.flops > 0) counted.insert(dispatch.shader);
        }
      }
    }
  }
  for (const char* shader :
       {"attention_cooperative", "attention_pieces", "attention_tiles", "conv", "conv_cooperative", "conv_matrix",
        "conv_plain", "conv_transpose", "linear_cooperative", "linear_pair", "linear_tiles", "matmul", "recurrent"}) {
    CHECK_MESSAGE(counted.contains(shader), shader);
  }
}

TEST_CASE("a weight larger than a device binds is cut into pieces that make the same product") {
  const std::optional<Device> device = open_device();
  if (!device) return;
  const DeviceCaps& caps = device->gpu().caps();
  // Of f32, two rows more than fit. The host holds it several times over, as float and in double.
  constexpr std::int64_t kColumns = 64;
  constexpr std::uint64_t kMostBytes = std::uint64_t{160} << 20;
  const std::uint64_t range = caps.largest_binding();
  if (range > kMostBytes) {
    MESSAGE("SKIPPED: this device binds ", range, " bytes at a time, which is more than the test takes memory for");
    return;
  }
  const auto rows = static_cast<std::int64_t>(range / (kColumns * 4)) + 2;
  GraphBuilder b("large");
  const ValueId x = b.input("x", DType::F32, {1, kColumns});
  b.output(b.add("linear", "product", {x, b.weight("w", DType::F32, {rows, kColumns})}), "y");
  const OpCase op_case = {"larger than a binding", std::move(b).finish(), {}, {}};
  Plan plan = make_plan(op_case.graph, {}, caps, device->gpu().tuning());
  CHECK(plan.dispatches.size() > 1);
  const CaseData data = make_case_data(op_case);
  const CaseResult result = run_case(device->gpu(), data, bounds_of(op_case, data), std::move(plan), {1, 1, 0.0});
  CHECK_MESSAGE(result.passed, result.message);

  // What does not fall apart is refused, by name.
  GraphBuilder large("large");
  large.output(
      large.add("cumsum", "node", {large.input("x", DType::F32, {rows * kColumns}), large.integers("axis", {0})}), "y");
  try {
    make_plan(std::move(large).finish(), {}, caps, device->gpu().tuning());
    FAIL("a tensor larger than a binding was planned");
  } catch (const Error& error) {
    const std::string_view message = error.what();
    CHECK_MESSAGE(message.starts_with("cumsum 'node' on "), message);
    CHECK_MESSAGE(message.find(caps.max_storage_buffer_range < caps.max_memory_allocation
                                   ? "maxStorageBufferRange"
                                   : "at a time") != std::string_view::npos,
                  message);
  }
}

TEST_CASE("every op agrees with the reference in double") {
  const std::optional<Device> device = open_device();
  if (!device) return;
  const std::string op = environment("HEED_OP");
  const std::string filter = environment("HEED_CASES");
  const auto wanted = [&](std::string_view family, std::string_view name) {
    return (op.empty() || op == family) && name.find(filter) != std::string_view::npos;
  };
  int cases = 0;
  std::set<std::string> modules;
  ConformOptions options;
  options.wanted = wanted;
  options.extent = extent();
  options.racy_repeats = 10;  // `heed conform` runs more
  options.racy_seconds = 0.1;
  for (const ConformRow& row : conform(device->gpu(), options)) {
    cases += row.cases;
    modules.insert(row.modules.begin(), row.modules.end());
    MESSAGE(row.op, " [", row.variant, "]: ", row.cases, " cases, ", row.nothing,
            " without anything to compute, worst error ", row.worst_error, " of what is allowed");
    for (const ConformFailure& failure : row.failed) {
      FAIL_CHECK(row.op, " [", row.variant, "] ", failure.case_name, ": ", failure.message);
    }
  }
  CHECK(cases > 0);
  MESSAGE(cases, " runs of cases, ", modules.size(), " of ", shader_modules().size(), " shader modules");
}

TEST_CASE("every shader module that can run on this device is in a plan of a case") {
  const std::optional<Device> device = open_device();
  if (!device) return;
  const DeviceCaps& caps = device->gpu().caps();
  if (caps.max_texel_buffer_elements == 0 || !caps.subgroup_arithmetic) return;
  const std::set<std::string> modules = planned_modules(device->gpu());
  for (const ShaderModuleCode& module : shader_modules()) {
    const std::string key(module.key);
    CHECK_MESSAGE(modules.contains(key) == is_ever_asked_for(key, caps), key);
  }
}

}  // namespace heed::op_cases
