#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "ops/logit_rules.h"
#include "ops/sample.h"

namespace heed::op_cases {

/// The elements of an input that holds the words of such structs, one behind the other.
template <typename State>
std::vector<double> state_words(const std::vector<State>& states) {
  std::vector<double> elements;
  for (const State& state : states) {
    for (const std::int32_t word : std::bit_cast<std::array<std::int32_t, sizeof(State) / 4>>(state)) {
      elements.push_back(word);
    }
  }
  return elements;
}

}  // namespace heed::op_cases
