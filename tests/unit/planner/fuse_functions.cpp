// Functions of functions in one dispatch, and attention between the places of a picture.
#include <fmt/format.h>

#include "planner/make_plan.h"
#include "tests/unit/large_gpu.h"
#include "tests/unit/planner/fused.h"

namespace heed {

TEST_CASE("a sum or product of what a function makes goes into that function") {
  for (const std::string first : {"mul", "sub", "gate", "sigmoid", "leaky_relu"}) {
    for (const std::string then : {"add", "mul"}) {
      for (const bool behind : {false, true}) {
        CAPTURE(first + " " + then);
        GraphBuilder b("g");
        const ValueId x = b.input("x", DType::F32, {2, 3, 8});
        const ValueId z = b.input("z", DType::F32, {3, 1});
        const ValueId c = b.input("c", DType::F32, {1, 3, 8});
        std::vector<ValueId> operands = {x};
        if (first == "mul" || first == "sub" || first == "gate") operands.push_back(z);
        Attributes attributes;
        if (first == "gate") attributes.set("activation", "silu");
        if (first == "leaky_relu") attributes.set("alpha", 0.3);
        const ValueId made = b.add(first, "first", operands, attributes);
        b.output(b.add(then, "then", behind ? std::vector{c, made} : std::vector{made, c}), "y");
        CHECK(fused(std::move(b).finish()).nodes.size() == 1);
      }
    }
  }
}

TEST_CASE("functions whose result is broadcast, of other types, or wanted itself, stay apart") {
  const auto nodes = [](SymbolicShape x, SymbolicShape c, const char* first, bool shared) {
    GraphBuilder b("g");
    const ValueId made = b.add(first, "first", {b.input("x", DType::F32, std::move(x))});
    b.output(b.add("add", "then", {made, b.input("c", DType::F32, std::move(c))}), "y");
    if (shared) b.output(made, "made");
    return fused(std::move(b).finish()).nodes.size();
  };
  CHECK(nodes({3, 4}, {4}, "exp", false) == 1);
  CHECK(nodes({3, 4}, {4}, "exp", true) == 2);
  CHECK(nodes({3, 1}, {3, 4}, "exp", false) == 2);
  CHECK(nodes({4}, {3, 4}, "exp", false) == 2);
  GraphBuilder integers("g");
  const ValueId n = integers.input("n", DType::I32, {4});
  integers.output(integers.add("add", "then", {integers.add("abs", "first", {n}), n}), "y");
  CHECK(fused(std::move(integers).finish()).nodes.size() == 2);
  GraphBuilder three("g");  // and one of what two are already
  const ValueId x = three.input("x", DType::F32, {4});
  const ValueId two = three.add("mul", "second", {three.add("exp", "first", {x}), x});
  three.output(three.add("add", "third", {two, x}), "y");
  CHECK(fused(std::move(three).finish()).nodes.size() == 2);
}

TEST_CASE("functions that need more loops together than a kernel has stay apart") {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {2, 2, 2, 2, 2, 2, 2, 2});
  const ValueId made = b.add("mul", "first", {x, b.input("z", DType::F32, {2, 1, 2, 1, 2, 2, 2, 2})});
  b.output(b.add("add", "then", {made, b.input("c", DType::F32, {2, 2, 2, 2, 1, 2, 1, 2})}), "y");
  const Graph graph = fused(std::move(b).finish());
  CHECK(graph.nodes.size() == 2);
  CHECK(make_plan(graph, {}, {}, {}).dispatches.size() == 2);
}

TEST_CASE("a linear layer takes the activation behind a reshape of what it makes, and no sum goes lost") {
  GraphBuilder b("g");
  const ValueId rows = b.add("linear", "n", {b.input("x", DType::F32, {3, 8}), b.weight("w", DType::F32, {6, 8})});
  const ValueId pictures = b.add("reshape", "r", {rows, b.integers("sizes", {3, 2, 3})});
  const ValueId active = b.add("relu", "act", {pictures});
  b.output(b.add("add", "sum", {active, b.input("c", DType::F32, {3, 2, 3})}), "y");
  const Graph graph = fused(std::move(b).finish());
  CHECK(count_ops(graph, "relu") == 0);
  CHECK(count_ops(graph, "add") == 1);
}

namespace {

struct Attention {
  bool by_query = false;
  bool tail = true;
  bool weights = true;
  std::int64_t places = 16;
  const char* read_by = nullptr;  // an op that reads the weights besides
  std::int64_t axis = 0;          // of the softmax; 0: the keys
};

Graph attention_of(const Attention& a) {
  GraphBuilder b("g");
  const std::int64_t n = a.places;
  const ValueId x = b.input("x", DType::F32, {1, 6, 4, n / 4});
  const ValueId q = b.input("q", DType::F32, {1, 3, n}), k = b.input("k", DType::F32, {1, 3, n});
  const ValueId v = b.input("v", DType::F32, {1, 6, n});
  const ValueId scores = b.add("matmul", "scores", a.by_query ? std::vector{q, k} : std::vector{k, q},
                               {{"transpose_a", std::int64_t{1}}, {"alpha", 0.5}});
  const std::int64_t axis = a.axis != 0 ? a.axis : a.by_query ? 2 : 1;
  const ValueId weights = b.add("softmax", "weights", {scores}, {{"axis", axis}});
  Attributes sums;
  if (a.by_query) sums.set("transpose_b", std::int64_t{1});
  ValueId y = b.add("matmul", "sums", {v, weights}, sums);
  if (a.read_by != nullptr) b.output(b.add(a.read_by, "other", {weights}), "other");
  if (a.tail) {
    const ValueId o = b.add("reshape", "o", {y, b.integers("sizes", {1, 6, 4, n / 4})});
    y = b.add("add", "sum", {x, b.add("mul", "scaled", {o, b.weight("gamma", DType::F32, {1})})});
  }
  b.output(y, "y");
  if (a.weights) b.output(weights, "map");
  return std::move(b).finish();
}

}  // namespace

TEST_CASE("places of a picture that look at each other are one dispatch where dispatches are dear") {
  const DeviceCaps caps = testing::large_gpu();
  Tuning tuning;
  tuning.one_pass_convs = 2;
  const auto attentions = [&](const Attention& a, const Tuning& with) {
    const Graph graph = fused(attention_of(a), {}, 0, caps, with);
    return count_ops(graph, "spatial_attention") * 100 + count_ops(graph, "matmul") * 10 + count_ops(graph, "mul");
  };
  for (const bool by_query : {false, true}) {
    CHECK(attentions({.by_query = by_query}, tuning) == 100);
    CHECK(attentions({.by_query = by_query, .tail = false}, tuning) == 100);
    CHECK(attentions({.by_query = by_query, .weights = false}, tuning) == 100);
    CHECK(attentions({.by_query = by_query, .tail = false, .axis = by_query ? 1 : 2}, tuning) == 20);
    CHECK(attentions({.by_query = by_query, .tail = false, .read_by = "exp"}, tuning) == 20);
    CHECK(attentions({.by_query = by_query, .tail = false}, Tuning()) == 20);
  }
  // What does not fit a workgroup's memory stays as it is.
  Graph large = attention_of({.tail = false, .weights = false, .places = 1 << 16});
  fuse(large, {}, caps, tuning);
  CHECK(count_ops(large, "matmul") == 2);
}

}  // namespace heed
