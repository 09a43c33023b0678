// cases constant: what is known when a graph is planned, as an output and as an operand, and sizes that follow from it.
#include "ops/constant.h"

#include <fmt/format.h>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

std::vector<OpCase> cases_constant() {
  std::vector<OpCase> cases;
  {
    GraphBuilder b("outputs");
    b.output(b.add("constant", "c", {},
                   {{"dtype", "f32"}, {"shape", Shape{2, 3}}, {"values", std::vector<double>{1, -2, 0.5, 1024, 0, 7}}}),
             "real");
    b.output(b.integers("i", {1, -2, 70000}), "integers");
    const ValueId x = b.input("x", DType::F32, {"rows", 5});
    b.output(b.add("shape", "s", {x}), "shape");
    b.output(b.add("shape", "t", {x}, {{"start", std::int64_t{-1}}}), "last");
    b.output(b.add("size", "n", {x}), "size");
    cases.push_back({"as outputs", std::move(b).finish(), {{"rows", 3}}, {}});
  }
  {
    // x + its number of rows, and x as one row: sizes computed from sizes.
    GraphBuilder b("operands");
    const ValueId x = b.input("x", DType::F32, {"rows", 6});
    const ValueId rows = b.add("shape", "s", {x}, {{"end", std::int64_t{1}}});
    const ValueId real = b.add("cast", "real", {rows}, {{"to", "f32"}});
    b.output(b.add("add", "sum", {x, real}), "y");
    const ValueId twice = b.add("concat", "both", {rows, b.integers("minus", {-1, 2})}, {{"axis", std::int64_t{0}}});
    b.output(b.add("reshape", "r", {x, twice}), "z");
    cases.push_back({"as operands and sizes", std::move(b).finish(), {{"rows", 4}}, {}});
  }
  {
    GraphBuilder b("many");
    b.output(b.add("constant_of_shape", "c", {b.integers("s", {300, 400})}, {{"dtype", "f32"}, {"value", -1.5}}), "y");
    b.output(b.add("constant_of_shape", "d", {b.integers("t", {3, 2})}, {{"dtype", "i64"}, {"value", std::int64_t{7}}}),
             "z");
    cases.push_back({"more than is kept, and less", std::move(b).finish(), {}, {}});
  }
  {
    GraphBuilder b("range");
    const ValueId x = b.input("x", DType::F32, {"n"});
    const ValueId scalar = b.add("squeeze", "n", {b.add("shape", "s", {x})});
    const auto number = [&](const std::string& name, std::int64_t value) {
      return b.add("constant", name, {},
                   {{"dtype", "i64"}, {"shape", Shape{}}, {"integers", std::vector<std::int64_t>{value}}});
    };
    b.output(b.add("range", "r", {number("zero", 0), scalar, number("two", 2)}), "y");
    cases.push_back({"range", std::move(b).finish(), {{"n", 9}}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
