#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grammar/syntax.h"

namespace heed::grammar {

/// So many digits a number has before the point, and so many behind it, where nothing else bounds it: doubles keep as
/// many, and a model cannot go on with digits for ever.
inline constexpr std::uint32_t kMostDigits = 15;

/// One end of a range: a number that is written without an exponent.
struct Bound {
  std::string decimal;     // "-1.5"
  bool exclusive = false;  // the number itself is not in the range
};

/// The integers of a range as JSON writes them. Nothing where there are none.
std::optional<Expression> integers_between(std::optional<std::int64_t> least, std::optional<std::int64_t> most);
/// The numbers of a range, written without exponent.
std::optional<Expression> numbers_between(const std::optional<Bound>& least, const std::optional<Bound>& most);
/// -1 where the first is less, 0 where both are equal, else 1.
int compare_decimals(const std::string& left, const std::string& right);

}  // namespace heed::grammar
