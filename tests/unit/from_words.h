#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace heed::testing {

/// The push constants, or the specialization constants, of a dispatch as the op filled them: what ops::words_of was
/// given.
template <typename Struct>
Struct from_words(const std::vector<std::uint32_t>& words) {
  Struct result{};
  REQUIRE(words.size() * 4 == sizeof(result));
  std::memcpy(&result, words.data(), sizeof(result));
  return result;
}

}  // namespace heed::testing
