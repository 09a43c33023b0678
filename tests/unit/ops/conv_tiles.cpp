// What convolutions and windows are lowered to: how much a lane owns, and which kernels run.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "constants/conv.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/cpu_driver.h"
#include "tests/unit/from_words.h"

namespace heed {
namespace {

using Sizes = std::vector<std::int64_t>;

Plan plan_of_conv(const Sizes& x, const Sizes& w, std::int64_t pad, std::uint32_t sums, bool shuffle = false) {
  GraphBuilder builder("conv");
  const ValueId in = builder.input("x", DType::F32, {x.begin(), x.end()});
  const ValueId weight = builder.weight("w", DType::F32, {w.begin(), w.end()});
  builder.output(builder.add("conv", "c", {in, weight}, {{"pads", Sizes(4, pad)}}), "y");
  const DeviceCaps caps = testing::cpu_driver();
  Tuning tuning = default_tuning(caps);
  tuning.conv_sums = sums;
  tuning.conv_shuffle = shuffle;
  return make_plan(std::move(builder).finish(), {}, caps, tuning);
}

ops::ConvConstants constants_of(const Dispatch& dispatch) {
  REQUIRE(dispatch.shader == "conv");
  return testing::from_words<ops::ConvConstants>(dispatch.specialization);
}

}  // namespace

TEST_CASE("lanes of a convolution own as much as was found best, where enough of them remain") {
  for (const std::uint32_t sums : {32u, 64u, 128u}) {
    CAPTURE(sums);
    const Plan rows = plan_of_conv({1, 64, 64, 64}, {64, 64, 3, 3}, 1, sums);
    REQUIRE(rows.dispatches.size() == 2);
    CHECK(rows.dispatches[0].shader == "conv_pad");
    const ops::ConvConstants c = constants_of(rows.dispatches[1]);
    CHECK(c.pixels * c.tall * 4 * c.quads == sums);
    CHECK((c.tall > 1) == (sums > 32));
    const Plan points = plan_of_conv({1, 64, 64, 64}, {64, 64, 1, 1}, 0, sums);
    REQUIRE(points.dispatches.size() == 1);
    const ops::ConvConstants p = constants_of(points.dispatches[0]);
    CHECK(p.tall == 1);
    CHECK(p.pixels * 4 * p.quads == sums);
    const Plan few = plan_of_conv({1, 64, 4, 4}, {16, 64, 3, 3}, 1, sums);
    const ops::ConvConstants f = constants_of(few.dispatches.back());
    CHECK(f.pixels * f.tall * 4 * f.quads <= 32);
  }
}

TEST_CASE("tiles of a convolution's lanes divide its rows where that is not too little work for one") {
  // Layers of networks that classify pictures of 224 x 224.
  struct Layer {
    std::int64_t size, channels, outputs, kernel;
    std::int64_t row;  // of pixels: all of the picture where a kernel of one element sees no neighbours
  };
  for (const Layer& layer : {Layer{28, 256, 32, 1, 784}, Layer{14, 512, 1000, 1, 196}, Layer{14, 48, 192, 1, 196}}) {
    CAPTURE(layer.size);
    CAPTURE(layer.channels);
    const Plan plan =
        plan_of_conv({1, layer.channels, layer.size, layer.size},
                     {layer.outputs, layer.channels, layer.kernel, layer.kernel}, layer.kernel / 2, 128, true);
    const ops::ConvConstants c = constants_of(plan.dispatches.back());
    CHECK(layer.row % c.pixels == 0);
    CHECK(c.pixels * c.tall * c.quads >= 24);
  }
}

TEST_CASE("subgroups hand on x of convolutions where their lanes have one tile, on CPU drivers") {
  constexpr std::uint64_t kLanes = 8;
  for (const std::int64_t outputs : {64, 92, 16}) {
    CAPTURE(outputs);
    const Plan plan = plan_of_conv({1, 64, 64, 64}, {outputs, 64, 3, 3}, 1, 128, true);
    const Dispatch& conv = plan.dispatches.back();
    const ops::ConvConstants c = constants_of(conv);
    const auto push = testing::from_words<ops::ConvPush>(conv.push_constants);
    const std::uint64_t tiles = std::uint64_t{64} / c.tall * (64 / c.pixels);
    REQUIRE(c.lanes == kLanes);
    // 16 channels are four blocks, which would leave half of a subgroup without work.
    CHECK(conv.variant.back() == (outputs == 16 ? "read" : "shuffle"));
    if (outputs == 16) continue;
    CHECK(push.blocks == (static_cast<std::uint64_t>(outputs) + 4 * c.quads - 1) / (4 * c.quads));
    CHECK(push.count == tiles * ((push.blocks + kLanes - 1) / kLanes));
    CHECK(std::uint64_t{conv.groups[0]} * conv.groups[1] >= push.count);
  }
  CHECK(plan_of_conv({1, 64, 64, 64}, {64, 64, 3, 3}, 1, 128, false).dispatches.back().variant.back() == "read");
}

TEST_CASE("a convolution of single pixels reads x as it is where tiles can end with it") {
  // 14 x 14 pixels are no multiple of 8.
  CHECK(plan_of_conv({1, 16, 14, 14}, {64, 16, 1, 1}, 0, 128).dispatches.size() == 1);
  CHECK(plan_of_conv({1, 16, 16, 16}, {64, 16, 1, 1}, 0, 32).dispatches.size() == 1);
}

TEST_CASE("windows are taken by rows where nobody wants to know which element was largest") {
  for (const bool indices : {false, true}) {
    GraphBuilder builder("pool");
    const ValueId x = builder.input("x", DType::F32, {1, 8, 15, 17});
    const std::vector<ValueId> y =
        builder.add_many("max_pool", "p", {x}, {{"kernel", Sizes{3, 3}}, {"strides", Sizes{2, 2}}}, indices ? 2 : 1);
    builder.output(y[0], "y");
    if (indices) builder.output(y[1], "indices");
    const DeviceCaps caps;
    const Plan plan = make_plan(std::move(builder).finish(), {}, caps, default_tuning(caps));
    REQUIRE(plan.dispatches.size() == 1);
    CHECK(plan.dispatches[0].shader == (indices ? "pool" : "pool_rows"));
  }
}

}  // namespace heed
