#include <doctest/doctest.h>

#include "tests/unit/convert/fold_model.h"

namespace heed::convert {
namespace {

struct Upsampling {
  std::vector<double> scales = {2, 2};
  std::vector<std::int64_t> axes = {2, 3};
  std::vector<std::int64_t> kernel = {3, 3};
  std::vector<std::int64_t> padding = {1, 1};
  Attributes resize = {{"mode", "nearest"}, {"coordinate_mode", "asymmetric"}, {"nearest_mode", "floor"}};
  Attributes conv = {};
  bool used_twice = false;
  DType stored = DType::F32;
};

/// resize and conv of pictures [batch, 3, 4, 5] to 4 channels; as many spatial dimensions as the kernel has.
Model upsampled(const Upsampling& u) {
  Model model;
  GraphBuilder b("g");
  const std::size_t spatial = u.kernel.size();
  SymbolicShape x_shape = {"batch", 3};
  for (std::size_t d = 0; d < spatial; ++d) x_shape.emplace_back(static_cast<std::int64_t>(4 + d));
  const ValueId x = b.input("x", DType::F32, x_shape);
  const ValueId scales =
      b.add("constant", "scales", {},
            {{"dtype", "f32"}, {"shape", Shape{static_cast<std::int64_t>(u.scales.size())}}, {"values", u.scales}});
  Attributes resize = u.resize;
  if (!u.axes.empty()) resize.set("axes", u.axes);
  const ValueId large = b.add("resize", "large", {x, kNoValue, scales}, resize);
  Shape shape = {4, u.conv.integer("groups", 1) == 3 ? 1 : 3};
  if (shape[1] == 1) shape[0] = 6;
  shape.insert(shape.end(), u.kernel.begin(), u.kernel.end());
  Attributes conv = u.conv;
  std::vector<std::int64_t> pads = u.padding;
  if (pads.size() == spatial) pads.insert(pads.end(), u.padding.begin(), u.padding.end());
  conv.set("pads", pads);
  const ValueId w = model.add(b, numbers("w", shape));
  const ValueId bias = model.add(b, numbers("b", {shape[0]}));
  b.output(b.add("conv", "conv", {large, w, bias}, conv), "y");
  if (u.used_twice) b.output(b.add("neg", "other", {large}), "z");
  model.table["w"].dtype = u.stored;
  model.graphs.push_back(std::move(b).finish());
  return model;
}

}  // namespace

TEST_CASE("a convolution of repeated pixels becomes a transposed one that computes the same") {
  for (const Upsampling& u : {Upsampling{},
                              {.scales = {1, 1, 2, 2}, .axes = {}},
                              {.kernel = {5, 5}, .padding = {2, 2}},
                              {.kernel = {3, 3}, .padding = {0, 0}},
                              {.kernel = {3, 3}, .padding = {2, 2}},
                              {.kernel = {2, 4}, .padding = {1, 0}},
                              {.scales = {3, 2}},
                              {.scales = {1, 4}, .axes = {-2, -1}, .kernel = {1, 3}, .padding = {0, 1}},
                              {.scales = {2}, .axes = {2}, .kernel = {3}, .padding = {1}},
                              {.scales = {2, 2, 2}, .axes = {2, 3, 4}, .kernel = {3, 3, 3}, .padding = {1, 1, 1}},
                              {.conv = {{"activation", "relu"}}}}) {
    CAPTURE(to_string(Shape(u.kernel)));
    Model model = upsampled(u);
    CHECK(fold(model, fold_upsampling) == 1);
    CHECK(count_ops(model.graph(), "resize") == 0);
    CHECK(count_ops(model.graph(), "conv_transpose") == 1);
    CHECK(model.weights() == 2);
  }
}

TEST_CASE("an upsampling stays where it does something else or nothing is gained") {
  const Attributes half = {{"mode", "nearest"}, {"coordinate_mode", "half_pixel"}, {"nearest_mode", "floor"}};
  const Attributes linear = {{"mode", "linear"}, {"coordinate_mode", "asymmetric"}};
  for (const Upsampling& u :
       {Upsampling{.used_twice = true},
        {.stored = DType::Q8_0},
        {.resize = half},
        {.resize = linear},
        {.resize = {{"mode", "nearest"}, {"coordinate_mode", "asymmetric"}, {"nearest_mode", "ceil"}}},
        {.scales = {1.5, 2}},
        {.scales = {0.5, 2}},
        {.scales = {8, 8}},                                       // 64 dispatches
        {.scales = {4, 4}, .kernel = {1, 3}, .padding = {0, 1}},  // weights six times as large
        {.kernel = {1, 1}, .padding = {0, 0}},                    // as many products as before
        {.padding = {3, 3}},                                      // more than a transposed one can take away
        {.padding = {1, 1, 0, 1}},                                // another padding behind
        {.conv = {{"groups", std::int64_t{3}}}},
        {.conv = {{"strides", std::vector<std::int64_t>{2, 2}}}},
        {.conv = {{"dilations", std::vector<std::int64_t>{2, 1}}}}}) {
    Model model = upsampled(u);
    CHECK(fold(model, fold_upsampling) == 0);
    CHECK(count_ops(model.graph(), "resize") == 1);
  }
}

}  // namespace heed::convert
