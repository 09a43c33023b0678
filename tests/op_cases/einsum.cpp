// cases einsum: sums, diagonals, transpositions and products of every form, with letters and without, of nothing.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {

std::vector<OpCase> cases_einsum() {
  std::vector<OpCase> cases;
  const auto einsum = [&](const std::string& equation, const std::vector<SymbolicShape>& shapes) {
    GraphBuilder b("einsum");
    std::vector<ValueId> inputs;
    std::string name = equation;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      inputs.push_back(b.input(fmt::format("x{}", i), DType::F32, shapes[i]));
      name += " " + to_string(shapes[i]);
    }
    b.output(b.add("einsum", "e", inputs, {{"equation", equation}}), "y");
    cases.push_back({name, std::move(b).finish(), {}, {}});
  };
  const std::int64_t none = 0;
  // one operand
  einsum("ij->ji", {{3, 5}});
  einsum("ij", {{3, 5}});
  einsum("ba", {{3, 5}});
  einsum("ij->", {{3, 5}});
  einsum("ij->i", {{30, 500}});
  einsum("ii->i", {{4, 4}});
  einsum("ii", {{4, 4}});
  einsum("iji->j", {{4, 3, 4}});
  einsum("...ij->...ji", {{2, 3, 4, 5}});
  einsum("i...->...", {{3, 4, 5}});
  einsum("->", {{}});
  einsum("...", {{2, 3}});
  einsum("ij->i", {{3, none}});
  einsum("ij->j", {{3, none}});
  // two
  einsum("ij,jk->ik", {{3, 5}, {5, 7}});
  einsum("ij,jk", {{30, 20}, {20, 40}});
  einsum("ij,jk->ki", {{30, 20}, {20, 40}});
  einsum("ij, kj -> ik", {{30, 20}, {40, 20}});
  einsum("ji,jk->ik", {{20, 30}, {20, 40}});
  einsum("bij,bjk->bik", {{3, 5, 6}, {3, 6, 7}});
  einsum("bhqd,bhkd->bhqk", {{2, 3, 9, 8}, {2, 3, 11, 8}});
  einsum("bqhd,bkhd->bhqk", {{2, 9, 3, 8}, {2, 11, 3, 8}});
  einsum("bhqk,bkhd->bqhd", {{2, 3, 9, 11}, {2, 11, 3, 8}});
  einsum("...ij,...jk->...ik", {{2, 1, 5, 6}, {3, 6, 7}});
  einsum("i,i->i", {{77}, {77}});
  einsum("i,i", {{300}, {300}});
  einsum("i,j->ij", {{33}, {47}});
  einsum("bi,bi->b", {{9, 130}, {9, 130}});
  einsum("ij,ij->ij", {{30, 40}, {30, 40}});
  einsum("ij,jk->i", {{30, 20}, {20, 40}});  // k is in one operand alone
  einsum("ii,ij->j", {{5, 5}, {5, 80}});
  einsum("ij,->ij", {{30, 40}, {}});
  einsum("ij,ij->i", {{30, 40}, {1, 40}});  // sizes of 1 broadcast
  einsum("abcd,cdef->abef", {{3, 4, 5, 6}, {5, 6, 4, 7}});
  einsum("abcd,ecfd->aebf", {{3, 4, 5, 6}, {4, 5, 7, 6}});
  einsum("ij,jk->ik", {{3, none}, {none, 7}});
  einsum("ij,jk->ik", {{none, 5}, {5, 7}});
  einsum("i,i->", {{100000}, {100000}});
  einsum("bi,bi->b", {{9, 13}, {9, 13}});
  cases.back().name += ", NaN in one row";
  cases.back().values["x0"].assign(9 * 13, 0.5);
  cases.back().values["x0"][4 * 13 + 12] = kNotANumber;
  return cases;
}

}  // namespace heed::op_cases
