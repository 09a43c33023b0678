// cases expert_linear: products with chosen experts with every weight type, number of rows, of choices and of experts;
// rows that share their x and rows that have their own; what fusion makes of gates, norms and activations; stacks that
// limits cut into pieces within and between experts.
#include <fmt/format.h>

#include "graph/integer.h"
#include "graph/quantised.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

struct Experts {
  DType dtype = DType::F32;
  std::int64_t rows = 1;
  std::int64_t experts = 5;
  std::int64_t chosen = 2;
  std::int64_t columns = 64;
  std::int64_t n = 33;
  bool shares = true;  // the choices of a row have one x
  bool norm = false;
  std::string gate = "";
  std::string activation = "none";
  std::int64_t only = -1;  // all rows go to this expert
};

std::int64_t whole_blocks_of(DType dtype, std::int64_t columns) {
  const std::int64_t block = dtype_info(dtype).block_elements;
  return ceil_div(columns, block) * block;
}

OpCase expert_linear(Experts c) {
  c.columns = whole_blocks_of(c.dtype, c.columns);
  GraphBuilder b("expert_linear");
  ValueId x = c.shares ? b.input("x", DType::F32, {c.rows, c.columns})
                       : b.input("x", DType::F32, {c.rows, c.chosen, c.columns});
  const ValueId ids = b.input("ids", DType::I32, {c.rows, c.chosen});
  if (c.norm) x = b.add("rms_norm", "norm", {x, b.weight("norm.weight", DType::F32, {c.columns})}, {{"eps", 1e-5}});
  const auto product = [&](const std::string& name) {
    const ValueId weight = b.weight(name + ".weight", c.dtype, {c.experts, c.n, c.columns});
    return b.add("expert_linear", name, {x, weight, ids});
  };
  ValueId y = product("a");
  if (!c.gate.empty()) y = b.add("gate", "gate", {y, product("b")}, {{"activation", c.gate}});
  if (c.activation != "none") y = b.add(c.activation, "activation", {y});
  b.output(y, "y");
  std::vector<double> choice;
  for (std::int64_t t = 0; t < c.rows * c.chosen; ++t) {
    choice.push_back(static_cast<double>(c.only >= 0 ? c.only : (t / c.chosen * 3 + t % c.chosen * 2) % c.experts));
  }
  return {fmt::format("{} {}x{} by {} of {} -> {}{}{}{}{}{}", dtype_name(c.dtype), c.rows, c.columns, c.chosen,
                      c.experts, c.n, c.shares ? "" : ", an x a choice", c.norm ? ", norm" : "",
                      c.gate.empty() ? "" : ", gate " + c.gate, c.activation == "none" ? "" : ", " + c.activation,
                      c.only >= 0 ? fmt::format(", all to {}", c.only) : ""),
          std::move(b).finish(),
          {},
          {{"ids", std::move(choice)}}};
}

}  // namespace

std::vector<OpCase> cases_expert_linear() {
  std::vector<OpCase> cases;
  for (const DType dtype : matrix_types()) {
    // Few rows, each for itself; and many, sorted.
    for (const std::int64_t rows : {1, 3, 21}) cases.push_back(expert_linear({.dtype = dtype, .rows = rows}));
    cases.push_back(expert_linear({.dtype = dtype, .rows = 1, .columns = 288, .norm = true, .gate = "silu"}));
    cases.push_back(expert_linear({.dtype = dtype, .rows = 40, .columns = 288, .gate = "silu"}));
    cases.push_back(expert_linear({.dtype = dtype, .rows = 1, .columns = 288, .n = 40, .shares = false}));
    cases.push_back(expert_linear({.dtype = dtype, .rows = 40, .columns = 288, .n = 40, .shares = false}));
  }
  for (const DType dtype : {DType::F32, DType::F16}) {
    for (const std::int64_t rows : {1, 9}) {  // rows of x that are no whole vectors
      cases.push_back(expert_linear({.dtype = dtype, .rows = rows, .columns = 37, .n = 5}));
      cases.push_back(expert_linear({.dtype = dtype, .rows = rows, .columns = 1, .n = 1}));
    }
  }
  for (const std::int64_t rows : {0, 1, 2, 17, 130}) {
    for (const std::int64_t chosen : {1, 3, 4}) {
      cases.push_back(expert_linear({.rows = rows, .experts = 4, .chosen = chosen, .n = 70}));
    }
  }
  cases.push_back(expert_linear({.rows = 3, .experts = 1, .chosen = 1}));
  cases.push_back(expert_linear({.rows = 64, .experts = 130, .chosen = 8, .n = 9}));
  cases.push_back(expert_linear({.rows = 50, .experts = 7, .n = 0}));
  for (const std::int64_t only : {0, 4}) {
    cases.push_back(expert_linear({.rows = 1, .n = 300, .only = only}));
    cases.push_back(expert_linear({.rows = 37, .n = 300, .gate = "gelu_tanh", .only = only}));
  }
  for (const std::int64_t rows : {1, 20}) {
    cases.push_back(expert_linear({.rows = rows, .activation = "relu"}));
    cases.push_back(expert_linear({.rows = rows, .gate = "gelu"}));
    cases.push_back(expert_linear({.rows = rows, .shares = false, .norm = true, .gate = "silu"}));
  }
  return cases;
}

}  // namespace heed::op_cases
