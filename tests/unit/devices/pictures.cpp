// What a picture costs on a described GPU: dispatches that wait for each other.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "constants/conv_cooperative.h"
#include "constants/conv_matrix.h"
#include "graph/integer.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/devices/check_plan.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"
#include "tools/convert/convert.h"

namespace heed {
namespace {

/// The plan of a model's first graph; every dimension that is not named in `dims` is 1.
Plan plan_of(const std::filesystem::path& model, Bindings dims) {
  convert::Checkpoint checkpoint = convert::read_checkpoint(model, {});
  const ModelHeader header = convert::make_header(checkpoint, std::nullopt);
  const Graph& graph = header.graphs.front();
  for (const Value& value : graph.values) {
    for (const Dim& dim : value.shape) {
      if (!dim.name.empty()) dims.emplace(dim.name, 1);
    }
  }
  const DeviceCaps caps = testing::h100();
  Plan plan = make_plan(graph, dims, caps, default_tuning(caps));
  CHECK(misfits(plan, caps).empty());
  return plan;
}

std::ptrdiff_t count(const Plan& plan, const char* shader) {
  return std::ranges::count(plan.dispatches, shader, &Dispatch::shader);
}

}  // namespace

namespace {

using Sizes = std::vector<std::int64_t>;

/// A network in the manner of RFDN (Liu, Tang and Wu 2020): residual convolutions, what each leaves aside joined,
/// attention that looks at a smaller picture, and pixels out of channels at the end.
class Enlarging {
 public:
  Graph graph(std::int64_t rows, std::int64_t columns) {
    rows_ = rows;
    columns_ = columns;
    const ValueId first = conv(b_.input("input", DType::F32, {1, 3, rows, columns}), 3, 24, 3, 1);
    std::vector<ValueId> blocks;
    ValueId x = first;
    for (int i = 0; i < 2; ++i) blocks.push_back(x = block(x));
    x = leaky(conv(joined(blocks), 48, 24, 1, 0));
    x = add("add", {conv(x, 24, 24, 3, 1), first});
    x = conv(x, 24, 12, 3, 1);
    x = add("reshape", {x, list({1, 3, 2, 2, rows, columns})});
    x = add("transpose", {x}, {{"perm", Sizes{0, 1, 4, 2, 5, 3}}});
    b_.output(add("reshape", {x, list({1, 3, 2 * rows, 2 * columns})}), "output");
    return std::move(b_).finish();
  }

 private:
  ValueId add(const char* op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return b_.add(op, op + std::to_string(next_++), std::move(inputs), std::move(attributes));
  }
  ValueId list(Sizes values) { return b_.integers("list" + std::to_string(next_++), std::move(values)); }
  ValueId conv(ValueId x, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t pad,
               std::int64_t stride = 1) {
    const std::string name = "w" + std::to_string(next_++);
    return add("conv",
               {x, b_.weight(name, DType::F32, {out, in, kernel, kernel}), b_.weight(name + "b", DType::F32, {out})},
               {{"pads", Sizes(4, pad)}, {"strides", Sizes(2, stride)}});
  }
  ValueId leaky(ValueId x) { return add("leaky_relu", {x}, {{"alpha", 0.05}}); }
  ValueId joined(const std::vector<ValueId>& parts) { return add("concat", parts, {{"axis", std::int64_t{1}}}); }

  ValueId block(ValueId x) {
    std::vector<ValueId> aside;
    for (int i = 0; i < 3; ++i) {
      aside.push_back(leaky(conv(x, 24, 12, 1, 0)));
      x = leaky(add("add", {conv(x, 24, 24, 3, 1), x}));
    }
    aside.push_back(leaky(conv(x, 24, 12, 3, 1)));
    x = conv(joined(aside), 48, 24, 1, 0);
    // Enhanced spatial attention.
    const ValueId narrow = conv(x, 24, 6, 1, 0);
    ValueId small = conv(narrow, 6, 6, 3, 0, 2);
    small = add("max_pool", {small}, {{"kernel", Sizes{7, 7}}, {"strides", Sizes{3, 3}}});
    small = add("relu", {conv(small, 6, 6, 3, 1)});
    small = conv(small, 6, 6, 3, 1);
    const ValueId large =
        add("resize", {small, kNoValue, kNoValue, list({1, 6, rows_, columns_})}, {{"mode", "linear"}});
    const ValueId mask = conv(add("add", {large, conv(narrow, 6, 6, 1, 0)}), 6, 24, 1, 0);
    return add("mul", {x, add("sigmoid", {mask})});
  }

  GraphBuilder b_{"enlarge"};
  std::int64_t rows_ = 0, columns_ = 0;
  int next_ = 0;
};

}  // namespace

TEST_CASE("a network that enlarges pictures is convolutions, pools and resizes, whatever the sizes") {
  const DeviceCaps caps = testing::h100();
  for (const Sizes& size : {Sizes{64, 64}, Sizes{48, 100}, Sizes{67, 61}}) {
    CAPTURE(size[1]);
    const Plan plan = make_plan(Enlarging().graph(size[0], size[1]), {}, caps, default_tuning(caps));
    CHECK(misfits(plan, caps).empty());
    CHECK(count(plan, "pad") == 0);
    CHECK(count(plan, "elementwise") == 0);
    // Parts of odd pictures begin where no binding may.
    const bool aligned = size[0] * size[1] * 12 * 4 % 256 == 0;
    CHECK((count(plan, "strided") == 0) == aligned);
    if (aligned) CHECK(plan.dispatches.size() == 4 + 2 * (8 + 1 + 1 + 1 + 2 + 2 + 1 + 1));
  }
}

TEST_CASE("large convolutions of pictures on a large GPU: flops a byte, work for every core, and nothing beside them") {
  constexpr std::uint64_t kGroups = 128;  // of 132 cores nearly all
  const DeviceCaps caps = testing::h100();
  struct Layer {
    std::int64_t channels, outputs, kernel, size, stride;
  };
  // Of networks that make pictures larger (RFDN, CARN, a decoder of latents) and of those that tell what is on them.
  for (const Layer& layer : {Layer{50, 50, 3, 512, 1}, Layer{50, 25, 1, 512, 1}, Layer{64, 64, 3, 512, 1},
                             Layer{64, 64, 3, 128, 1}, Layer{256, 64, 1, 256, 1}, Layer{128, 256, 3, 64, 2},
                             Layer{256, 256, 3, 32, 1}, Layer{512, 512, 1, 16, 1}, Layer{512, 512, 3, 7, 1}}) {
    CAPTURE(layer.channels);
    CAPTURE(layer.size);
    GraphBuilder b("layer");
    const ValueId x = b.input("x", DType::F32, {1, layer.channels, layer.size, layer.size});
    const ValueId w = b.weight("w", DType::F32, {layer.outputs, layer.channels, layer.kernel, layer.kernel});
    b.output(b.add("conv", "c", {x, w}, {{"pads", Sizes(4, layer.kernel / 2)}, {"strides", Sizes(2, layer.stride)}}),
             "y");
    const Plan plan = make_plan(std::move(b).finish(), {}, caps, default_tuning(caps));
    CHECK(misfits(plan, caps).empty());
    const Dispatch& d = plan.dispatches.front();
    REQUIRE(d.shader == "conv_matrix");
    CHECK(plan.dispatches.size() <= 2);
    CHECK(std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2] >= kGroups);
    const auto c = testing::from_words<ops::ConvMatrixConstants>(d.specialization);
    const auto p = testing::from_words<ops::ConvMatrixPush>(d.push_constants);
    // What workgroups gather, from whatever cache, and what they write.
    const std::uint64_t steps = ceil_div(std::uint64_t{p.channel_vectors} * u64(layer.kernel * layer.kernel), 8ull);
    const std::uint64_t tiles = std::uint64_t{p.row_tiles} * ceil_div(p.pixels, c.tile_columns);
    std::uint64_t bytes = tiles * steps * (c.tile_rows + c.tile_columns) * 128;
    bytes += plan.dispatches.size() > 1 ? 2 * plan.dispatches.back().bindings[0].size : d.bindings[4].size;
    CHECK(d.flops / bytes >= (layer.outputs < 32 || layer.size <= 32 ? 5 : 12));
    MESSAGE(layer.channels, " to ", layer.outputs, ", ", layer.kernel, "x", layer.kernel, " at ", layer.size, ": tile ",
            c.tile_rows, "x", c.tile_columns, ", ", d.groups[0] * d.groups[1], " workgroups of ", c.lanes, ", ",
            p.parts, " parts, ", static_cast<double>(d.flops) / static_cast<double>(bytes), " flops a byte");
  }
}

TEST_CASE("convolutions by cooperative matrices on a large GPU: flops a byte, and work for every core") {
  constexpr std::uint64_t kGroups = 128;
  DeviceCaps caps = testing::h100();
  caps.cooperative_sizes = {{16, 16, 16}, {16, 8, 16}};
  Tuning tuning = default_tuning(caps);
  tuning.conv_cooperative = true;
  struct Layer {
    std::int64_t channels, outputs, kernel, size, groups;
  };
  for (const Layer& layer :
       {Layer{50, 50, 3, 512, 1}, Layer{64, 64, 3, 512, 1}, Layer{64, 64, 3, 128, 1}, Layer{256, 64, 1, 256, 1},
        Layer{256, 256, 3, 32, 1}, Layer{512, 512, 1, 16, 1}, Layer{512, 512, 3, 7, 1}, Layer{512, 512, 3, 28, 8}}) {
    for (const DType dtype : {DType::F32, DType::F16}) {
      CAPTURE(layer.channels);
      CAPTURE(layer.size);
      GraphBuilder b("layer");
      const ValueId x = b.input("x", DType::F32, {1, layer.channels, layer.size, layer.size});
      const ValueId w =
          b.weight("w", dtype, {layer.outputs, layer.channels / layer.groups, layer.kernel, layer.kernel});
      b.output(b.add("conv", "c", {x, w}, {{"pads", Sizes(4, layer.kernel / 2)}, {"groups", layer.groups}}), "y");
      const Plan plan = make_plan(std::move(b).finish(), {}, caps, tuning);
      CHECK(misfits(plan, caps).empty());
      REQUIRE(plan.dispatches.size() >= 2);
      CHECK(plan.dispatches[0].shader == "conv_halves");
      const Dispatch& d = plan.dispatches[1];
      REQUIRE(d.shader == "conv_cooperative");
      const std::uint64_t groups = std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2];
      CHECK(groups >= kGroups);
      const auto c = testing::from_words<ops::ConvCooperativeConstants>(d.specialization);
      const auto p = testing::from_words<ops::ConvCooperativePush>(d.push_constants);
      const std::uint64_t rows = std::uint64_t{c.m} * c.matrix_rows * c.subgroups_down;
      const std::uint64_t columns = std::uint64_t{c.n} * c.matrix_columns * c.subgroups_across;
      std::uint64_t bytes = groups * p.part_steps * (c.w_halves * rows + c.x_halves * columns) * 64;
      bytes += plan.dispatches.size() > 2 ? 2 * plan.dispatches.back().bindings[0].size : d.bindings[4].size;
      bytes += plan.dispatches[0].bindings[0].size * 2 + plan.dispatches[0].bindings[1].size;
      CHECK(d.flops / bytes >= (layer.size <= 32 || layer.kernel == 1 ? 5 : 11));
      MESSAGE(layer.channels, " to ", layer.outputs, ", ", layer.kernel, "x", layer.kernel, " at ", layer.size, ", ",
              dtype_name(dtype), ": tile ", rows, "x", columns, ", ", groups, " workgroups of ", c.lanes, ", ", p.parts,
              " parts, ", static_cast<double>(d.flops) / static_cast<double>(bytes), " flops a byte");
    }
  }
}

TEST_CASE(
    "a picture of fashion: a dispatch a layer, none to pad, to copy, or for one place of a transposed convolution") {
  const Plan plan = plan_of(std::filesystem::path(HEED_SOURCE_DIR) / "models" / "fashion", {});
  CHECK(plan.dispatches.size() <= 19);
  CHECK(count(plan, "conv_parts") == 1);  // 8 x 8 pixels of 128 channels, whose sums are work for more cores
  CHECK(std::ranges::count_if(plan.dispatches, &Dispatch::barrier_before) <= 15);
  CHECK(count(plan, "pad") == 0);
  CHECK(count(plan, "strided") == 1);  // the noise, which is an input, beside the class
  CHECK(count(plan, "batch_norm") == 0);
  CHECK(count(plan, "conv_transpose") == 3);
  CHECK(count(plan, "spatial_attention") == 1);
}

}  // namespace heed
