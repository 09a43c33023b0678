#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "ops/search.h"

namespace heed::op_cases {

/// A search that ends with these tokens and is otherwise free.
inline ops::SearchOptions options(std::initializer_list<std::int32_t> ends = {2}, std::int32_t max_tokens = 20) {
  ops::SearchOptions o;
  o.max_tokens = max_tokens;
  for (const std::int32_t token : ends) o.ends[o.end_count++] = token;
  return o;
}

/// The elements of a search's input `options`.
inline std::vector<double> option_words(const ops::SearchOptions& options, const std::vector<std::int32_t>& forced) {
  const auto words = std::bit_cast<std::array<std::int32_t, ops::kFirstForced>>(options);
  std::vector<double> elements(words.begin(), words.end());
  elements.insert(elements.end(), forced.begin(), forced.end());
  return elements;
}

/// Logits of the form h(i) sin(i^2). The best of many must not be nearly as good as one another: float and double would
/// order them differently.
inline std::vector<double> distinct_logits(std::int64_t count) {
  std::vector<double> logits;
  for (std::int64_t i = 0; i < count; ++i) {
    const double height = 2.0 + static_cast<double>(i * 7919 % 10009) / 2500.0;
    logits.push_back(height * std::sin(static_cast<double>(i * i % 10007)));
  }
  return logits;
}

}  // namespace heed::op_cases
