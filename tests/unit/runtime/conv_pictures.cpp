// Convolutions on a device. As products of matrices: what becomes of a picture is the same bits whatever the number of
// others, and however large the tiles are that it shares with them. By lanes: channels in several dispatches, for
// drivers that end long loops, give what they give in one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <random>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

constexpr std::int64_t kConvChannels = 70;
constexpr std::int64_t kConvOutputs = 60;
constexpr std::int64_t kConvSize = 6;

std::vector<float> random_numbers(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(engine()) / 4294967296.0f - 0.5f;
  return numbers;
}

/// relu(conv(x, w) + bias) of so many pictures, by `dispatches` of that shader.
std::vector<float> convolved(Gpu& gpu, const DeviceCaps& caps, std::int64_t pictures, const Tuning& tuning,
                             std::string_view shader, int dispatches = 1) {
  GraphBuilder b("convolution");
  const Shape w_shape = {kConvOutputs, kConvChannels, 3, 3};
  const ValueId x = b.input("x", DType::F32, {pictures, kConvChannels, kConvSize, kConvSize});
  const ValueId w = b.weight("w", DType::F32, {w_shape.begin(), w_shape.end()});
  const ValueId bias = b.weight("bias", DType::F32, {kConvOutputs});
  const Attributes how = {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}, {"activation", std::string("relu")}};
  b.output(b.add("conv", "c", {x, w, bias}, how), "y");
  const Graph graph = std::move(b).finish();
  MemoryWeights weights;
  const auto add_weight = [&](const char* name, const Shape& shape, unsigned seed) {
    const std::vector<float> numbers = random_numbers(static_cast<std::size_t>(element_count(shape)), seed);
    const auto bytes = std::as_bytes(std::span(numbers));
    weights.add(name, {DType::F32, shape}, std::vector<std::byte>(bytes.begin(), bytes.end()));
  };
  add_weight("w", w_shape, 1);
  add_weight("bias", {kConvOutputs}, 3);
  WeightStore store(gpu, weights);
  Session session(gpu, store);
  const auto executable = session.prepare(make_plan(graph, {}, caps, tuning));
  CHECK(std::ranges::count(executable->plan().dispatches, shader, &Dispatch::shader) == dispatches);
  for (const Dispatch& d : executable->plan().dispatches) {
    if (d.shader == "conv") CHECK((d.variant.back() == "shuffle") == tuning.conv_shuffle);
  }
  constexpr std::size_t kPlane = kConvSize * kConvSize;
  std::vector<float> values = random_numbers(5 * kConvChannels * kPlane, 2);
  values.resize(static_cast<std::size_t>(pictures * kConvChannels) * kPlane);
  session.write("x", std::as_bytes(std::span(values)));
  session.run(*executable);
  std::vector<float> y(static_cast<std::size_t>(pictures * kConvOutputs) * kPlane);
  session.read_output(*executable, "y", std::as_writable_bytes(std::span(y)));
  return y;
}

}  // namespace

TEST_CASE("a picture of a convolution in tiles is the same bits alone and among others") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  for (const auto& [groups, cooperative] :
       {std::pair{0u, false}, std::pair{1000u, false}, std::pair{0u, true}, std::pair{1000u, true}}) {
    if (cooperative && gpu.caps().cooperative_sizes.empty()) continue;
    const char* const shader = groups > 0 ? "conv_parts" : cooperative ? "conv_cooperative" : "conv_matrix";
    Tuning tuning = default_tuning(gpu.caps());
    tuning.conv_groups = groups;
    tuning.conv_tile = 64;
    tuning.conv_cooperative = cooperative;
    CAPTURE(shader);
    const std::vector<float> all = convolved(gpu, gpu.caps(), 5, tuning, shader);
    for (const std::uint32_t tile : {32u, 64u}) {
      tuning.conv_tile = tile;
      for (const std::int64_t pictures : {1, 2}) {
        CAPTURE(tile);
        CAPTURE(pictures);
        const std::vector<float> some = convolved(gpu, gpu.caps(), pictures, tuning, shader);
        CHECK(std::memcmp(some.data(), all.data(), some.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("a convolution by parts of its channels adds up") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  DeviceCaps short_loops = gpu.caps();
  short_loops.max_loop_iterations = 290;
  for (const bool handed_on : {false, true}) {
    if (handed_on && !gpu.caps().can_hand_on()) continue;
    CAPTURE(handed_on);
    Tuning tuning = default_tuning(gpu.caps());
    tuning.conv_tile = 0;
    tuning.conv_shuffle = handed_on;
    const std::vector<float> whole = convolved(gpu, gpu.caps(), 5, tuning, "conv");
    const std::vector<float> parts = convolved(gpu, short_loops, 5, tuning, "conv", 3);
    for (std::size_t i = 0; i < whole.size(); ++i) REQUIRE(parts[i] == doctest::Approx(whole[i]).epsilon(1e-4));
    CHECK(std::ranges::count(whole, 0.0f) > 0);
    CHECK(std::ranges::count(whole, 0.0f) < std::ssize(whole));
  }
}

}  // namespace heed
