// cases rows: tails that share their input's memory and tails that copy, and positions.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

/// The last rows of x; of neg(x) with `inside`, and neg() of the result again, so that memory may be shared.
OpCase tail(std::int64_t tokens, std::int64_t rows, std::int64_t width, bool inside) {
  GraphBuilder b("tail");
  ValueId x = b.input("x", DType::F32, {"tokens", width});
  if (inside) x = b.add("neg", "before", {x});
  ValueId y = b.add("tail", "tail", {x}, {{"rows", "rows"}});
  if (inside) {
    // The whole and its tail are read after each other.
    b.output(b.add("exp", "whole", {x}), "whole");
    y = b.add("neg", "after", {y});
  }
  b.output(y, "y");
  return {fmt::format("tail {} of {}x{}{}", rows, tokens, width, inside ? ", inside" : ""),
          std::move(b).finish(),
          {{"tokens", tokens}, {"rows", rows}},
          {}};
}

}  // namespace

std::vector<OpCase> cases_rows() {
  std::vector<OpCase> cases;
  for (const bool inside : {false, true}) {
    cases.push_back(tail(5, 1, 64, inside));  // starts at a multiple of 256 bytes
    cases.push_back(tail(5, 1, 4, inside));   // at a multiple of 16
    cases.push_back(tail(5, 1, 3, inside));   // at neither
    cases.push_back(tail(5, 4, 3, inside));
    cases.push_back(tail(1, 1, 288, inside));
    cases.push_back(tail(7, 7, 5, inside));   // all of it
    cases.push_back(tail(64, 0, 1, inside));  // nothing, from the end
    cases.push_back(tail(3, 0, 5, inside));
    cases.push_back(tail(65, 1, 1, inside));  // the padding of the last row ends where the tensor does
    cases.push_back(tail(300, 299, 40, inside));
  }
  cases.push_back(tail(23, 20, 7, false));
  cases.back().name += ", special values";
  cases.back().values["x"] = special_values_for({23, 7});
  {
    // A tail that goes into a product, as logits are made.
    GraphBuilder b("logits");
    const ValueId x = b.input("x", DType::F32, {"tokens", 64});
    const ValueId normed = b.add("rms_norm", "norm", {x, b.weight("norm", DType::F32, {64})}, {{"eps", 1e-5}});
    const ValueId last = b.add("tail", "last", {normed}, {{"rows", "rows"}});
    b.output(b.add("linear", "head", {last, b.weight("w", DType::F16, {35, 64})}), "logits");
    cases.push_back({"tail 1 of 6x64 into a product", std::move(b).finish(), {{"tokens", 6}, {"rows", 1}}, {}});
  }
  {
    // A tail of a tail, and integers.
    GraphBuilder b("tails");
    const ValueId ids = b.input("ids", DType::I32, {6});
    b.output(b.add("tail", "ids_tail", {ids}, {{"rows", "rows"}}), "last_ids");
    const ValueId x = b.add("neg", "before", {b.input("x", DType::F32, {6, 64})});
    const ValueId most = b.add("tail", "most", {x}, {{"rows", "more"}});
    const ValueId last = b.add("tail", "last", {most}, {{"rows", "rows"}});
    b.output(b.add("neg", "after", {last}), "y");
    cases.push_back({"tail of a tail, and of integers",
                     std::move(b).finish(),
                     {{"rows", 2}, {"more", 4}},
                     {{"ids", {1.0, -2.0, 3.0, 2147483647.0, -2147483648.0, 7.0}}}});
  }
  for (const std::int64_t rows : {0, 1, 5, 200}) {
    GraphBuilder b("positions");
    const ValueId position = b.state("position", DType::I32, {1});
    b.output(b.add("positions", "positions", {position}, {{"rows", "tokens"}}), "y");
    cases.push_back(
        {fmt::format("{} positions", rows), std::move(b).finish(), {{"tokens", rows}}, {{"position", {4090.0}}}});
  }
  {
    GraphBuilder b("from zero");
    b.output(b.add("positions", "positions", {}, {{"rows", "tokens"}}), "y");
    cases.push_back({"positions from 0", b.graph(), {{"tokens", 7}}, {}});
    cases.push_back(
        {"positions from 0, more than are computed beforehand", std::move(b).finish(), {{"tokens", 70000}}, {}});
  }
  {
    GraphBuilder b("each");
    const ValueId position = b.state("position", DType::I32, {"tokens"});
    b.output(b.add("positions", "positions", {position}, {{"rows", "tokens"}}), "y");
    cases.push_back(
        {"positions of each row", std::move(b).finish(), {{"tokens", 5}}, {{"position", {-1, -1, 0, 4090, 3}}}});
  }
  {
    // Learned positions, as GPT-2 has them.
    GraphBuilder b("learned");
    const ValueId at = b.add("positions", "positions", {b.state("position", DType::I32, {1})}, {{"rows", "tokens"}});
    b.output(b.add("embedding", "embed", {at, b.weight("table", DType::F32, {16, 12})}), "y");
    cases.push_back({"positions into a table", std::move(b).finish(), {{"tokens", 4}}, {{"position", {12.0}}}});
  }
  return cases;
}

}  // namespace heed::op_cases
