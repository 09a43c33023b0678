#include "tools/convert/fold.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <span>

#include "graph/convert_dtype.h"
#include "tests/unit/convert/fold_model.h"

namespace heed::convert {
namespace {

using convert_test::contains;
using convert_test::error_of;
using convert_test::ramp;

struct LayerOptions {
  std::string op = "conv";
  std::int64_t groups = 1;
  bool bias = true;
  int norms = 1;
  bool relu_before = false;  // between layer and norm
  bool used_twice = false;
  bool is_output = false;
  std::string activation = "none";
  bool constant_shift = false;
};

/// A layer from 4 to 6 channels, and norms of what it makes.
Model layer(const LayerOptions& options) {
  Model model;
  GraphBuilder b("g");
  const bool linear = options.op == "linear";
  const bool transposed = options.op == "conv_transpose";
  const ValueId x = b.input("x", DType::F32, linear ? SymbolicShape{"batch", 4} : SymbolicShape{"batch", 4, 5, 3});
  const Shape shape = linear       ? Shape{6, 4}
                      : transposed ? Shape{4, 6 / options.groups, 3, 2}
                                   : Shape{6, 4 / options.groups, 3, 2};
  Attributes attributes{{"activation", options.activation}};
  if (!linear) attributes.set("groups", options.groups);
  const ValueId made = b.add(
      options.op, "layer",
      {x, model.add(b, numbers("w", shape)), options.bias ? model.add(b, numbers("b", {6})) : kNoValue}, attributes);
  ValueId y = options.relu_before ? b.add("relu", "relu", {made}) : made;
  for (int i = 0; i < options.norms; ++i) y = model.norm(b, "norm" + std::to_string(i), y, 6);
  if (options.constant_shift) {
    const ValueId shift =
        b.add("constant", "shift", {},
              {{"dtype", "f32"}, {"shape", Shape{6}}, {"values", std::vector<double>{1, 2, 3, -1, -2, 0.5}}});
    std::vector<Node>& nodes = b.graph().nodes;
    nodes[nodes.size() - 2].inputs[2] = shift;
    std::swap(nodes.back(), nodes[nodes.size() - 2]);
  }
  if (options.used_twice) y = b.add("add", "sum", {y, made});
  b.output(y, "y");
  if (options.is_output) b.output(made, "made");
  model.graphs.push_back(std::move(b).finish());
  return model;
}

}  // namespace

TEST_CASE("fold: a batch norm becomes part of the layer before it") {
  for (const char* op : {"conv", "conv_transpose", "linear"}) {
    for (const std::int64_t groups : {1, 2}) {
      for (const bool bias : {true, false}) {
        if (groups > 1 && std::string(op) == "linear") continue;
        CAPTURE(std::string(op));
        CAPTURE(groups);
        CAPTURE(bias);
        Model model = layer({.op = op, .groups = groups, .bias = bias});
        CHECK(fold(model) == 1);
        CHECK(model.graph().nodes.size() == 1);
        // Nothing that the norm read is left.
        CHECK(model.weights() == 2);
        CHECK(model.graph().values.size() == 4);
      }
    }
  }
}

TEST_CASE("fold: weights that were rounded once are not rounded again") {
  for (const bool rounded : {false, true}) {
    CAPTURE(rounded);
    Model model = layer({.norms = 2});
    model.table["w"].dtype = DType::F16;
    SourceTensor& weight = *std::ranges::find(model.tensors, "w", &SourceTensor::name);
    if (rounded) {
      const std::vector<float> values = tensor_values(weight);
      std::vector<std::byte> bytes(values.size() * 2);
      encode_from_f32(DType::F16, values, bytes);
      weight.dtype = DType::F16;
      weight.read = [bytes] { return bytes; };
    }
    CHECK(fold(model) == 2);
    const std::string& name = model.graph().value(model.graph().nodes[0].inputs[1]).name;
    CHECK(tensor_named(model.tensors, name).stays_f32 == rounded);
  }
}

TEST_CASE("fold: pictures that a linear layer makes through a reshape") {
  const auto folded = [](const std::vector<std::int64_t>& sizes, bool used_twice = false) {
    Model model;
    GraphBuilder b("g");
    const ValueId x = b.input("x", DType::F32, {"batch", 4});
    const ValueId rows =
        b.add("linear", "layer", {x, model.add(b, numbers("w", {24, 4})), model.add(b, numbers("b", {24}))});
    const ValueId made = b.add("reshape", "pictures", {rows, b.integers("sizes", sizes)});
    b.output(model.norm(b, "norm", made, 6), "y");
    if (used_twice) b.output(b.add("neg", "other", {rows}), "z");
    model.graphs.push_back(std::move(b).finish());
    return fold(model);
  };
  CHECK(folded({0, 6, 2, 2}) == 1);
  CHECK(folded({0, 6, 4}) == 1);
  CHECK(folded({2, 6, 4}) == 0);
  CHECK(folded({0, 6, -1}) == 0);
  CHECK(folded({0, 6, 2, 2}, true) == 0);
}

TEST_CASE("fold: norms after each other become one layer") {
  for (const char* op : {"conv", "conv_transpose", "linear"}) {
    CAPTURE(std::string(op));
    Model model = layer({.op = op, .norms = 2});
    CHECK(fold(model) == 2);
    CHECK(model.graph().nodes.size() == 1);
    CHECK(model.weights() == 2);
  }
}

TEST_CASE("fold: a norm's parameter may be a constant, which goes away") {
  Model model = layer({.constant_shift = true});
  CHECK(fold(model) == 1);
  CHECK(count_ops(model.graph(), "constant") == 0);
  CHECK(model.graph().find("shift") == kNoValue);
}

TEST_CASE("fold: what others see or what would be rounded twice is left alone") {
  const auto unchanged = [](Model model) {
    const std::size_t nodes = model.graph().nodes.size();
    const std::size_t tensors = model.tensors.size();
    CHECK(fold(model) == 0);
    CHECK(model.graph().nodes.size() == nodes);
    CHECK(model.tensors.size() == tensors);
  };
  SUBCASE("the result is used twice") { unchanged(layer({.used_twice = true})); }
  SUBCASE("the result is an output") { unchanged(layer({.is_output = true})); }
  SUBCASE("the layer has an activation") { unchanged(layer({.activation = "relu"})); }
  SUBCASE("something is between") { unchanged(layer({.relu_before = true})); }
  SUBCASE("the weight is stored in blocks") {
    Model model = layer({});
    model.table["w"].dtype = DType::Q8_0;
    unchanged(std::move(model));
  }
  SUBCASE("a parameter is an input") {
    Model model = layer({});
    Graph& graph = model.graph();
    const ValueId mean = graph.find("norm0.mean");
    graph.value(mean).kind = ValueKind::Input;
    graph.inputs.push_back(mean);
    unchanged(std::move(model));
  }
}

TEST_CASE("fold: a linear layer gives the last dimension, a norm is of the second") {
  Model model;
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {"batch", 6, 4});
  const ValueId made = b.add("linear", "layer", {x, model.add(b, numbers("w", {6, 4}))});
  b.output(model.norm(b, "norm", made, 6), "y");
  model.graphs.push_back(std::move(b).finish());
  CHECK(fold(model) == 0);
}

TEST_CASE("fold: layers of several kinds, one after the other") {
  Model model;
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {"batch", 4, 5, 3});
  const ValueId made = b.add("conv", "conv", {x, model.add(b, numbers("w", {6, 4, 1, 1}))});
  const ValueId y = model.norm(b, "norm", made, 6);
  const ValueId rows = b.add("reshape", "rows", {y, b.integers("sizes", {0, -1})});
  const ValueId z = b.add("linear", "linear", {rows, model.add(b, numbers("v", {7, 90}))});
  b.output(model.norm(b, "norm2", z, 7), "y");
  model.graphs.push_back(std::move(b).finish());
  CHECK(fold(model) == 2);
}

TEST_CASE("fold: graphs with layers of the same names keep their own numbers, and share equal ones") {
  Model model;
  for (const char* norm : {"a", "b", "a"}) {
    GraphBuilder b("g" + std::to_string(model.graphs.size()));
    const ValueId x = b.input("x", DType::F32, {"batch", 4, 5, 3});
    const ValueId made = b.add("conv", "layer", {x, model.add(b, numbers("w", {6, 4, 1, 1}))});
    b.output(model.norm(b, "norm", made, 6, norm), "y");
    model.graphs.push_back(std::move(b).finish());
  }
  const std::size_t before = model.tensors.size();
  CHECK(fold(model) == 3);
  CHECK(model.tensors.size() == before + 4);
  CHECK(model.graphs[2].value(model.graphs[2].nodes[0].inputs[1]).name ==
        model.graphs[0].value(model.graphs[0].nodes[0].inputs[1]).name);
}

TEST_CASE("fold: weights that no layer can have are left for the plan to refuse") {
  for (const char* op : {"conv", "conv_transpose", "linear"}) {
    for (const Shape& shape : {Shape{}, Shape{6}, Shape{0, 0}, Shape{4, 3, 1, 1}}) {
      CAPTURE(std::string(op));
      CAPTURE(to_string(shape));
      Model model = layer({.op = op});
      const auto weight = std::ranges::find(model.tensors, "w", &SourceTensor::name);
      *weight = numbers("w", shape);
      model.table["w"].shape = shape;
      CHECK(fold_batch_norms(model.graphs, model.tensors, model.table) == 0);
    }
  }
}

namespace {

/// A weight [3, 3, 2] with its u and v in one of PyTorch's namings.
std::vector<SourceTensor> spectral(bool parametrized) {
  const std::string original = parametrized ? ".parametrizations.weight.original" : ".weight_orig";
  const std::string u = parametrized ? ".parametrizations.weight.0._u" : ".weight_u";
  const std::string v = parametrized ? ".parametrizations.weight.0._v" : ".weight_v";
  return {numbers("before", {2}), numbers("c" + original, {3, 3, 2}), numbers("c.bias", {3}), numbers("c" + u, {3}),
          numbers("c" + v, {6})};
}

std::string spectral_error(std::vector<SourceTensor> tensors, const std::set<std::string>& transposed = {}) {
  return error_of([&] { fold_spectral_norms(tensors, transposed); });
}

}  // namespace

TEST_CASE("fold: spectral norm divides by u' W v, with W of a transposed convolution turned") {
  for (const bool parametrized : {false, true}) {
    for (const bool transposed : {false, true}) {
      CAPTURE(parametrized);
      CAPTURE(transposed);
      std::vector<SourceTensor> tensors = spectral(parametrized);
      const std::vector<float> w = tensor_values(tensors[1]);
      const std::vector<float> u = tensor_values(tensors[3]);
      const std::vector<float> v = tensor_values(tensors[4]);
      // PyTorch: weight.permute(1, 0, 2) of a ConvTranspose, then reshape(rows, -1).
      double sigma = 0.0;
      for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t b = 0; b < 3; ++b) {
          for (std::size_t k = 0; k < 2; ++k) {
            sigma +=
                static_cast<double>(transposed ? u[b] * v[a * 2 + k] : u[a] * v[b * 2 + k]) * w[(a * 3 + b) * 2 + k];
          }
        }
      }
      CHECK(fold_spectral_norms(tensors, transposed ? std::set<std::string>{"c"} : std::set<std::string>{"b"}) == 1);
      REQUIRE(tensors.size() == 3);
      CHECK(tensors[0].name == "before");
      CHECK(tensors[1].name == "c.weight");
      CHECK(tensors[1].shape == Shape{3, 3, 2});
      CHECK(tensors[2].name == "c.bias");
      const std::vector<float> folded = tensor_values(tensors[1]);
      REQUIRE(folded.size() == w.size());
      for (std::size_t i = 0; i < w.size(); ++i) CHECK(folded[i] == doctest::Approx(w[i] / sigma).epsilon(1e-6));
    }
  }
}

TEST_CASE("fold: without spectral norm nothing changes") {
  std::vector<SourceTensor> tensors = {numbers("c.weight", {2, 2}), numbers("c.weight_u", {2})};
  CHECK(fold_spectral_norms(tensors, {}) == 0);
  CHECK(tensors.size() == 2);
}

TEST_CASE("fold: a spectral norm that is not whole is refused, naming the tensor") {
  for (const bool parametrized : {false, true}) {
    for (const std::size_t missing : {3, 4}) {
      std::vector<SourceTensor> tensors = spectral(parametrized);
      const std::string name = tensors[missing].name;
      tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(missing));
      CHECK(spectral_error(tensors) == "tensor '" + name + "' is missing: spectral norm");
    }
  }
  const auto with = [](std::size_t at, const SourceTensor& tensor) {
    std::vector<SourceTensor> tensors = spectral(false);
    tensors[at] = tensor;
    return tensors;
  };
  CHECK(spectral_error(with(3, numbers("c.weight_u", {4}))) ==
        "spectral norm of 'c.weight_orig' [3, 3, 2]: u is [4] and v [6], expected [3] and [6]");
  CHECK(contains(spectral_error(with(4, numbers("c.weight_v", {3, 2}))), "v [3, 2], expected [3] and [6]"));
  CHECK(contains(spectral_error(with(1, numbers("c.weight_orig", {}))), "'c.weight_orig' []: u is [3]"));
  CHECK(contains(spectral_error(with(1, numbers("c.weight_orig", {18})), {"c"}), "expected [0] and [0]"));
  CHECK(contains(spectral_error(with(3, make_f32_tensor("c.weight_u", {3}, std::vector<float>(3, 0.0f)))),
                 "'c.weight_orig': sigma is 0"));
  CHECK(contains(spectral_error(with(3, make_f32_tensor("c.weight_u", {3}, std::vector<float>(3, INFINITY)))),
                 "c.weight_u"));
  // No elements at all.
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{3, 3, 0}}) {
    std::vector<SourceTensor> tensors = {numbers("c.weight_orig", shape), numbers("c.weight_u", {3}),
                                         numbers("c.weight_v", {0})};
    CHECK(contains(spectral_error(tensors, {"c"}), "'c.weight_orig'"));
    CHECK(contains(spectral_error(tensors), "'c.weight_orig'"));
  }
}

}  // namespace heed::convert
