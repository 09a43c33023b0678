// Sound: many samples a dispatch, one workgroup, within what a device can do.
#include "ops/wavenet.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "heed/error.h"
#include "ops/sample.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

constexpr std::int64_t kSteps = 512;

ops::Wavenet net_of(std::int64_t channels, std::int64_t layers) {
  ops::Wavenet w;
  w.residual = w.gate = w.skip = w.hidden = channels;
  w.outputs = w.levels = 256;
  w.kernel = 2;
  w.input_kernel = 1;
  for (std::int64_t i = 0; i < layers; ++i) w.dilations.push_back(std::int64_t{1} << (i % 10));
  return w;
}

Plan planned_sound(const ops::Wavenet& w, const DeviceCaps& caps, const Tuning& tuning) {
  GraphBuilder b("sound");
  Attributes attributes = w.attributes();
  attributes.set("rows", std::string("steps"));
  b.output(
      b.add("wavenet", "net",
            {b.weight("weights", DType::F32, {w.weight_rows(), 4}), kNoValue, kNoValue,
             b.state("past", DType::F32, {w.rings(), 4 * ops::Wavenet::rows(w.residual)}),
             b.state("recent", DType::F32, {w.input_kernel}), b.state("sampler", DType::I32, {ops::kSamplerWords})},
            attributes),
      "samples");
  return make_plan(std::move(b).finish(), {{"steps", kSteps}}, caps, tuning);
}

Plan planned_sound(const ops::Wavenet& w, const DeviceCaps& caps) {
  return planned_sound(w, caps, default_tuning(caps));
}

std::string refusal(const ops::Wavenet& w, const DeviceCaps& caps) {
  try {
    planned_sound(w, caps);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Samples of each dispatch, which must follow one another and make all there are.
std::int64_t samples_of(const Plan& plan) {
  std::uint32_t next = 0;
  std::uint32_t most = 0;
  for (const Dispatch& dispatch : plan.dispatches) {
    CHECK(dispatch.shader == "wavenet");
    CHECK(dispatch.groups == std::array<std::uint32_t, 3>{1, 1, 1});
    CHECK(dispatch.push_constants.at(0) == next);
    next += dispatch.push_constants.at(1);
    most = std::max(most, dispatch.push_constants.at(1));
  }
  CHECK(next == kSteps);
  return most;
}

}  // namespace

TEST_CASE("a large GPU makes 512 samples of a WaveNet in four dispatches") {
  const Plan plan = planned_sound(net_of(64, 30), testing::large_gpu());
  CHECK(plan.dispatches.size() == 4);
  CHECK(samples_of(plan) == 128);
}

TEST_CASE("a driver that ends long loops gets fewer samples a dispatch, and tens of them") {
  DeviceCaps caps;
  caps.type = DeviceType::Cpu;
  caps.subgroup_size = 8;
  caps.subgroup_arithmetic = caps.subgroup_shuffle = true;
  caps.max_loop_iterations = 65535;
  Tuning tuning = default_tuning(caps);
  const std::int64_t read = samples_of(planned_sound(net_of(32, 16), caps, tuning));
  CHECK(read >= 32);
  CHECK(read < 128);
  tuning.set(&ProductTuning::shuffle_rows, true);
  const Plan handed = planned_sound(net_of(32, 16), caps, tuning);
  CHECK(handed.dispatches.front().variant == std::vector<std::string>{"shuffle"});
  CHECK(handed.dispatches.front().specialization.at(0) == 8);
  CHECK(samples_of(handed) >= 32);

  caps.max_loop_iterations = 200;
  CHECK(refusal(net_of(32, 16), caps).find("loop iterations") != std::string::npos);
}

TEST_CASE("channels that do not fit a workgroup's shared memory are refused") {
  DeviceCaps caps;
  CHECK(refusal(net_of(128, 30), caps).empty());
  CHECK(refusal(net_of(2048, 2), caps).find("shared memory") != std::string::npos);
}

}  // namespace heed
