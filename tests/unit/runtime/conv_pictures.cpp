// Convolutions as products of matrices on a device: what becomes of a picture is the same bits whatever the number of
// others, and however large the tiles are that it shares with them.
#include <doctest/doctest.h>

#include <algorithm>
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
constexpr std::int64_t kConvOutputs = 36;
constexpr std::int64_t kConvSize = 6;

std::vector<float> random_numbers(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(engine()) / 4294967296.0f - 0.5f;
  return numbers;
}

std::vector<std::uint32_t> convolved(Gpu& gpu, std::int64_t pictures, const Tuning& tuning, std::string_view shader) {
  GraphBuilder b("convolution");
  const Shape w_shape = {kConvOutputs, kConvChannels, 3, 3};
  const ValueId x = b.input("x", DType::F32, {pictures, kConvChannels, kConvSize, kConvSize});
  const ValueId w = b.weight("w", DType::F32, {w_shape.begin(), w_shape.end()});
  b.output(b.add("conv", "c", {x, w}, {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}}), "y");
  const Graph graph = std::move(b).finish();
  const std::vector<float> numbers = random_numbers(static_cast<std::size_t>(element_count(w_shape)), 1);
  const auto bytes = std::as_bytes(std::span(numbers));
  MemoryWeights weights;
  weights.add("w", {DType::F32, w_shape}, std::vector<std::byte>(bytes.begin(), bytes.end()));
  WeightStore store(gpu, weights);
  Session session(gpu, store);
  const auto executable = session.prepare(make_plan(graph, {}, gpu.caps(), tuning));
  bool runs = false;
  for (const Dispatch& d : executable->plan().dispatches) runs = runs || d.shader == shader;
  CHECK(runs);
  constexpr std::size_t kPlane = kConvSize * kConvSize;
  std::vector<float> values = random_numbers(5 * kConvChannels * kPlane, 2);
  values.resize(static_cast<std::size_t>(pictures * kConvChannels) * kPlane);
  session.write("x", std::as_bytes(std::span(values)));
  session.run(*executable);
  std::vector<std::uint32_t> y(static_cast<std::size_t>(pictures * kConvOutputs) * kPlane);
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
    const std::vector<std::uint32_t> all = convolved(gpu, 5, tuning, shader);
    for (const std::uint32_t tile : {32u, 64u}) {
      tuning.conv_tile = tile;
      for (const std::int64_t pictures : {1, 2}) {
        CAPTURE(tile);
        CAPTURE(pictures);
        const std::vector<std::uint32_t> some = convolved(gpu, pictures, tuning, shader);
        CHECK(std::equal(some.begin(), some.end(), all.begin()));
      }
    }
  }
}

}  // namespace heed
