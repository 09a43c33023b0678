// Ops that move, choose, and reduce: shapes of their results, what they refuse, and what they give when it is known.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"

namespace heed {
namespace {

struct Input {
  SymbolicShape shape;
  DType dtype = DType::F32;
  std::vector<std::int64_t> integers = {};  // known, as i64
};

struct Found {
  std::string error;
  std::vector<TensorType> types;
};

/// The types of the outputs of a node "n", or why there are none.
Found infer(const std::string& op, const std::vector<Input>& inputs, const Attributes& attributes = {},
            std::size_t outputs = 1) {
  GraphBuilder b("g");
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = fmt::format("i{}", i);
    if (inputs[i].integers.empty()) {
      ids.push_back(b.input(name, inputs[i].dtype, inputs[i].shape));
      continue;
    }
    ids.push_back(b.add("constant", name, {},
                        {{"dtype", "i64"}, {"shape", bind(inputs[i].shape, {})}, {"integers", inputs[i].integers}}));
  }
  const std::vector<ValueId> made = b.add_many(op, "n", ids, attributes, outputs);
  Found found;
  try {
    const std::vector<TensorType> types = infer_all(std::move(b).finish(), {});
    for (const ValueId id : made) found.types.push_back(types[static_cast<std::size_t>(id)]);
  } catch (const Error& error) {
    found.error = error.what();
  }
  return found;
}

std::string message(const std::string& op, const std::vector<Input>& inputs, const Attributes& attributes = {}) {
  return infer(op, inputs, attributes).error;
}

Input ints(std::vector<std::int64_t> values) {
  return {{static_cast<std::int64_t>(values.size())}, DType::I64, std::move(values)};
}

Attributes axis(std::int64_t at) { return {{"axis", at}}; }

constexpr std::int64_t kOne = 1;

}  // namespace

TEST_CASE("shapes and types of what moves, chooses and reduces") {
  using enum DType;
  const auto gives = [](const std::string& op, const std::vector<Input>& inputs, const Attributes& attributes,
                        const std::vector<TensorType>& types) {
    const Found found = infer(op, inputs, attributes, types.size());
    CHECK(found.error == "");
    CHECK_MESSAGE(found.types == types, op);
  };
  gives("where", {{{3, 1}, Bool}, {{4}, I64}, {{2, 1, 1}, I64}}, {}, {{I64, {2, 3, 4}}});
  gives("where", {{{2}, Bool}, {{2}, F16}, {{2}, F32}}, {}, {{F32, {2}}});
  gives("gather", {{{3, 4, 5}, U8}, {{2, 2}, I64}}, axis(-2), {{U8, {3, 2, 2, 5}}});
  gives("gather_elements", {{{3, 4}}, {{2, 4}, I64}}, {}, {{F32, {2, 4}}});
  gives("gather_nd", {{{2, 3, 4}}, {{2, 5, 1}, I64}}, {{"batch_dims", kOne}}, {{F32, {2, 5, 4}}});
  gives("scatter_nd", {{{4, 5}, I32}, {{3, 1}, I64}, {{3, 5}, I32}}, {}, {{I32, {4, 5}}});
  gives("one_hot", {{{2, 3}, I64}, ints({7}), {{2}, Bool}}, axis(1), {{Bool, {2, 7, 3}}});
  gives("reduce", {{{2, 3, 4}}, ints({-1, 0})}, {{"kind", "max"}}, {{F32, {1, 3, 1}}});
  gives("reduce", {{{2, 3, 4}, I8}}, {{"kind", "sum"}, {"keep_dims", std::int64_t{0}}}, {{I8, {}}});
  gives("arg_max", {{{2, 3}}}, axis(1), {{I64, {2, 1}}});
  gives("top_k", {{{2, 9}, I32}, ints({4})}, {}, {{I32, {2, 4}}, {I64, {2, 4}}});
  gives("matmul", {{{5, 1, 2, 3}}, {{4, 6, 3}}}, {{"transpose_b", kOne}}, {{F32, {5, 4, 2, 6}}});
  gives("matmul", {{{3}}, {{4, 3, 6}}}, {}, {{F32, {4, 6}}});
  gives("matmul", {{{3}}, {{3}}}, {}, {{F32, {}}});
  gives("einsum", {{{2, 5, 3}}, {{3, 4}}}, {{"equation", "...k, kd"}}, {{F32, {2, 5, 4}}});
  gives("lstm", {{{7, 2, 3}}, {{2, 20, 3}}, {{2, 20, 5}}}, {{"direction", "bidirectional"}},
        {{F32, {7, 2, 2, 5}}, {F32, {2, 2, 5}}, {F32, {2, 2, 5}}});
  gives("gru", {{{2, 7, 3}}, {{1, 15, 3}}, {{1, 15, 5}}}, {{"layout", kOne}}, {{F32, {2, 7, 1, 5}}, {F32, {2, 1, 5}}});
}

TEST_CASE("what does not fit ops that move, choose and reduce is refused") {
  using enum DType;
  CHECK(message("where", {{{2}}, {{2}}, {{2}}}) == "where 'n': the condition is f32, expected booleans");
  CHECK(message("where", {{{2}, Bool}, {{2}}, {{2}, I32}}) ==
        "where 'n': chooses between f32 and i32, expected the same type");
  CHECK(message("where", {{{2}, Bool}, {{3}}, {{2}}}) == "where 'n': [2] and [3] do not broadcast");
  CHECK(message("gather", {{{3}}, {{2}}}) == "gather 'n': indices are f32, expected integers");
  CHECK(message("gather", {{{3}}, {{2}, I64}}, axis(1)) == "gather 'n': axis 1 is outside [3]");
  CHECK(message("gather_elements", {{{3, 4}}, {{3, 5}, I64}}) ==
        "gather_elements 'n': indices are [3, 5], which do not fit [3, 4]");
  CHECK(message("gather_nd", {{{3, 4}}, {{2, 3}, I64}}) ==
        "gather_nd 'n': 3 indices for the dimensions of [3, 4] after the first 0");
  CHECK(message("gather_nd", {{{3, 4}}, {{2, 1}, I64}}, {{"batch_dims", kOne}}) ==
        "gather_nd 'n': [3, 4] and [2, 1] differ in the first 1 dimensions");
  CHECK(message("scatter_nd", {{{4, 5}}, {{3, 1}, I64}, {{3, 4}}}) ==
        "scatter_nd 'n': updates is [3, 4], expected [3, 5]");
  CHECK(message("scatter_elements", {{{4}}, {{3}, I64}, {{3}}}, {{"reduction", "xor"}}) ==
        "scatter_elements 'n': unknown reduction 'xor'");
  CHECK(message("one_hot", {{{3}, I64}, {{}, I64}, {{2}}}) ==
        "one_hot 'n': depth (input 1) decides on sizes, but is only known when the graph runs");
  CHECK(message("reduce", {{{3}}}, {{"kind", "median"}}) == "reduce 'n': unknown kind 'median'");
  CHECK(message("reduce", {{{3}}, ints({1})}, {{"kind", "sum"}}) == "reduce 'n': axis 1 is outside [3]");
  CHECK(message("reduce", {{{3}, I32}}, {{"kind", "l2"}}) == "reduce 'n': x is i32, but the op computes with floats");
  CHECK(message("arg_max", {{{2, std::int64_t{0}}}}, axis(1)) ==
        "arg_max 'n': [2, 0] has no elements along dimension 1");
  CHECK(message("cumsum", {{{3}}, ints({0, 0})}) == "cumsum 'n': has 2 axes, expected one");
  CHECK(message("top_k", {{{3}}, ints({4})}) == "top_k 'n': k is 4, of [3] along dimension 0");
  CHECK(message("triangle", {{{3}}}) == "triangle 'n': x is [3], expected at least 2 dimensions");
  CHECK(message("matmul", {{{2, 3}}, {{4, 3}}}) == "matmul 'n': [2, 3] and [4, 3] do not multiply");
  CHECK(message("matmul", {{{2, 3, 4}}, {{3, 4, 5}}}) == "matmul 'n': [2, 3, 4] and [3, 4, 5] do not multiply");
  CHECK(message("matmul", {{{}}, {{3}}}) == "matmul 'n': multiplies [] and [3], of which one is a scalar");
  CHECK(message("einsum", {{{2, 3}}}, {{"equation", "ij,jk"}}) ==
        "einsum 'n': the equation 'ij,jk' has 2 operands, the node 1");
  CHECK(message("einsum", {{{2, 3}}}, {{"equation", "ijk->i"}}) == "einsum 'n': operand 0 of 'ijk->i' is [2, 3]");
  CHECK(message("einsum", {{{2, 3}}, {{4, 5}}}, {{"equation", "ij,jk"}}) ==
        "einsum 'n': dimension 0 of [4, 5] is 4 in 'ij,jk', expected 3");
  CHECK(message("einsum", {{{2, 3}}}, {{"equation", "ij->k"}}) ==
        "einsum 'n': the operands of 'ij->k' lack a letter of the result");
  CHECK(message("einsum", {{{2, 3}}}, {{"equation", "ij->ii"}}) ==
        "einsum 'n': the result of 'ij->ii' has a letter twice");
  CHECK(message("einsum", {{{2, 3}}}, {{"equation", "i...->i"}}) == "einsum 'n': the result lacks the operands' '...'");
  CHECK(message("einsum", {{{2, 3}}}, {{"equation", "i1"}}) == "einsum 'n': the equation has an unexpected '1'");
  const std::vector<Input> layer = {{{7, 2, 3}}, {{1, 20, 3}}, {{1, 20, 5}}};
  CHECK(message("lstm", layer, {{"direction", "sideways"}}) ==
        "lstm 'n': direction 'sideways' is none of forward, reverse and bidirectional");
  CHECK(message("lstm", layer, {{"activations", "Sigmoid,Tanh"}}) == "lstm 'n': has 2 activations, expected 3");
  CHECK(message("lstm", layer, {{"activations", "Sigmoid,Tanh,Affine"}}) ==
        "lstm 'n': unknown activation 'Affine' of a recurrent layer");
  CHECK(message("lstm", layer, {{"hidden_size", std::int64_t{6}}}) ==
        "lstm 'n': hidden_size is 6, but r is [1, 20, 5]");
  CHECK(message("gru", layer) == "gru 'n': w is [1, 20, 3], expected [1, 15, 3]");
  CHECK(message("lstm", {{{std::int64_t{0}, 2, 3}}, {{1, 20, 3}}, {{1, 20, 5}}}) == "lstm 'n': x has no steps");
}

TEST_CASE("sizes are computed when a graph is planned") {
  GraphBuilder b("g");
  const ValueId shape = b.add("shape", "shape", {b.input("x", DType::F32, {2, 3, 5})});
  const ValueId tail = b.add("gather", "tail", {shape, b.integers("places", {1, -1})});
  const ValueId product = b.add("reduce", "product", {tail}, {{"kind", "prod"}});
  const ValueId chosen = b.add(
      "where", "chosen", {b.add("equal", "is_two", {shape, b.integers("two", {2})}), b.integers("ones", {1}), shape});
  const ValueId sums = b.add("cumsum", "sums", {shape, b.integers("axis", {0})});
  KnownValues known;
  infer_all(std::move(b).finish(), {}, &known);
  CHECK(known.at(product).data == std::vector<double>{15});
  CHECK(known.at(chosen).data == std::vector<double>{1, 3, 5});
  CHECK(known.at(sums).data == std::vector<double>{2, 5, 10});
}

}  // namespace heed
