#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "grammar/syntax.h"

namespace heed::grammar {

/// One of these characters as it stands in a JSON string, escaped where it must be. Nothing where there are none.
/// Control characters that have no short escape are left out where there are others.
std::optional<Expression> in_json_string(const std::vector<CodePoints>& ranges);

/// What stands between the quotes of a JSON string that the regular expression finds something in: of ECMA-262 groups,
/// alternatives, classes, \d \w \s, . and repetitions, ^ at the begin and $ at the end of a whole alternative. Throws
/// Error naming what else is in it; offsets count from 0; and where it takes more than the budget has, which it takes
/// from.
Expression parse_pattern(std::string_view pattern, ExpressionBudget& budget);

/// The pattern of a format of strings ("date-time"); nothing where heed does not know it.
std::optional<std::string_view> pattern_of_format(std::string_view format);
/// Their names, for messages.
inline constexpr std::string_view kFormats = "date, time, date-time, duration, email, hostname, ipv4, uuid";

}  // namespace heed::grammar
