#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

#include "heed/error.h"

namespace heed {

/// Integer arithmetic on sizes and limits, which come from files, users and drivers: nothing here wraps around or cuts
/// bits off. Throws Error where a result cannot be represented.

/// a / b, rounded up. b is at least 1; a sum of both is never formed, so any a will do.
template <std::unsigned_integral A, std::unsigned_integral B>
constexpr std::common_type_t<A, B> ceil_div(A a, B b) {
  if (b == 0) throw Error(fmt::format("{} cannot be shared out among 0", a));
  return a / b + (a % b != 0 ? 1 : 0);
}

/// The same of signed sizes; a negative a is rounded up too, towards zero.
template <std::signed_integral A, std::signed_integral B>
constexpr std::common_type_t<A, B> ceil_div(A a, B b) {
  if (b <= 0) throw Error(fmt::format("{} cannot be shared out among {}", a, b));
  return a / b + (a % b > 0 ? 1 : 0);
}

/// The least multiple of b that is not less than a, which is not negative.
constexpr std::uint64_t round_up(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t times = ceil_div(a, b);
  if (times > std::numeric_limits<std::uint64_t>::max() / b) {
    throw Error(fmt::format("{} rounded up to a multiple of {} has more than 64 bits", a, b));
  }
  return times * b;
}

/// The same number in another type. Throws Error where that type does not have it.
template <std::integral To, std::integral From>
constexpr To narrow(From value, std::string_view what = "number") {
  if (!std::in_range<To>(value)) {
    throw Error(fmt::format("{} {} is outside {} to {}", what, value, std::numeric_limits<To>::min(),
                            std::numeric_limits<To>::max()));
  }
  return static_cast<To>(value);
}

/// A size, which is not negative, without its sign.
constexpr std::uint64_t u64(std::int64_t size) { return narrow<std::uint64_t>(size, "size"); }

/// For estimates: the largest number stands for all that are too large.
constexpr std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return a > most - b ? most : a + b;
}

constexpr std::uint64_t saturating_product(std::initializer_list<std::uint64_t> factors) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t product = 1;
  for (const std::uint64_t factor : factors) {
    if (factor == 0) return 0;
    product = product > most / factor ? most : product * factor;
  }
  return product;
}

}  // namespace heed
