// The reference against numbers of PyTorch 2 in float64 (functional API, formulas of Hugging Face's and Meta's Llama
// for rotary). Inputs are sin(0.7 i), so that they need no files.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "heed/error.h"
#include "ops/activation.h"
#include "reference/evaluate.h"

namespace heed {
namespace {

std::vector<double> waves(std::size_t count, double scale = 1.0, double shift = 0.0) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = scale * std::sin(0.7 * static_cast<double>(i)) + shift;
  return values;
}

using Values = std::map<std::string, std::vector<double>>;

struct Run {
  Values outputs;
  Values tensors;  // inputs and states afterwards
};

Run run(GraphBuilder builder, const Values& values, const Bindings& dims = {}) {
  const Graph graph = std::move(builder).finish();
  std::map<std::string, HostTensor> tensors;
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::Input || value.kind == ValueKind::State)
      tensors[value.name].data = values.at(value.name);
  }
  Run result;
  const auto weights = [&](const std::string& name, std::size_t) { return values.at(name); };
  for (auto& [name, tensor] : evaluate(graph, dims, weights, tensors)) result.outputs[name] = tensor.data;
  for (auto& [name, tensor] : tensors) result.tensors[name] = tensor.data;
  return result;
}

void check_close(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance = 1e-11) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(actual[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i])));
  }
}

std::vector<double> linear(const std::string& activation) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {2, 3});
  b.output(b.add("linear", "l", {x, b.weight("w", DType::F32, {4, 3}), b.weight("b", DType::F32, {4})},
                 {{"activation", activation}}),
           "y");
  return run(std::move(b), {{"x", waves(6)}, {"w", waves(12, 1.5)}, {"b", waves(4)}}).outputs.at("y");
}

std::vector<double> attention(Attributes attributes, bool mask) {
  GraphBuilder b("g");
  const ValueId q = b.input("q", DType::F32, {3, 8});
  const ValueId k = b.input("k", DType::F32, {3, 4});
  const ValueId v = b.input("v", DType::F32, {3, 2});
  attributes.set("heads", std::int64_t{2});
  attributes.set("kv_heads", std::int64_t{1});
  b.output(b.add("attention", "a", {q, k, v, mask ? b.input("mask", DType::F32, {3, 3}) : kNoValue}, attributes), "y");
  return run(std::move(b), {{"q", waves(24)}, {"k", waves(12, 1.3)}, {"v", waves(6, 1.0, -0.5)}, {"mask", waves(9)}})
      .outputs.at("y");
}

std::vector<double> rotary(const std::string& layout) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {2, 8});
  b.output(b.add("rotary", "r", {x, b.state("position", DType::I32, {1})},
                 {{"heads", std::int64_t{2}}, {"layout", layout}, {"base", 10000.0}}),
           "y");
  return run(std::move(b), {{"x", waves(16)}, {"position", {5}}}).outputs.at("y");
}

}  // namespace

TEST_CASE("linear agrees with PyTorch") {
  check_close(linear("gelu"), {2.04010284751, 0.302644393642, -0.165816613772, 2.95418859903, -0.0823603069187,
                               2.07838883918, -0.115846776528, 0.525899360456});
  check_close(linear("gelu_tanh"), {2.04026936293, 0.302632756223, -0.165932979854, 2.95461513832, -0.0823607685701,
                                    2.07858566121, -0.115849431085, 0.525845288761});
  check_close(linear("silu"), {1.84811875935, 0.274362013787, -0.259836124398, 2.81281972916, -0.0879475285806,
                               1.88711995936, -0.129277913849, 0.463746782274});
}

TEST_CASE("norms and softmax agree with PyTorch") {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {2, 3});
  const ValueId weight = b.weight("w", DType::F32, {3});
  b.output(b.add("layer_norm", "l", {x, weight, b.weight("b", DType::F32, {3})}, {{"eps", 1e-3}}), "layer");
  b.output(b.add("rms_norm", "r", {x, weight}, {{"eps", 1e-3}}), "rms");
  b.output(b.add("softmax", "s", {x}, {{"axis", std::int64_t{0}}}), "soft");
  const Values y = run(std::move(b), {{"x", waves(6)}, {"w", waves(3, 1.0, 1.0)}, {"b", waves(3)}}).outputs;
  check_close(y.at("layer"),
              {-1.32551697888, 1.04941604849, 3.12790602098, 1.16612944976, 0.817607460677, -1.53921582005});
  check_close(y.at("rms"), {0, 1.55661609811, 2.87529843401, 1.50769146682, 0.962022197413, -1.21644939867});
  check_close(y.at("soft"),
              {0.296669253396, 0.576697188742, 0.791869770124, 0.703330746604, 0.423302811258, 0.208130229876});
}

TEST_CASE("attention agrees with PyTorch") {
  check_close(attention({{"causal", std::int64_t{1}}}, false),
              {-0.5, 0.144217687238, -0.5, 0.144217687238, -0.395034506568, 0.167543656069, 0.302336537591,
               0.32251701644, -0.164412404087, -0.39122298812, -0.0850140155414, 0.0295927471287});
  check_close(attention({{"scale", 0.3}}, true),
              {-0.1882258811, -0.430384775976, 0.258578386834, 0.0688050097713, -0.317180231127, -0.0531240827642,
               0.0594142990717, 0.178487328011, -0.148776693623, -0.362795478924, -0.0982977131628, -0.0885191596892});
}

TEST_CASE("rotary agrees with Hugging Face's and Meta's Llama") {
  check_close(rotary("half"),
              {0.944971667546, 0.600270095828, 0.279534824073, 0.894328044554, -0.740751694598, -0.30124267457,
               -0.568461357309, -0.998756656998, -0.422551230848, -0.0424708818371, 0.807204692935, 0.98739829344,
               0.718160530071, 0.37127423984, -0.590670550249, -0.858978366315});
  check_close(rotary("interleaved"),
              {0.61775597846, 0.182740197076, 0.94107568738, 0.911382538579, -0.241351081399, -0.420732205899,
               -0.821384364225, -1.02478543575, -0.601425404258, 0.192529889765, 0.596549851192, 1.02578561327,
               0.909721506441, 0.0676005863829, -0.313069582443, -0.900088339463});
}

TEST_CASE("attention with a cache equals attention over everything at once") {
  constexpr std::int64_t kTokens = 5;
  const auto build = [](bool cache) {
    GraphBuilder b("g");
    const ValueId q = b.input("q", DType::F32, {"tokens", 8});
    const ValueId k = b.input("k", DType::F32, {"tokens", 4});
    const ValueId v = b.input("v", DType::F32, {"tokens", 6});
    std::vector<ValueId> inputs = {q, k, v};
    if (cache) {
      inputs.insert(inputs.end(), {kNoValue, b.state("ck", DType::F32, {8, 4}), b.state("cv", DType::F32, {8, 6}),
                                   b.state("position", DType::I32, {1})});
    }
    b.output(b.add("attention", "a", inputs,
                   {{"heads", std::int64_t{4}},
                    {"kv_heads", std::int64_t{2}},
                    {"causal", std::int64_t{1}},
                    {"window", std::int64_t{3}},
                    {"softcap", 2.0}}),
             "y");
    return b;
  };
  const std::vector<double> q = waves(kTokens * 8, 2.0);
  const std::vector<double> k = waves(kTokens * 4, 3.0, 0.1);
  const std::vector<double> v = waves(kTokens * 6, 1.0, 0.2);
  const std::vector<double> whole =
      run(build(false), {{"q", q}, {"k", k}, {"v", v}}, {{"tokens", kTokens}}).outputs.at("y");

  // Two tokens, then one at a time; what lies behind in the cache is NaN.
  Values states = {{"ck", std::vector<double>(32, NAN)}, {"cv", std::vector<double>(48, NAN)}};
  std::vector<double> pieces;
  const auto rows = [](const std::vector<double>& from, std::int64_t begin, std::int64_t count, std::int64_t width) {
    return std::vector<double>(from.begin() + begin * width, from.begin() + (begin + count) * width);
  };
  for (std::int64_t at = 0; at < kTokens;) {
    const std::int64_t count = at == 0 ? 2 : 1;
    states["q"] = rows(q, at, count, 8);
    states["k"] = rows(k, at, count, 4);
    states["v"] = rows(v, at, count, 6);
    states["position"] = {static_cast<double>(at)};
    const Run step = run(build(true), states, {{"tokens", count}});
    pieces.insert(pieces.end(), step.outputs.at("y").begin(), step.outputs.at("y").end());
    states["ck"] = step.tensors.at("ck");
    states["cv"] = step.tensors.at("cv");
    at += count;
  }
  check_close(pieces, whole, 1e-14);
}

TEST_CASE("a query without keys yields zeros, and its weights too") {
  GraphBuilder b("g");
  const ValueId q = b.input("q", DType::F32, {2, 2});
  const auto y = b.add_many(
      "attention", "a",
      {q, b.input("k", DType::F32, {2, 2}), b.input("v", DType::F32, {2, 2}), b.input("mask", DType::F32, {2, 2})},
      {{"heads", std::int64_t{1}}}, 2);
  b.output(y[0], "y");
  b.output(y[1], "weights");
  const Values out =
      run(std::move(b),
          {{"q", {1, 2, 3, 4}}, {"k", {1, 0, 0, 1}}, {"v", {5, 6, 7, 8}}, {"mask", {-INFINITY, -1e38, 0, -INFINITY}}})
          .outputs;
  CHECK(out.at("y") == std::vector<double>{0, 0, 5, 6});
  CHECK(out.at("weights") == std::vector<double>{0, 0, 1, 0});
}

TEST_CASE("small ops by hand") {
  GraphBuilder b("g");
  const ValueId ids = b.input("ids", DType::I32, {4});
  const ValueId table = b.weight("table", DType::F32, {2, 2});
  const ValueId rows = b.add("embedding", "e", {ids, table}, {{"scale", 2.0}});
  b.output(rows, "rows");
  b.output(b.add("tail", "t", {rows}, {{"rows", "last"}}), "tail");
  b.output(b.add("positions", "p", {b.state("position", DType::I32, {1})}, {{"rows", "last"}}), "positions");
  const ValueId column = b.input("column", DType::F32, {2, 1});
  const ValueId row = b.input("row", DType::F32, {3});
  b.output(b.add("sub", "s", {column, row}), "sub");
  b.output(b.add("max", "m", {column, row}), "max");
  b.output(b.add("gate", "g", {column, row}, {{"activation", "relu"}}), "gate");
  const Values y = run(std::move(b),
                       {{"ids", {1, 0, 0, 0}},
                        {"table", {1, 2, 3, 4}},
                        {"position", {7}},
                        {"column", {10, -20}},
                        {"row", {1, 2, 3}}},
                       {{"last", 2}})
                       .outputs;
  CHECK(y.at("rows") == std::vector<double>{6, 8, 2, 4, 2, 4, 2, 4});
  CHECK(y.at("tail") == std::vector<double>{2, 4, 2, 4});
  CHECK(y.at("positions") == std::vector<double>{7, 8});
  CHECK(y.at("sub") == std::vector<double>{9, 8, 7, -21, -22, -23});
  CHECK(y.at("max") == std::vector<double>{10, 10, 10, 1, 2, 3});
  CHECK(y.at("gate") == std::vector<double>{10, 20, 30, 0, 0, 0});
}

TEST_CASE("positions that are none, and histories that are full, are refused by node") {
  const auto said = [](const std::function<ValueId(GraphBuilder&, ValueId)>& add, double position) -> std::string {
    GraphBuilder b("g");
    b.output(add(b, b.state("position", DType::I32, {1})), "y");
    const Values values = {
        {"position", {position}}, {"x", waves(16)},   {"ck", waves(16)},         {"cv", waves(16)},
        {"logits", {1, 2, 3}},    {"tokens", {0, 0}}, {"history", {0, 0, 0, 0}}, {"sampler", std::vector<double>(16)}};
    try {
      run(std::move(b), values, {{"rows", 2}});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto attention = [](GraphBuilder& b, ValueId position) {
    const ValueId x = b.input("x", DType::F32, {4, 4});
    return b.add("attention", "n",
                 {x, x, x, kNoValue, b.state("ck", DType::F32, {4, 4}), b.state("cv", DType::F32, {4, 4}), position},
                 {{"heads", std::int64_t{2}}});
  };
  const auto rotary = [](GraphBuilder& b, ValueId position) {
    return b.add("rotary", "n", {b.input("x", DType::F32, {4, 4}), position},
                 {{"heads", std::int64_t{1}}, {"layout", "half"}, {"base", 100.0}});
  };
  const auto positions = [](GraphBuilder& b, ValueId position) {
    return b.add("positions", "n", {position}, {{"rows", "rows"}});
  };
  const auto sample = [](GraphBuilder& b, ValueId position) {
    return b.add("sample", "n",
                 {b.input("logits", DType::F32, {1, 3}), b.state("tokens", DType::I32, {2}), position,
                  b.state("history", DType::I32, {4}), b.state("sampler", DType::I32, {16})},
                 {{"rows", "rows"}, {"penalty", std::int64_t{1}}, {"greedy", std::int64_t{1}}});
  };
  const std::pair<const char*, std::function<ValueId(GraphBuilder&, ValueId)>> ops[] = {
      {"attention", attention}, {"rotary", rotary}, {"positions", positions}, {"sample", sample}};
  for (const auto& [op, add] : ops) {
    CHECK(said(add, 0) == "");
    for (const char* position : {"-1", "-2147483648", "2147483648", "nan"}) {
      CHECK(said(add, std::stod(position)) ==
            fmt::format("{} 'n': position {} is outside 0 to 2^31 - 1", op, position));
    }
  }
  CHECK(said(attention, 1) == "attention 'n': position 1 (element 0) is outside 0 to 0");
  CHECK(said(sample, 2) == "");
  CHECK(said(sample, 3) == "sample 'n': 5 tokens do not fit a history of 4");
}

TEST_CASE("indices that name no place are refused by node") {
  const auto said = [](const std::string& op, const Shape& i_shape, std::vector<double> indices,
                       Attributes attributes) {
    GraphBuilder b("g");
    const SymbolicShape shape(i_shape.begin(), i_shape.end());
    std::vector<ValueId> inputs = {b.input("x", DType::F32, {4, 4}), b.input("i", DType::I32, shape)};
    if (op.starts_with("scatter")) inputs.push_back(b.input("updates", DType::F32, {op == "scatter_nd" ? 1 : 2, 4}));
    if (op == "embedding") std::swap(inputs[0], inputs[1]);
    b.output(b.add(op, "n", inputs, attributes), "y");
    try {
      run(std::move(b), {{"x", waves(16)}, {"i", indices}, {"updates", waves(op == "scatter_nd" ? 4 : 8)}}, {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(said("gather", {2}, {3, -4}, {}).empty());
  CHECK(said("gather", {2}, {3, -5}, {}) == "gather 'n': index -5 (element 1) is outside -4 to 3");
  CHECK(said("gather_nd", {1, 2}, {0, 4}, {}) == "gather_nd 'n': index 4 (element 1) is outside -4 to 3");
  CHECK(said("gather_elements", {1, 2}, {0, 4}, {}) == "gather_elements 'n': index 4 (element 1) is outside -4 to 3");
  CHECK(said("scatter_nd", {1, 1}, {4}, {}) == "scatter_nd 'n': index 4 (element 0) is outside -4 to 3");
  CHECK(said("scatter_elements", {2, 4}, {0, 1, 2, 3, 0, 1, 2, -5}, {}) ==
        "scatter_elements 'n': index -5 (element 7) is outside -4 to 3");
  CHECK(said("embedding", {2}, {0, -1}, {}) == "embedding 'n': id -1 (element 1) is outside 0 to 3");
}

TEST_CASE("activations at their ends") {
  using ops::activate;
  using ops::Activation;
  CHECK(activate(Activation::Silu, -1e4) == 0.0);
  CHECK(activate(Activation::Silu, 1e4) == 1e4);
  CHECK(activate(Activation::Sigmoid, -1e4) == 0.0);
  CHECK(activate(Activation::Gelu, -40.0) == 0.0);
  CHECK(activate(Activation::GeluTanh, 40.0) == 40.0);
  CHECK(activate(Activation::Relu, -1.0) == 0.0);
  CHECK_THROWS_WITH_AS(ops::activation_named("swish"), doctest::Contains("known: none, silu"), Error);
}

TEST_CASE("the evaluation says what is missing or of the wrong size") {
  GraphBuilder b("tiny");
  const ValueId x = b.input("x", DType::F32, {2, 3});
  b.output(b.add("linear", "l", {x, b.weight("w", DType::F32, {4, 3})}), "y");
  const Graph graph = std::move(b).finish();
  std::map<std::string, HostTensor> tensors;
  const auto weights = [](const std::string&, std::size_t count) { return std::vector<double>(count - 1); };
  CHECK_THROWS_WITH_AS(evaluate(graph, {}, weights, tensors), "graph 'tiny': 'x' is not given", Error);
  tensors["x"].data.resize(5);
  CHECK_THROWS_WITH_AS(evaluate(graph, {}, weights, tensors), "graph 'tiny': 'x' has 5 elements, expected 6 for [2, 3]",
                       Error);
  tensors["x"].data.resize(6);
  CHECK_THROWS_WITH_AS(evaluate(graph, {}, weights, tensors),
                       "graph 'tiny': weight 'w' has 11 elements, expected 12 for [4, 3]", Error);
}

TEST_CASE("the observer sees every node in order") {
  GraphBuilder b("g");
  ValueId x = b.input("x", DType::F32, {2});
  for (const char* name : {"one", "two", "three"}) x = b.add("add", name, {x, x});
  b.output(x, "y");
  const Graph graph = std::move(b).finish();
  std::map<std::string, HostTensor> tensors;
  tensors["x"].data = {1.0, -2.0};
  std::vector<std::string> names;
  std::vector<double> firsts;
  evaluate(graph, {}, nullptr, tensors, [&](const ops::ReferenceContext& context) {
    names.push_back(context.node.name);
    firsts.push_back(context.out(0).at(0));
    context.out(0)[0] += 1.0;  // as later nodes see it
  });
  CHECK(names == std::vector<std::string>{"one", "two", "three"});
  CHECK(firsts == std::vector<double>{2.0, 6.0, 14.0});
}

}  // namespace heed
