// cases col2im: overlapping blocks and gaps between them, over one to three dimensions.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

std::vector<OpCase> cases_col2im() {
  std::vector<OpCase> cases;
  using Sizes = std::vector<std::int64_t>;
  const auto add = [&](const Sizes& x, const Sizes& image, const Sizes& block, const Attributes& attributes = {}) {
    GraphBuilder b("col2im");
    const ValueId input = b.input("x", DType::F32, SymbolicShape(x.begin(), x.end()));
    b.output(b.add("col2im", "c", {input, b.integers("image", image), b.integers("block", block)}, attributes), "y");
    std::string name = fmt::format("{} {} {}", to_string(x), to_string(image), to_string(block));
    for (const auto& [key, value] : attributes) name += fmt::format(" {} {}", key, to_string(std::get<Sizes>(value)));
    cases.push_back({name, std::move(b).finish(), {}, {}});
  };
  add({1, 1, 1}, {1}, {1});
  add({2, 6, 6}, {8}, {3});
  add({1, 5, 5}, {5, 5}, {1, 5});
  add({2, 18, 20}, {6, 7}, {3, 3});
  add({1, 8, 16}, {7, 9}, {2, 2}, {{"strides", Sizes{2, 3}}, {"pads", Sizes{0, 1, 1, 1}}});
  add({1, 12, 25}, {7, 9}, {2, 3}, {{"strides", Sizes{1, 2}}, {"dilations", Sizes{2, 2}}, {"pads", Sizes{0, 1, 0, 3}}});
  add({1, 24, 30}, {4, 5, 6}, {2, 3, 2}, {{"strides", Sizes{2, 1, 1}}});
  add({0, 4, 9}, {4, 4}, {2, 2});
  add({1, 0, 9}, {4, 4}, {2, 2});
  add({1, 36, 4096}, {66, 66}, {3, 3});
  return cases;
}

}  // namespace heed::op_cases
