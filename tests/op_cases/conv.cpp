// cases conv: kernels, strides, dilations, padding, and groups of every kind, over one to three dimensions, forwards
// and transposed; small ones run as they are, larger ones in tiles.
#include <fmt/format.h>

#include <cmath>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

using Sizes = std::vector<std::int64_t>;

struct Conv {
  std::string op = "conv";
  Sizes x;
  Sizes w;
  Attributes attributes = {};
  bool bias = true;
  bool weights_known = true;
  DType dtype = DType::F32;  // of the weights
};

SymbolicShape symbolic(const Sizes& sizes) { return {sizes.begin(), sizes.end()}; }

OpCase make(const Conv& c) {
  GraphBuilder b("conv");
  std::vector<ValueId> inputs = {b.input("x", DType::F32, symbolic(c.x)), c.weights_known
                                                                              ? b.weight("w", c.dtype, symbolic(c.w))
                                                                              : b.input("w", c.dtype, symbolic(c.w))};
  const std::int64_t groups = c.attributes.integer("groups", 1);
  if (c.bias) inputs.push_back(b.weight("bias", DType::F32, {c.op == "conv" ? c.w[0] : c.w[1] * groups}));
  b.output(b.add(c.op, "c", inputs, c.attributes), "y");
  std::string name = fmt::format("{} {} {}", c.op, to_string(c.x), to_string(c.w));
  for (const auto& [key, value] : c.attributes) {
    if (const auto* list = std::get_if<Sizes>(&value)) name += fmt::format(" {} {}", key, to_string(*list));
    if (const auto* number = std::get_if<std::int64_t>(&value)) name += fmt::format(" {} {}", key, *number);
    if (const auto* text = std::get_if<std::string>(&value)) name += fmt::format(" {}", *text);
  }
  return {name, std::move(b).finish(), {}, {}};
}

const Attribute kTwo = std::int64_t{2};

void add_forward(std::vector<OpCase>& cases) {
  const auto add = [&](const Sizes& x, const Sizes& w, const Attributes& attributes = {}, bool bias = true) {
    cases.push_back(make({"conv", x, w, attributes, bias}));
  };
  // One, few, and no elements.
  add({1, 1, 1}, {1, 1, 1});
  add({2, 3, 7}, {5, 3, 3});
  add({1, 2, 5, 5}, {3, 2, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}}, false);
  add({0, 3, 8, 8}, {4, 3, 3, 3});
  add({1, 0, 4, 4}, {3, 0, 2, 2});
  add({1, 3, 4, 4}, {0, 3, 2, 2});
  // Tiles of pixels and of output channels, whole and not.
  add({1, 8, 20, 24}, {16, 8, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}});
  add({2, 5, 9, 11}, {7, 5, 3, 3}, {{"pads", Sizes{1, 0, 2, 1}}});
  add({1, 16, 16, 16}, {12, 16, 1, 1});
  add({2, 16, 5, 7}, {13, 16, 1, 1}, {{"activation", "relu"}});
  add({1, 16, 4, 4}, {32, 16, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "silu"}});
  add({1, 5, 6, 7}, {3, 5, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "leaky_relu"}, {"slope", 0.2}});
  add({1, 3, 4, 70}, {2, 3, 1, 40}, {{"activation", "leaky_relu"}, {"slope", 0.05}});
  add({3, 24, 4, 4}, {10, 24, 4, 4});
  add({1, 3, 32, 32}, {8, 3, 7, 7}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{3, 3, 3, 3}}});
  add({1, 6, 17, 19}, {9, 6, 3, 2}, {{"strides", Sizes{1, 2}}, {"auto_pad", "same_upper"}});
  add({1, 6, 17, 19}, {9, 6, 2, 3}, {{"strides", Sizes{2, 1}}, {"auto_pad", "same_lower"}});
  add({1, 6, 17, 19}, {9, 6, 3, 3}, {{"auto_pad", "valid"}, {"dilations", Sizes{2, 3}}});
  add({1, 4, 12, 40}, {4, 4, 1, 5}, {{"strides", Sizes{1, 3}}, {"dilations", Sizes{1, 2}}});
  add({1, 4, 9, 100}, {8, 4, 2, 20});
  add({1, 4, 9, 100}, {8, 4, 2, 40});                                  // too many taps for registers
  add({1, 3, 64, 64}, {20, 3, 16, 16}, {{"strides", Sizes{16, 16}}});  // patches
  add({1, 3, 70, 70}, {20, 3, 14, 14}, {{"strides", Sizes{14, 14}}});
  add({1, 3, 96, 96}, {20, 3, 32, 32}, {{"strides", Sizes{32, 32}}});
  add({2, 20, 50}, {10, 20, 10}, {{"strides", Sizes{5}}, {"activation", "gelu"}});
  add({1, 80, 60}, {24, 80, 3}, {{"pads", Sizes{1, 1}}});
  add({1, 3, 6, 7, 9}, {6, 3, 3, 3, 3}, {{"pads", Sizes{1, 1, 1, 1, 1, 1}}});
  add({1, 3, 6, 7, 9}, {6, 3, 2, 3, 1}, {{"strides", Sizes{2, 1, 2}}, {"dilations", Sizes{3, 2, 1}}});
  // Large enough for lanes of several rows and more channels (Tuning::conv_sums), whole and not.
  add({1, 6, 35, 48}, {23, 6, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "relu"}});
  add({2, 4, 40, 41}, {16, 4, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}}, false);
  add({1, 5, 42, 36}, {9, 5, 3, 3});
  add({1, 5, 49, 67}, {20, 5, 3, 3}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}});
  add({1, 4, 33, 40}, {17, 4, 5, 5}, {{"pads", Sizes{2, 2, 2, 2}}});
  add({1, 4, 33, 40}, {17, 4, 3, 3}, {{"pads", Sizes{2, 2, 2, 2}}, {"dilations", Sizes{2, 2}}});
  add({1, 12, 14, 14}, {100, 12, 1, 1}, {{"activation", "silu"}});
  add({2, 24, 28, 30}, {37, 24, 1, 1});
  add({1, 10, 32, 32}, {40, 5, 3, 3}, {{"groups", kTwo}, {"pads", Sizes{1, 1, 1, 1}}});
  // Many output channels, whose lanes have x in common (Tuning::conv_shuffle): as many as whole subgroups have and
  // others, kernels of more taps than are fetched at a time, in slices, of several pictures and groups.
  add({1, 6, 20, 20}, {64, 6, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "relu"}});
  add({2, 4, 17, 19}, {75, 4, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"strides", Sizes{2, 2}}});
  add({1, 3, 24, 32}, {95, 3, 9, 9}, {{"pads", Sizes{4, 4, 4, 4}}});
  add({1, 3, 5, 12, 12}, {64, 3, 3, 3, 3}, {{"pads", Sizes{1, 1, 1, 1, 1, 1}}});
  add({2, 12, 16, 18}, {140, 6, 3, 3}, {{"groups", kTwo}, {"pads", Sizes{1, 1, 1, 1}}});
  // Many channels, as products of matrices: tiles of channels and pixels, whole and not, of several pictures; sums in
  // parts; channels that are no whole vectors, steps that begin within a tap or hold several.
  add({1, 32, 16, 16}, {32, 32, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "relu"}});
  add({3, 30, 7, 5}, {50, 30, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}});
  add({2, 65, 6, 6}, {130, 65, 3, 3}, {{"pads", Sizes{2, 0, 1, 2}}}, false);
  add({1, 64, 13, 11}, {33, 64, 3, 3}, {{"strides", Sizes{2, 3}}, {"pads", Sizes{1, 1, 1, 1}}});
  add({1, 40, 19, 17}, {72, 40, 3, 2}, {{"dilations", Sizes{3, 2}}, {"pads", Sizes{3, 1, 2, 2}}});
  add({1, 512, 4, 4}, {64, 512, 1, 1}, {{"activation", "gelu"}});
  add({1, 20, 13, 14}, {120, 20, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}});
  add({1, 130, 1, 1}, {48, 130, 1, 1});
  add({1, 256, 3, 3}, {17, 256, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}});
  add({1, 17, 9, 33}, {16, 17, 5, 5}, {{"pads", Sizes{4, 4, 4, 4}}});  // pixels that nothing of x reaches
  add({1, 3, 40, 36}, {24, 3, 7, 7}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{3, 3, 3, 3}}});
  add({2, 96, 41}, {80, 96, 5}, {{"strides", Sizes{2}}, {"pads", Sizes{4, 1}}, {"dilations", Sizes{2}}});
  add({1, 12, 5, 6, 7}, {20, 12, 3, 2, 3}, {{"strides", Sizes{1, 2, 1}}, {"pads", Sizes{1, 1, 1, 1, 0, 1}}});
  add({1, 16, 4, 5, 6}, {18, 16, 1, 3, 3}, {{"pads", Sizes{2, 1, 1, 1, 1, 1}}});  // slices that are all padding
  // The same in groups: with one tile of channels and several, odd channels, of several pictures, sums in parts.
  const auto in_groups = [&](std::int64_t groups, const Sizes& x, const Sizes& w, Attributes attributes) {
    attributes.set("groups", groups);
    add(x, w, attributes);
  };
  in_groups(2, {1, 64, 12, 13}, {64, 32, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "relu"}});
  in_groups(3, {2, 63, 6, 7}, {150, 21, 3, 3}, {{"pads", Sizes{0, 1, 2, 1}}});
  in_groups(4, {1, 96, 5, 5}, {68, 24, 3, 2}, {{"strides", Sizes{2, 1}}, {"dilations", Sizes{1, 2}}});
  in_groups(2, {1, 512, 3, 4}, {80, 256, 1, 1}, {{"activation", "silu"}});
  in_groups(5, {2, 60, 9}, {85, 12, 5}, {{"pads", Sizes{2, 2}}, {"strides", Sizes{2}}});
  in_groups(2, {1, 34, 4, 3, 5}, {36, 17, 2, 3, 3}, {{"pads", Sizes{1, 1, 1, 0, 1, 1}}});
  // Rows that are whole tiles of lanes of some widths alone, and one pixel more.
  for (const std::int64_t width : {12, 20, 24, 28, 32, 56, 57}) {
    add({1, 5, 8, width}, {64, 5, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}});
    add({1, 9, 5, width}, {72, 9, 1, 1});
    add({1, 3, 9, 2 * width}, {64, 3, 3, 3}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}}, false);
  }
  // Groups.
  add({1, 8, 16, 16}, {8, 1, 3, 3}, {{"groups", std::int64_t{8}}, {"pads", Sizes{1, 1, 1, 1}}});
  add({1, 8, 16, 16}, {16, 1, 3, 3}, {{"groups", std::int64_t{8}}, {"strides", Sizes{2, 2}}});
  add({2, 12, 10, 10}, {10, 6, 3, 3}, {{"groups", kTwo}, {"pads", Sizes{1, 1, 1, 1}}}, false);
  // Loops longer than some drivers can.
  add({1, 70000, 1}, {1, 70000, 1});
  // More workgroups than one dimension of the smallest device has: rows of a pixel each.
  add({1, 1, 525000, 1}, {1, 1, 3, 1}, {{"pads", Sizes{1, 0, 1, 0}}});
  for (const Sizes& w : {Sizes{5, 3, 3, 3}, Sizes{1, 3, 3, 3}, Sizes{4, 3, 1, 1}, Sizes{33, 9, 3, 3}}) {
    add({2, w[1], 9, 11}, w, {{"pads", Sizes(4, w[2] / 2)}, {"activation", "relu"}});
    cases.back().name += ", special values";
    std::vector<double>& x = cases.back().values["x"];
    for (int i = 0; i < 2 * w[1] * 9 * 11; ++i) x.push_back(i % 23 / 11.0 - 1.0);
    x[3 * 11 + 5] = kNotANumber;  // each of them breaks the pixels around it alone
    x[9 * 11 + 10] = kInfinity;
    x[static_cast<std::size_t>(w[1]) * 9 * 11 + 8 * 11] = kLargestDenormal;
  }
  {
    // Weights that are no numbers break their own channel, and none of those beside it.
    add({1, 18, 8, 9}, {20, 18, 3, 3});
    cases.back().name += ", special weights";
    std::vector<double>& w = cases.back().values["w"];
    for (int i = 0; i < 20 * 18 * 9; ++i) w.push_back(i % 29 / 14.0 - 1.0);
    w[5 * 18 * 9] = kNotANumber;
    w[19 * 18 * 9 + 4] = kInfinity;
  }
  add({1, 2, 100, 101}, {3, 2, 70, 80});
  {
    for (const Sizes& w : {Sizes{8, 8, 3, 3}, Sizes{36, 8, 3, 3}, Sizes{36, 8, 1, 1}}) {
      OpCase c = make({"conv", {1, 8, 12, 12}, w, {{"pads", Sizes(4, w[2] / 2)}}, true, false});
      c.name += ", weights of a graph's input";
      cases.push_back(std::move(c));
    }
  }
  {
    // A chain: what one makes the other reads, padded anew.
    GraphBuilder b("chain");
    ValueId x = b.input("x", DType::F32, {1, 8, 10, 10});
    for (int i = 0; i < 3; ++i) {
      x = b.add("conv", fmt::format("c{}", i), {x, b.weight(fmt::format("w{}", i), DType::F16, {8, 8, 3, 3})},
                {{"pads", Sizes{1, 1, 1, 1}}});
    }
    b.output(x, "y");
    cases.push_back({"a chain of three, f16 weights", std::move(b).finish(), {}, {}});
  }
}

/// Numbers that are not finite under kernels of many channels, whose sums come in parts: next to finite numbers,
/// several under one kernel, in one place and in several, with each other and with weights of all signs.
void add_broken(std::vector<OpCase>& cases) {
  struct Broken {
    const char* name;
    std::vector<std::pair<std::size_t, double>> x;  // [channel, place of 7 x 7], of many channels
    std::vector<std::pair<std::size_t, double>> w;  // [output, channel, tap]
  };
  constexpr std::int64_t kOutputs = 24;
  constexpr std::size_t kPlane = 49;
  const auto add = [&](std::int64_t channels, std::int64_t kernel, bool positive, const Broken& broken,
                       Attributes attributes = {}) {
    const std::int64_t taps = kernel * kernel;
    OpCase c = make({"conv", {1, channels, 7, 7}, {kOutputs, channels, kernel, kernel}, attributes});
    c.name += fmt::format(", {}{}", broken.name, positive ? ", positive weights" : "");
    std::vector<double>& x = c.values["x"];
    for (std::int64_t i = 0; i < channels * 49; ++i) x.push_back(static_cast<double>(i % 23) / 11.0 - 1.0);
    std::vector<double>& w = c.values["w"];
    for (std::int64_t i = 0; i < kOutputs * channels * taps; ++i) {
      const double size = static_cast<double>(i % 29 + 1) / 14.0;
      w.push_back(positive || i % 3 == 0 ? size : -size);
    }
    for (const auto& [at, value] : broken.x) x[at] = value;
    for (const auto& [at, value] : broken.w) w[at] = value;
    cases.push_back(std::move(c));
  };
  const Attributes relu = {{"activation", "relu"}};
  const auto at = [](std::size_t channel, std::size_t place) { return channel * kPlane + place; };
  for (const bool positive : {true, false}) {
    // In the first part of a sum, in the last, and in both.
    add(512, 1, positive, {"-inf", {{at(3, 20), -kInfinity}}, {}}, relu);
    add(512, 1, positive, {"inf in the last", {{at(500, 3), kInfinity}}, {}});
    add(512, 1, positive, {"two inf in one place", {{at(3, 20), kInfinity}, {at(5, 20), kInfinity}}, {}});
    add(512, 1, positive, {"inf first and last", {{at(0, 48), kInfinity}, {at(511, 48), kInfinity}}, {}});
    add(512, 1, positive, {"inf and -inf in one place", {{at(7, 0), kInfinity}, {at(400, 0), -kInfinity}}, {}});
    add(64, 3, positive, {"inf", {{at(9, 16), kInfinity}}, {}});
    add(64, 3, positive, {"two inf under one kernel", {{at(9, 16), kInfinity}, {at(33, 18), kInfinity}}, {}});
    add(64, 3, positive, {"inf and -inf under one kernel", {{at(9, 16), kInfinity}, {at(33, 32), -kInfinity}}, {}});
    add(64, 3, positive, {"NaN and inf", {{at(9, 8), kNotANumber}, {at(33, 40), -kInfinity}}, {}});
  }
  // Of the weights of 64 channels output 5 has the first infinity, output 6 two of one sign, and output 7 two of both.
  const auto of = [](std::size_t output, std::size_t channel, std::size_t tap) {
    return (output * 64 + channel) * 9 + tap;
  };
  const std::vector<std::pair<std::size_t, double>> weights = {{of(5, 2, 4), -kInfinity},  {of(6, 2, 0), kInfinity},
                                                               {of(6, 60, 8), kInfinity},  {of(7, 2, 1), kInfinity},
                                                               {of(7, 50, 7), -kInfinity}, {of(23, 0, 0), kNotANumber}};
  const Broken of_weights = {"infinite weights", {}, weights};
  add(64, 3, false, of_weights);
  // With an x of one sign the infinities of a row agree; with zeros, and what f16 makes zero, they do not or still do.
  add(64, 3, false, of_weights);
  cases.back().name += ", positive x";
  for (double& x : cases.back().values["x"]) x += 1.5;
  add(64, 3, false, of_weights);
  cases.back().name += ", x that is small and zero";
  {
    std::vector<double>& x = cases.back().values["x"];
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = i / kPlane % 2 == 0 ? 1e-25 : 1.0;
    x[at(60, 24)] = 0.0;
  }
  add(64, 3, false, {"infinite x and weights", {{at(2, 16), kInfinity}, {at(60, 18), -kInfinity}}, weights});
  // Infinite x with weights that are zero, or so small beside the others that f16 makes them zero.
  add(64, 3, true,
      {"inf, zero and small weights",
       {{at(9, 16), kInfinity}, {at(9, 40), kInfinity}},
       {{of(3, 9, 4), 0.0}, {of(4, 9, 4), -1e-25}, {of(8, 9, 0), 1e-25}}});
}

/// Many channels of weights that are f16 already, or kernels may make so; and of numbers that f16 does not hold: larger
/// and smaller ones, next to each other and far apart, in x and from one channel of the weights to the next.
void add_halves(std::vector<OpCase>& cases) {
  const Attributes pads = {{"pads", Sizes{1, 1, 1, 1}}};
  for (const DType dtype : {DType::F16, DType::BF16}) {
    cases.push_back(make({"conv", {2, 40, 7, 9}, {50, 40, 3, 3}, pads, true, true, dtype}));
    cases.push_back(make({"conv", {1, 520, 3, 2}, {34, 260, 1, 1}, {{"groups", kTwo}}, true, true, dtype}));
    for (std::size_t i = cases.size() - 2; i < cases.size(); ++i)
      cases[i].name += fmt::format(" {}", dtype_name(dtype));
  }
  for (const DType dtype : {DType::F32, DType::F16}) {
    Attributes half = pads;
    half.set("halves", std::int64_t{1});
    half.set("activation", "relu");
    cases.push_back(make({"conv", {1, 36, 11, 10}, {44, 36, 3, 3}, half, true, true, dtype}));
    cases.back().name += fmt::format(" {}", dtype_name(dtype));
  }
  // Kernels of an even number of taps whose words of 8 channels are no whole steps, and the other way round.
  for (const std::int64_t channels : {8, 17, 24, 33, 64}) {
    cases.push_back(make({"conv", {1, channels, 6, 8}, {20, channels, 2, 5}, {}}));
    cases.push_back(make({"conv", {2, channels, 3, 5}, {36, channels, 1, 1}, {{"strides", Sizes{2, 2}}}}));
  }
  struct Range {
    const char* name;
    double x, x_step, w, w_step;  // the first, and how much larger each column, or channel, is than the one before
  };
  constexpr Range kRanges[] = {{"a million", 1e6, 1.0, 1.0, 1.0},
                               {"1e-6", 1e-6, 1.0, 1e-3, 1.0},
                               {"a million, weights of 1e-6 to 1e6", 1e6, 1.0, 1e-6, 2.4},
                               {"from 1e-9 to 1e9", 1e-9, 14.0, 1.0, 1.0},
                               {"from 1e20 to 1e-20", 1e20, 1e-3, 1.0, 0.5},
                               {"1e36", 1e36, 1.0, 1e-5, 1.0},
                               {"1e-36", 1e-36, 1.0, 1e5, 1.3},
                               {"1e-30, weights of 1e30", 1e-30, 1.0, 1e30, 1.0},
                               {"1e30, weights of 1e-30", 1e30, 0.1, 1e-30, 1.0}};
  for (const Range& range : kRanges) {
    constexpr std::int64_t kChannels = 20, kHeight = 5, kWidth = 17, kOutputs = 32;
    OpCase c = make({"conv", {1, kChannels, kHeight, kWidth}, {kOutputs, kChannels, 3, 3}, pads, false});
    c.name += fmt::format(", x of {}", range.name);
    const auto value = [](std::int64_t i) { return static_cast<double>(i * 7919 % 1009) / 504.5 - 1.0; };
    for (std::int64_t i = 0; i < kChannels * kHeight * kWidth; ++i) {
      c.values["x"].push_back(range.x * std::pow(range.x_step, static_cast<double>(i % kWidth)) * value(i));
    }
    for (std::int64_t i = 0; i < kOutputs * kChannels * 9; ++i) {
      const auto channel = static_cast<double>(i / (kChannels * 9));
      c.values["w"].push_back(range.w * std::pow(range.w_step, channel) * value(i + 100));
    }
    cases.push_back(std::move(c));
  }
}

/// What fusion joins to a convolution: another tensor, and pixels out of channels; in tiles and plain.
void add_epilogues(std::vector<OpCase>& cases) {
  const auto add = [&](const std::string& op, const Sizes& x, const Sizes& w, const Sizes& joined,
                       Attributes attributes) {
    OpCase c = make({op, x, w, attributes});
    if (!joined.empty()) {
      GraphBuilder b(std::move(c.graph));
      Node& node = b.graph().nodes[0];
      node.inputs.resize(4, kNoValue);
      node.inputs[3] = b.input("joined", DType::F32, symbolic(joined));
      c.graph = std::move(b).finish();
    }
    cases.push_back(std::move(c));
  };
  const Sizes pads = {1, 1, 1, 1};
  for (const char* join : {"add_before", "add_after", "multiply"}) {
    for (const char* activation : {"none", "leaky_relu", "sigmoid"}) {
      const Attributes a = {{"pads", pads}, {"join", join}, {"activation", activation}};
      add("conv", {2, 5, 9, 11}, {7, 5, 3, 3}, {2, 7, 9, 11}, a);
    }
    const Attributes relu = {{"join", join}, {"activation", "relu"}};
    add("conv", {1, 16, 6, 10}, {13, 16, 1, 1}, {1, 13, 6, 10}, relu);
    for (const char* activation : {"none", "leaky_relu", "tanh"}) {
      const Attributes a = {{"pads", pads}, {"join", join}, {"activation", activation}};
      add("conv", {2, 30, 9, 11}, {34, 30, 3, 3}, {2, 34, 9, 11}, a);
    }
    add("conv", {1, 12, 5, 8}, {1, 12, 1, 1}, {1, 1, 5, 8}, relu);
    add("conv", {1, 3, 4, 70}, {2, 3, 1, 40}, {1, 2, 4, 31}, relu);  // plain
    add("conv_transpose", {2, 6, 8, 7}, {6, 3, 4, 4}, {2, 3, 16, 14},
        {{"strides", Sizes{2, 2}}, {"pads", pads}, {"join", join}, {"activation", "tanh"}});
    add("conv", {1, 70000, 1}, {1, 70000, 1}, {1, 1, 1}, relu);  // sums of several dispatches are joined once
    add("conv", {1, 8, 7, 8}, {8, 4, 3, 3}, {1, 8, 7, 8}, {{"pads", pads}, {"groups", kTwo}, {"join", join}});
  }
  for (const char* order : {"inner", "outer"}) {
    const auto blocks = [&](std::int64_t block) {
      return Attributes{{"pads", pads}, {"block", block}, {"block_order", order}};
    };
    add("conv", {1, 5, 6, 9}, {12, 5, 3, 3}, {}, blocks(2));
    add("conv", {2, 5, 4, 8}, {9, 5, 3, 3}, {}, blocks(3));
    add("conv", {2, 32, 5, 7}, {36, 32, 3, 3}, {}, blocks(3));
    add("conv", {1, 18, 6, 5}, {24, 18, 3, 3}, {1, 6, 12, 10}, blocks(2));
    cases.back().graph.nodes[0].attributes.set("join", "add_before");
    cases.back().graph.nodes[0].attributes.set("activation", "leaky_relu");
    cases.back().name += " joined";
    add("conv", {2, 8, 5, 6}, {8, 4, 3, 3}, {}, blocks(2));
    cases.back().graph.nodes[0].attributes.set("groups", kTwo);
    cases.back().name += " in two groups";
    add("conv", {2, 48, 4, 5}, {72, 24, 3, 3}, {2, 18, 8, 10}, blocks(2));
    cases.back().graph.nodes[0].attributes.set("groups", kTwo);
    cases.back().graph.nodes[0].attributes.set("join", "multiply");
    cases.back().name += " in two groups joined";
    add("conv", {1, 6, 5, 7}, {4, 6, 3, 3}, {1, 1, 10, 14}, blocks(2));
    cases.back().graph.nodes[0].attributes.set("join", "add_after");
    cases.back().graph.nodes[0].attributes.set("activation", "silu");
    cases.back().name += " joined";
    add("conv", {1, 6, 4, 4}, {16, 6, 1, 1}, {}, {{"block", std::int64_t{4}}, {"block_order", order}});
    add("conv", {1, 3, 4, 70}, {8, 3, 1, 40}, {}, {{"block", kTwo}, {"block_order", order}});  // plain
  }
}

void add_transposed(std::vector<OpCase>& cases) {
  const auto add = [&](const Sizes& x, const Sizes& w, const Attributes& attributes = {}, bool bias = true) {
    cases.push_back(make({"conv_transpose", x, w, attributes, bias}));
  };
  add({1, 1, 1}, {1, 1, 1});
  add({1, 1, 3}, {1, 2, 3}, {}, false);
  add({0, 3, 4, 4}, {3, 2, 4, 4});
  add({1, 2, 0, 4}, {2, 2, 4, 4});
  add({1, 16, 8, 8}, {16, 8, 4, 4}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}});
  // One channel, as pictures in shades of grey have.
  add({2, 6, 5, 8}, {6, 1, 4, 4}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}, {"activation", "tanh"}});
  add({1, 5, 6, 12}, {5, 1, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}}, false);
  add({1, 6, 24, 30}, {6, 20, 4, 4}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}});
  add({2, 16, 8, 8}, {16, 3, 4, 4}, {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}, {"activation", "tanh"}});
  add({3, 32, 1, 1}, {32, 20, 4, 4});
  add({1, 9, 7, 6}, {9, 5, 3, 3}, {{"strides", Sizes{2, 3}}, {"output_padding", Sizes{1, 2}}});
  add({1, 9, 7, 6}, {9, 5, 2, 2}, {{"strides", Sizes{3, 2}}});  // places that no tap reaches
  add({1, 9, 7, 6}, {9, 5, 3, 3}, {{"dilations", Sizes{2, 3}}, {"strides", Sizes{2, 2}}});
  add({1, 9, 7, 6}, {9, 5, 3, 4}, {{"strides", Sizes{2, 2}}, {"auto_pad", "same_upper"}});
  add({1, 9, 7, 6}, {9, 5, 3, 4}, {{"strides", Sizes{2, 2}}, {"auto_pad", "same_lower"}});
  add({1, 9, 7, 6}, {9, 5, 3, 3}, {{"strides", Sizes{3, 2}}, {"output_shape", Sizes{21, 13}}});
  add({1, 9, 7, 6}, {9, 5, 3, 3}, {{"strides", Sizes{3, 2}}, {"output_shape", Sizes{24, 14}}});
  add({1, 16, 30}, {16, 12, 5}, {{"strides", Sizes{3}}, {"pads", Sizes{2, 1}}});
  add({1, 6, 4, 5, 6}, {6, 4, 2, 3, 4}, {{"strides", Sizes{2, 1, 2}}, {"pads", Sizes{0, 1, 1, 1, 0, 1}}});
  add({1, 8, 9, 9}, {8, 1, 3, 3}, {{"groups", std::int64_t{8}}, {"strides", Sizes{2, 2}}});
  add({1, 8, 9, 9}, {8, 6, 3, 3}, {{"groups", kTwo}, {"pads", Sizes{1, 1, 1, 1}}});
  add({1, 2, 5, 5}, {2, 3, 9, 9}, {{"strides", Sizes{9, 9}}});  // more places than there are dispatches
  add({1, 1000, 2, 2}, {1000, 1, 9, 9}, {{"strides", Sizes{9, 9}}});
  add({1, 3, 7, 6}, {3, 5, 3, 3}, {{"strides", Sizes{2, 2}}});
  cases.back().name += ", special values";
  std::vector<double>& x = cases.back().values["x"];
  for (int i = 0; i < 3 * 7 * 6; ++i) x.push_back(i % 17 / 8.0 - 1.0);
  x[2 * 6 + 3] = kNotANumber;
  x[7 * 6 + 5 * 6] = -kInfinity;
}

/// Sums that f32 would not hold exactly; with 65535 they wrap around.
void add_integer_convolutions(std::vector<OpCase>& cases) {
  const auto add = [&](const Conv& conv, std::int64_t most) {
    OpCase c = make(conv);
    c.name = fmt::format("i32 to {} {}", most, c.name);
    std::int64_t state = 7;
    for (Value& value : c.graph.values) {
      if (value.kind == ValueKind::Intermediate) continue;
      value.dtype = DType::I32;
      for (std::int64_t i = element_count(bind(value.shape, {})); i > 0; --i) {
        state = (state * 1103515245 + 12345) % 2147483648;  // of ANSI C's rand
        c.values[value.name].push_back(static_cast<double>(most - state % (most / 8)));
      }
    }
    cases.push_back(std::move(c));
  };
  add({"conv", {1, 8, 20, 24}, {16, 8, 3, 3}, {{"pads", Sizes{1, 1, 1, 1}}}}, 255);
  add({"conv", {2, 300, 5, 7}, {13, 300, 1, 1}, {}, false}, 255);
  add({"conv", {1, 300, 3, 3}, {2, 300, 3, 3}, {}}, 65535);
  add({"conv",
       {2, 12, 10, 10},
       {10, 6, 3, 3},
       {{"groups", kTwo}, {"strides", Sizes{2, 1}}, {"dilations", Sizes{1, 2}}}},
      255);
  add({"conv", {1, 3, 6, 7, 9}, {6, 3, 3, 3, 3}, {{"pads", Sizes{1, 1, 1, 1, 1, 1}}}}, 127);
  add({"conv", {1, 70000, 1}, {1, 70000, 1}, {}}, 255);
  add({"conv", {1, 0, 4, 4}, {3, 0, 2, 2}, {}}, 255);
  add({"conv_transpose", {1, 9, 7, 6}, {9, 5, 3, 3}, {{"strides", Sizes{2, 3}}}}, 255);
  {
    // The function stays what it is: integers have none in the kernel.
    OpCase c = make({"conv", {1, 2, 5, 5}, {3, 2, 3, 3}, {}});
    GraphBuilder b(std::move(c.graph));
    for (Value& value : b.graph().values) {
      if (value.kind == ValueKind::Intermediate) continue;
      value.dtype = DType::I32;
      for (std::int64_t i = element_count(bind(value.shape, {})); i > 0; --i) {
        c.values[value.name].push_back(static_cast<double>(i % 7 - 3));
      }
    }
    b.output(b.add("relu", "r", {b.graph().outputs[0]}), "z");
    b.graph().outputs.erase(b.graph().outputs.begin());
    cases.push_back({"i32, then relu", std::move(b).finish(), {}, std::move(c.values)});
  }
}

}  // namespace

std::vector<OpCase> cases_conv() {
  std::vector<OpCase> cases;
  add_forward(cases);
  add_halves(cases);
  add_broken(cases);
  add_transposed(cases);
  add_integer_convolutions(cases);
  add_epilogues(cases);
  return cases;
}

}  // namespace heed::op_cases
