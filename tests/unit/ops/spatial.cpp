// The references of spatial ops against numbers of ONNX's own reference implementation (onnx.reference 1.20, opset 22),
// and what the ops refuse.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "heed/error.h"
#include "planner/infer.h"
#include "reference/evaluate.h"

namespace heed {
namespace {

using Reals = std::vector<double>;
using Sizes = std::vector<std::int64_t>;

/// One, two, and so on.
Reals counted(std::size_t count, double first = 1.0) {
  Reals values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

struct Input {
  Sizes shape;
  Reals values;
  std::string known = "";  // the type of a constant
};

Input integers(const Reals& values) { return {{static_cast<std::int64_t>(values.size())}, values, "i64"}; }
Input reals(const Reals& values) { return {{static_cast<std::int64_t>(values.size())}, values, "f32"}; }

const Input kNone = {};

/// All outputs of one node.
std::vector<HostTensor> run(const std::string& op, const std::vector<Input>& inputs, const Attributes& attributes = {},
                            std::size_t outputs = 1) {
  GraphBuilder b("g");
  std::map<std::string, HostTensor> tensors;
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Input& input = inputs[i];
    const std::string name = fmt::format("i{}", i);
    if (input.shape.empty() && input.values.empty()) {
      ids.push_back(kNoValue);
    } else if (!input.known.empty()) {
      const Attributes constant = {{"dtype", input.known}, {"shape", input.shape}, {"values", input.values}};
      ids.push_back(b.add("constant", name, {}, constant));
    } else {
      ids.push_back(b.input(name, DType::F32, SymbolicShape(input.shape.begin(), input.shape.end())));
      tensors[name].data = input.values;
    }
  }
  const std::vector<ValueId> made = b.add_many(op, "n", ids, attributes, outputs);
  for (std::size_t i = 0; i < outputs; ++i) b.output(made[i], fmt::format("y{}", i));
  const auto no_weights = [](const std::string&, std::size_t) { return Reals(); };
  std::map<std::string, HostTensor> results = evaluate(std::move(b).finish(), {}, no_weights, tensors);
  std::vector<HostTensor> list;
  for (std::size_t i = 0; i < outputs; ++i) list.push_back(results.at(fmt::format("y{}", i)));
  return list;
}

void check(const HostTensor& actual, const Shape& shape, const Reals& expected) {
  CHECK(actual.type.shape == shape);
  REQUIRE(actual.data.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(actual.data[i] - expected[i]) < 2e-6 * std::max(1.0, std::abs(expected[i])));
  }
}

std::string refusal(const std::string& op, const std::vector<Input>& inputs, const Attributes& attributes = {}) {
  try {
    run(op, inputs, attributes);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const Input kImage = {{1, 1, 4, 4}, counted(16)};
const Input kKernel = {{1, 1, 3, 3}, counted(9)};

}  // namespace

TEST_CASE("convolutions, with padding and strides") {
  check(run("conv", {kImage, kKernel, {{1}, {10.0}}}, {{"pads", Sizes{1, 1, 1, 1}}, {"strides", Sizes{2, 2}}})[0],
        {1, 1, 2, 2}, {121, 227, 373, 583});
  check(run("conv_transpose", {{{1, 1, 2, 2}, {0, 1, 3, 4}}, kKernel},
            {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 0, 0, 1}}, {"output_padding", Sizes{1, 0}}})[0],
        {1, 1, 5, 4}, {0, 0, 4, 5, 3, 6, 20, 16, 12, 15, 34, 20, 21, 24, 55, 32, 0, 0, 0, 0});
}

TEST_CASE("pools, with padding that counts and windows that hang over") {
  const Attributes stepped = {{"kernel", Sizes{3, 3}}, {"strides", Sizes{2, 2}}};
  Attributes included = stepped;
  included.set("pads", Sizes{1, 1, 1, 1});
  included.set("count_include_pad", std::int64_t{1});
  check(run("average_pool", {kImage}, included)[0], {1, 1, 2, 2}, {14.0 / 9.0, 30.0 / 9.0, 57.0 / 9.0, 11});
  Attributes over = stepped;
  over.set("ceil_mode", std::int64_t{1});
  check(run("average_pool", {kImage}, over)[0], {1, 1, 2, 2}, {6, 7.5, 12, 13.5});
  Attributes two = {{"kernel", Sizes{2, 2}}, {"strides", Sizes{2, 2}}};
  Attributes norm = two;
  norm.set("p", std::int64_t{3});
  check(run("lp_pool", {kImage}, norm)[0], {1, 1, 2, 2}, {7.047299, 9.816659, 18.823856, 21.91843});
  two.set("storage_order", std::int64_t{1});
  const std::vector<HostTensor> largest = run("max_pool", {kImage}, two, 2);
  check(largest[0], {1, 1, 2, 2}, {6, 8, 14, 16});
  check(largest[1], {1, 1, 2, 2}, {5, 13, 7, 15});
}

TEST_CASE("resize, by every kernel") {
  const auto resized = [](const Attributes& attributes) {
    return run("resize", {{{1, 4}, counted(4)}, kNone, kNone, integers({1, 7})}, attributes)[0];
  };
  check(resized({{"mode", "nearest"}}), {1, 7}, {1, 1, 2, 2, 3, 4, 4});
  check(resized({{"mode", "linear"}, {"coordinate_mode", "align_corners"}}), {1, 7}, {1, 1.5, 2, 2.5, 3, 3.5, 4});
  check(resized({{"mode", "cubic"}}), {1, 7}, {0.900784, 1.279246, 1.896593, 2.5, 3.103407, 3.720754, 4.099216});
  check(resized({{"mode", "cubic"}, {"coordinate_mode", "asymmetric"}}), {1, 7},
        {1.0, 1.475219, 2.186589, 2.670554, 3.373178, 3.892128, 4.104956});
  const Input row = {{1, 8}, counted(8)};
  check(run("resize", {row, kNone, reals({1, 0.4})}, {{"mode", "linear"}, {"antialias", std::int64_t{1}}})[0], {1, 3},
        {1.88, 4.24, 6.72});
  check(run("resize", {row, reals({0, 0.2, 1, 1.2}), kNone, integers({1, 5})},
            {{"mode", "linear"}, {"coordinate_mode", "tf_crop_and_resize"}, {"extrapolation_value", -1.0}})[0],
        {1, 5}, {2.4, 4.15, 5.9, 7.65, -1.0});
}

TEST_CASE("pad, by every mode") {
  const auto padded = [](const std::string& mode, const Reals& pads) {
    return run("pad", {{{4}, counted(4)}, integers(pads)}, {{"mode", mode}})[0];
  };
  check(padded("constant", {2, 3}), {9}, {0, 0, 1, 2, 3, 4, 0, 0, 0});
  check(padded("reflect", {2, 3}), {9}, {3, 2, 1, 2, 3, 4, 3, 2, 1});
  check(padded("edge", {2, 3}), {9}, {1, 1, 1, 2, 3, 4, 4, 4, 4});
  check(padded("wrap", {2, 3}), {9}, {3, 4, 1, 2, 3, 4, 1, 2, 3});
  check(padded("constant", {-1, 1}), {4}, {2, 3, 4, 0});
}

TEST_CASE("grid_sample, outside of x too") {
  const Input grid = {{1, 2, 2, 2}, {-1.2, -1, 0, 0.3, 1.1, 0.9, 0.5, -0.25}};
  const auto sampled = [&](const std::string& mode, const std::string& padding) {
    return run("grid_sample", {kImage, grid}, {{"mode", mode}, {"padding_mode", padding}})[0];
  };
  check(sampled("linear", "zeros"), {1, 1, 2, 2}, {0.05, 10.9, 3.36, 7.5});
  check(sampled("linear", "reflection"), {1, 1, 2, 2}, {1, 10.9, 16, 7.5});
  check(sampled("nearest", "zeros"), {1, 1, 2, 2}, {0, 11, 0, 7});
  check(sampled("nearest", "border"), {1, 1, 2, 2}, {1, 11, 16, 7});
  check(sampled("cubic", "zeros"), {1, 1, 2, 2}, {0.006875, 11.168875, 3.375657, 8.34375});
  check(sampled("cubic", "border"), {1, 1, 2, 2}, {0.625, 11.070998, 16.441002, 7.59375});
  check(sampled("cubic", "reflection"), {1, 1, 2, 2}, {0.1825, 11.070998, 16.787508, 7.59375});
}

TEST_CASE("col2im and group_norm") {
  check(run("col2im", {{{1, 4, 4}, counted(16)}, integers({3, 3}), integers({2, 2})})[0], {1, 1, 3, 3},
        {1, 7, 6, 12, 34, 22, 11, 27, 16});
  check(run("group_norm", {{{1, 4, 2}, counted(8)}, {{4}, counted(4)}, {{4}, {0, 0, 1, 1}}},
            {{"groups", std::int64_t{2}}, {"eps", 1e-5}})[0],
        {1, 4, 2}, {-1.341635, -0.447212, 0.894424, 2.683271, -3.024906, -0.341635, 2.788847, 6.366542});
}

TEST_CASE("spatial ops refuse what does not fit") {
  CHECK(refusal("conv", {{{2, 3}, counted(6)}, kKernel}) ==
        "conv 'n': x is [2, 3], expected [batch, channels, and 1 to 3 spatial dimensions]");
  CHECK(refusal("conv", {kImage, {{1, 2, 3, 3}, counted(18)}}) ==
        "conv 'n': x is [1, 1, 4, 4], but the weight [1, 2, 3, 3] needs 2 channels");
  CHECK(refusal("conv", {kImage, kKernel}, {{"groups", std::int64_t{2}}}) ==
        "conv 'n': 2 groups of x [1, 1, 4, 4] and the weight [1, 1, 3, 3]");
  CHECK(refusal("conv", {kImage, kKernel}, {{"strides", Sizes{1, 0}}}) ==
        "conv 'n': strides holds 0, but 1 is the least");
  CHECK(refusal("conv", {kImage, kKernel}, {{"dilations", Sizes{2, 2}}}) ==
        "conv 'n': windows of 5 do not fit 4 elements, padding included");
  CHECK(refusal("conv", {kImage, kKernel}, {{"auto_pad", "SAME"}}).find("conv 'n': auto_pad 'SAME' is none of") == 0);
  CHECK(refusal("conv", {kImage, kKernel}, {{"activation", "swoosh"}}).find("conv 'n': ") == 0);
  CHECK(refusal("conv_transpose", {kImage, kKernel}, {{"pads", Sizes{9, 0, 9, 0}}}) ==
        "conv_transpose 'n': padding takes all of 6 elements");
  CHECK(refusal("max_pool", {kImage}, {{"kernel", Sizes{2}}}) ==
        "max_pool 'n': a kernel of 1 dimensions over 2 spatial dimensions");
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const Attributes hostile[] = {{{"strides", Sizes{kHuge, 1}}},        {{"dilations", Sizes{kHuge, 1}}},
                                {{"pads", Sizes{kHuge, 1, 1, 1}}},     {{"groups", kHuge}},
                                {{"output_padding", Sizes{kHuge, 1}}}, {{"output_shape", Sizes{kHuge, 1}}}};
  for (const Attributes& attributes : hostile) {
    CHECK(refusal("conv_transpose", {kImage, kKernel}, attributes).find("conv_transpose 'n': ") == 0);
  }
  constexpr std::int64_t kLarge = 1 << 30;
  CHECK(refusal("max_pool", {{{1, 1, 4, 4, 4}, counted(64)}},
                {{"kernel", Sizes{kLarge, kLarge, kLarge}}, {"pads", Sizes(6, kLarge)}}) != "no error");
  CHECK(refusal("resize", {{{4}, counted(4)}, kNone, kNone, integers({kLarge})}, {{"mode", "linear"}}) != "no error");
  CHECK(refusal("pad", {{{4}, counted(4)}, integers({1})}) == "pad 'n': has 1 pads, expected 2");
  CHECK(refusal("pad", {{{4}, counted(4)}, integers({-3, -2})}) ==
        "pad 'n': takes more than the 4 elements of dimension 0 away");
  CHECK(refusal("resize", {{{4}, counted(4)}}) == "resize 'n': needs either scales or sizes");
  CHECK(refusal("resize", {{{4}, counted(4)}, kNone, reals({2, 2})}) == "resize 'n': has 2 scales, expected 1");
  CHECK(refusal("resize", {{{4}, counted(4)}, kNone, reals({2})}, {{"mode", "quadratic"}}) ==
        "resize 'n': unknown mode 'quadratic'");
  CHECK(refusal("group_norm", {kImage}, {{"groups", std::int64_t{3}}}) == "group_norm 'n': 3 groups of 1 channels");
  CHECK(refusal("grid_sample", {kImage, {{1, 2, 3}, counted(6)}}).find("grid_sample 'n': ") == 0);
  CHECK(refusal("col2im", {{{1, 4, 5}, counted(20)}, integers({3, 3}), integers({2, 2})}) ==
        "col2im 'n': x is [1, 4, 5], expected a multiple of 4 elements of 4 blocks");
}

}  // namespace heed
