#include "graph/integer.h"

#include <doctest/doctest.h>

namespace heed {

TEST_CASE("ceil_div and round_up neither wrap around nor lose bits at the ends of their types") {
  constexpr std::uint32_t kMost32 = UINT32_MAX;
  constexpr std::uint64_t kMost64 = UINT64_MAX;
  CHECK(ceil_div(0u, 7u) == 0);
  CHECK(ceil_div(1u, 7u) == 1);
  CHECK(ceil_div(7u, 7u) == 1);
  CHECK(ceil_div(8u, 7u) == 2);
  CHECK(ceil_div(5u, kMost32) == 1);  // 5 + 2^32 - 2 in 32 bits is 3, and 3 / (2^32 - 1) is 0
  CHECK(ceil_div(kMost32, kMost32) == 1);
  CHECK(ceil_div(kMost32, 2u) == 0x80000000u);
  CHECK(ceil_div(kMost64, kMost64) == 1);
  CHECK(ceil_div(kMost64, 1u) == kMost64);
  CHECK(ceil_div(kMost64, std::uint64_t{2}) == std::uint64_t{1} << 63);
  CHECK(ceil_div(INT64_MAX, INT64_MAX) == 1);
  CHECK(ceil_div(INT64_MAX, 2) == std::int64_t{1} << 62);
  CHECK(ceil_div(-7, 4) == -1);
  CHECK(ceil_div(-8, 4) == -2);
  CHECK(ceil_div(INT64_MIN, 4) == INT64_MIN / 4);
  CHECK(round_up(0, 256) == 0);
  CHECK(round_up(257, 256) == 512);
  CHECK(round_up(kMost64 - 255, 256) == kMost64 - 255);
  CHECK_THROWS_WITH_AS(round_up(kMost64 - 254, 256),
                       "18446744073709551361 rounded up to a multiple of 256 has more than 64 bits", Error);
}

TEST_CASE("a division by nothing is an error") {
  CHECK_THROWS_WITH_AS(ceil_div(5u, 0u), "5 cannot be shared out among 0", Error);
  CHECK_THROWS_WITH_AS(ceil_div(5, 0), "5 cannot be shared out among 0", Error);
  CHECK_THROWS_WITH_AS(ceil_div(5, -2), "5 cannot be shared out among -2", Error);
}

TEST_CASE("narrow keeps a number or refuses it") {
  CHECK(narrow<std::uint32_t>(std::int64_t{0xffffffff}) == UINT32_MAX);
  CHECK(narrow<std::int32_t>(std::int64_t{-5}) == -5);
  CHECK_THROWS_WITH_AS(narrow<std::uint32_t>((std::int64_t{1} << 32) + 1, "window"),
                       "window 4294967297 is outside 0 to 4294967295", Error);
  CHECK_THROWS_AS(narrow<std::uint32_t>(-1), Error);
  CHECK_THROWS_AS(narrow<std::int32_t>(std::uint32_t{1} << 31), Error);
  CHECK_THROWS_AS(narrow<std::int32_t>(INT64_MIN), Error);
}

}  // namespace heed
