// Plans of every model for every device that is described.
#include <doctest/doctest.h>

#include <algorithm>

#include "generate/cache_type.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/devices/check_plan.h"
#include "tests/unit/devices/described.h"
#include "tests/unit/devices/llama.h"
#include "tests/unit/devices/models.h"

namespace heed {
namespace {

/// What the tuner may choose on a device (runtime/tuner.h).
std::vector<Tuning> tunings(const DeviceCaps& caps, bool few) {
  const Tuning plain = default_tuning(caps);
  Tuning lanes = plain;
  lanes.set(&ProductTuning::lane_rows, true);
  lanes.query_lanes = lanes.key_shuffle = true;
  lanes.lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], std::max(4u, caps.subgroup_size)});
  lanes.set(&ProductTuning::lanes, lanes.lanes);
  lanes.set(&ProductTuning::rows, 8);
  lanes.texel = lanes.same_storage = caps.max_texel_buffer_elements > 0;
  lanes.set(&ProductTuning::pairs, caps.max_texel_buffer_elements > 0);
  lanes.attention_groups = lanes.sample_groups = 640;
  lanes.query_tile = 64;
  lanes.conv_sums = 64;
  lanes.conv_shuffle = true;
  std::vector<Tuning> all = {plain, lanes};
  if (few) return all;
  const auto with = [&](Tuning tuning, auto member, auto value) {
    if constexpr (requires { tuning.*member; }) {
      tuning.*member = value;
    } else {
      tuning.set(member, value);  // of every kind of weight
    }
    all.push_back(tuning);
  };
  with(plain, &Tuning::texel, true);
  with(plain, &ProductTuning::rows, 2u);
  with(plain, &ProductTuning::rows, 8u);
  with(plain, &ProductTuning::max_groups, 16u);
  with(plain, &Tuning::attention_groups, 0u);
  with(plain, &Tuning::sample_groups, 0u);
  with(plain, &ProductTuning::pairs, true);
  with(plain, &Tuning::one_pass_convs, 1u);
  with(plain, &Tuning::one_pass_convs, 0u);
  for (const std::uint32_t rows : {0u, 32u, 128u}) with(plain, &Tuning::query_tile, rows);
  if (!caps.cooperative_sizes.empty()) {
    Tuning matrices = plain;
    matrices.cooperative_attention = true;
    for (const std::uint32_t rows : {32u, 64u, 128u}) with(matrices, &Tuning::query_tile, rows);
    matrices.query_tile = 64;
    with(matrices, &Tuning::half_products, true);
  }
  with(plain, &ProductTuning::tile, plain.any(&ProductTuning::tile) ? 0u : 128u);
  with(plain, &ProductTuning::tile, 64u);
  with(plain, &Tuning::conv_sums, 128u);
  with(plain, &Tuning::conv_tile, plain.conv_tile == 0 ? 128u : 0u);
  with(plain, &Tuning::conv_tile, 64u);
  for (const std::uint32_t tile : {64u, 128u}) {
    if (caps.cooperative_sizes.empty()) break;
    Tuning matrices = plain;
    matrices.conv_cooperative = true;
    with(matrices, &Tuning::conv_tile, tile);
  }
  for (const std::uint32_t groups : {0u, 256u, 4096u}) with(plain, &ProductTuning::dot_groups, groups);
  with(lanes, &Tuning::texel, false);
  with(lanes, &ProductTuning::rows, 4u);
  with(lanes, &ProductTuning::rows, 16u);
  for (const std::uint32_t wide : {32u, 64u, 128u}) {
    if (wide >= caps.subgroup_size && wide <= caps.max_workgroup_invocations && wide <= caps.max_workgroup_size[0]) {
      with(plain, &ProductTuning::lanes, wide);
      with(plain, &Tuning::lanes, wide);
    }
  }
  return all;
}

/// Bytes that the weights of a graph take in a file, and its states on a device.
std::uint64_t least_memory(const testing::Model& model) {
  std::uint64_t sum = 0;
  for (const Value& value : model.graph.values) {
    if (value.kind == ValueKind::Weight) sum += byte_size(value.dtype, bind(value.shape, model.dims));
    if (value.kind == ValueKind::State) {
      sum += u64(element_count(bind(value.shape, model.dims))) * device_element_bytes(value.kind, value.dtype);
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("every model is planned for every device, and every dispatch fits, or memory is what is missing") {
  const std::vector<testing::Model> models = testing::all_models();
  std::size_t planned = 0, refused = 0;
  for (const testing::Described& device : testing::all_devices()) {
    CAPTURE(device.file);
    const DeviceCaps caps = usable_caps(device.reported);
    for (const testing::Model& model : models) {
      CAPTURE(model.name);
      for (const Tuning& tuning : tunings(caps, model.large)) {
        std::vector<std::string> problems;
        try {
          problems = misfits(make_plan(model.graph, model.dims, caps, tuning), caps);
          CHECK((caps.memory == 0 || caps.type == DeviceType::Cpu || least_memory(model) <= caps.memory));
          ++planned;
        } catch (const Error& error) {
          const std::string message = error.what();
          CHECK_MESSAGE(message.find("of memory; the device has") != std::string::npos, message);
          CHECK((caps.memory != 0 && caps.type != DeviceType::Cpu));
          CHECK(least_memory(model) > caps.memory / 4 * 3);  // the plan has activations and padding too
          ++refused;
        }
        for (std::size_t i = 0; i < std::min<std::size_t>(problems.size(), 3); ++i) FAIL_CHECK(problems[i]);
      }
    }
  }
  MESSAGE(planned << " plans, " << refused << " refused for want of memory");
  CHECK(planned > 1000);
  CHECK(refused > 0);
}

TEST_CASE("devices that bind 128 MiB at a time run 7B with 32768 positions, and read long prompts with logits") {
  constexpr std::int64_t kContext = 32768;
  const Graph graph = testing::llama(4096, 32, 32, 32, 11008, 32000, kContext, DType::Q4_0);
  for (const testing::Described& device : testing::all_devices()) {
    DeviceCaps caps = usable_caps(device.reported);
    if (caps.max_storage_buffer_range > std::uint64_t{1} << 27) continue;
    CAPTURE(device.file);
    caps.memory = 0;  // what must fit here is every binding
    for (const CacheType type : {CacheType::F32, CacheType::F16}) {
      const Graph typed = with_caches_by_head(with_cache_type(graph, type, {}));
      for (const std::int64_t tokens : {1, 64, 2048}) {
        CAPTURE(tokens);
        // 2048 rows of logits are 250 MiB.
        const Bindings dims = {{"tokens", tokens}, {"outputs", tokens}, {"context", kContext}};
        const Plan plan = make_plan(typed, dims, caps, default_tuning(caps));
        for (const std::string& problem : misfits(plan, caps)) FAIL_CHECK(problem);
        CHECK(std::ranges::count(plan.dispatches, "attention_pieces", &Dispatch::shader) ==
              32 * (type == CacheType::F32 ? 4 : 2));
      }
    }
  }
}

}  // namespace heed
