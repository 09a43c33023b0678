#include "tests/op_cases/special_values.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

namespace heed::op_cases {

std::vector<double> special_values(double largest) {
  std::vector<double> values;
  for (const double value :
       {0.0, 1.0, 0.5, 3.0, kLeastDenormal, kLargestDenormal, kLeastNormal, 1e-20, 1e20, largest, kInfinity}) {
    values.push_back(value);
    values.push_back(-value);
  }
  values.push_back(kNotANumber);
  return values;
}

std::vector<double> special_values_for(const Shape& shape) {
  const std::vector<double> some = special_values();
  std::vector<double> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = some[i % some.size()];
  return values;
}

bool moves_words(const Graph& graph) {
  constexpr std::string_view kMoves[] = {
      "transpose",       "expand",    "tile",     "slice",     "split",    "concat",   "gather",
      "gather_elements", "gather_nd", "pad",      "where",     "reshape",  "tail",     "top_k",
      "squeeze",         "flatten",   "identity", "unsqueeze", "triangle", "constant", "one_hot"};
  return std::ranges::all_of(graph.nodes,
                             [&](const Node& node) { return std::ranges::find(kMoves, node.op) != std::end(kMoves); });
}

double with_denormals_flushed(double value) {
  return std::abs(value) < kLeastNormal ? std::copysign(0.0, value) : value;
}

double with_signs_of_zeros_lost(double value) { return std::abs(value) < kLeastNormal ? 0.0 : value; }

}  // namespace heed::op_cases
