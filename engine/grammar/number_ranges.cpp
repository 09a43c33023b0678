#include "grammar/number_ranges.h"

#include <algorithm>
#include <utility>

namespace heed::grammar {
namespace {

using Maybe = std::optional<Expression>;

Expression digit(char first, char last) {
  return characters({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
}
Expression digits(std::size_t least, std::size_t most) {
  return repeat(digit('0', '9'), static_cast<std::uint32_t>(least), static_cast<std::uint32_t>(most));
}
Expression zeros(std::uint32_t least) { return repeat(text("0"), least, kMostDigits); }

/// One of those that there are.
Maybe any_of(std::vector<Maybe> parts) {
  std::vector<Expression> there;
  for (Maybe& part : parts) {
    if (part) there.push_back(std::move(*part));
  }
  if (there.empty()) return {};
  return choice(std::move(there));
}
Maybe then(Expression first, Maybe second) {
  if (!second) return {};
  return sequence({std::move(first), std::move(*second)});
}
Maybe digit_then(char first, char last, Maybe rest) {
  if (first > last) return {};
  return then(digit(first, last), std::move(rest));
}

/// Numbers from `low` to `high`, which have as many digits.
Expression same_length(std::string_view low, std::string_view high) {
  const std::size_t size = low.size();
  if (low.find_first_not_of('0') == low.npos && high.find_first_not_of('9') == high.npos) return digits(size, size);
  const std::string nines(size - 1, '9'), noughts(size - 1, '0');
  if (low[0] == high[0]) {
    return sequence({text(low.substr(0, 1)), same_length(low.substr(1), high.substr(1))});
  }
  std::vector<Expression> parts;
  parts.push_back(sequence({text(low.substr(0, 1)), same_length(low.substr(1), nines)}));
  if (low[0] + 1 < high[0]) {
    parts.push_back(
        sequence({digit(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)), digits(size - 1, size - 1)}));
  }
  parts.push_back(sequence({text(high.substr(0, 1)), same_length(noughts, high.substr(1))}));
  return choice(std::move(parts));
}

bool less_digits(std::string_view left, std::string_view right) {
  return left.size() != right.size() ? left.size() < right.size() : left < right;
}

/// Whole numbers that are not negative, by their digits.
Maybe whole_between(const std::string& low, const std::string& high) {
  if (less_digits(high, low)) return {};
  std::vector<Maybe> parts;
  for (std::size_t size = low.size(); size <= high.size(); ++size) {
    const std::string least = size == 1 ? "0" : "1" + std::string(size - 1, '0');
    const std::string most(size, '9');
    parts.push_back(same_length(size == low.size() ? low : least, size == high.size() ? high : most));
  }
  return any_of(std::move(parts));
}

std::string plus_one(std::string number) {
  for (std::size_t i = number.size(); i-- > 0;) {
    if (number[i] != '9') {
      ++number[i];
      return number;
    }
    number[i] = '0';
  }
  return "1" + number;
}
/// Of a number that is not 0.
std::string minus_one(std::string number) {
  for (std::size_t i = number.size(); i-- > 0;) {
    if (number[i] != '0') {
      --number[i];
      break;
    }
    number[i] = '9';
  }
  return number.size() > 1 && number[0] == '0' ? number.substr(1) : number;
}

/// A number that is not negative.
struct Magnitude {
  std::string whole;     // without leading zeros, but for 0 itself
  std::string fraction;  // without trailing zeros
  bool exclusive = false;
};

Magnitude magnitude(std::string_view decimal, bool exclusive) {
  if (decimal.starts_with('-')) decimal.remove_prefix(1);
  const std::size_t point = decimal.find('.');
  std::string_view whole = decimal.substr(0, point);
  std::string_view fraction = point == decimal.npos ? std::string_view() : decimal.substr(point + 1);
  while (whole.size() > 1 && whole[0] == '0') whole.remove_prefix(1);
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  return {std::string(whole), std::string(fraction), exclusive};
}
bool is_zero(const Magnitude& number) { return number.whole == "0" && number.fraction.empty(); }

/// What comes behind the point, from its digit `at` on, where those before were those of the bound.
class Fractions {
 public:
  Fractions(const Magnitude& low, const Magnitude& high) : low_(low), high_(high) {}

  /// Behind the whole part of `low`.
  Maybe from_low() const {
    Maybe some = then(text("."), low_.fraction.empty() ? some_above() : at_least(0));
    const bool itself = low_.fraction.empty() && !low_.exclusive;
    return any_of({std::move(some), itself ? Maybe(text("")) : Maybe()});
  }
  /// Behind that of `high`.
  Maybe to_high() const {
    if (high_.fraction.empty()) return high_.exclusive ? Maybe() : optional(sequence({text("."), zeros(1)}));
    return any_of({Maybe(text("")), then(text("."), at_most(0))});
  }
  /// Behind that of both.
  Maybe between() const {
    const std::string& low = low_.fraction;
    const std::string& high = high_.fraction;
    const bool whole_itself = low.empty() && !low_.exclusive;
    if (low == high) {
      if (low_.exclusive || high_.exclusive) return {};
      if (low.empty()) return optional(sequence({text("."), zeros(1)}));
      return sequence({text("." + low), zeros(0)});
    }
    if (high < low) return {};  // no digit is less than any
    return any_of({whole_itself ? Maybe(text("")) : Maybe(), then(text("."), between(0))});
  }

 private:
  static char digit_at(const std::string& fraction, std::size_t at) {
    return at < fraction.size() ? fraction[at] : '0';
  }
  static Maybe any() { return digits(0, kMostDigits); }
  static Expression above_zero() { return sequence({zeros(0), digit('1', '9'), digits(0, kMostDigits)}); }
  Maybe some_above() const { return low_.exclusive ? above_zero() : digits(1, kMostDigits); }

  Maybe at_least(std::size_t at) const {
    const std::string& low = low_.fraction;
    if (at >= low.size()) return low_.exclusive ? above_zero() : digits(0, kMostDigits);
    return any_of(
        {digit_then(static_cast<char>(low[at] + 1), '9', any()), then(text(low.substr(at, 1)), at_least(at + 1))});
  }
  Maybe at_most(std::size_t at) const {
    const std::string& high = high_.fraction;
    if (at >= high.size()) return high_.exclusive ? Maybe() : zeros(0);
    return any_of({at > 0 ? Maybe(text("")) : Maybe(), digit_then('0', static_cast<char>(high[at] - 1), any()),
                   then(text(high.substr(at, 1)), at_most(at + 1))});
  }
  Maybe between(std::size_t at) const {
    const char low = digit_at(low_.fraction, at), high = digit_at(high_.fraction, at);
    const bool itself = at > 0 && at >= low_.fraction.size() && !low_.exclusive;
    const Maybe end = itself ? Maybe(text("")) : Maybe();
    if (low == high) return any_of({end, then(digit(low, low), between(at + 1))});
    return any_of({end, then(digit(low, low), at_least(at + 1)),
                   digit_then(static_cast<char>(low + 1), static_cast<char>(high - 1), any()),
                   then(digit(high, high), at_most(at + 1))});
  }

  const Magnitude& low_;
  const Magnitude& high_;
};

Maybe magnitudes_between(const Magnitude& low, const std::optional<Magnitude>& high) {
  const Magnitude top =
      high.value_or(Magnitude{std::string(std::max<std::size_t>(kMostDigits, low.whole.size() + 1), '9'), "", false});
  if (less_digits(top.whole, low.whole)) return {};
  const Fractions fractions(low, top);
  if (low.whole == top.whole) return then(text(low.whole), fractions.between());
  Maybe inner;
  if (less_digits(plus_one(low.whole), top.whole)) inner = whole_between(plus_one(low.whole), minus_one(top.whole));
  if (inner) inner = sequence({std::move(*inner), optional(sequence({text("."), digits(1, kMostDigits)}))});
  return any_of(
      {then(text(low.whole), fractions.from_low()), std::move(inner), then(text(top.whole), fractions.to_high())});
}

bool is_negative(const std::string& decimal) { return decimal.starts_with('-') && !is_zero(magnitude(decimal, false)); }

std::string magnitude_of(std::int64_t value) {
  const std::string digits = std::to_string(value);
  return value < 0 ? digits.substr(1) : digits;
}

}  // namespace

std::optional<Expression> integers_between(std::optional<std::int64_t> least, std::optional<std::int64_t> most) {
  const auto far = [](std::size_t size) { return std::string(std::max<std::size_t>(kMostDigits, size), '9'); };
  Maybe negative;
  if (!least || *least < 0) {
    const std::string low = most && *most < 0 ? magnitude_of(*most) : "1";
    negative = then(text("-"), whole_between(low, least ? magnitude_of(*least) : far(low.size() + 1)));
  }
  Maybe others;
  if (!most || *most >= 0) {
    const std::string low = least && *least > 0 ? magnitude_of(*least) : "0";
    others = whole_between(low, most ? magnitude_of(*most) : far(low.size() + 1));
  }
  return any_of({std::move(negative), std::move(others)});
}

std::optional<Expression> numbers_between(const std::optional<Bound>& least, const std::optional<Bound>& most) {
  const auto bound = [](const Bound& given) { return magnitude(given.decimal, given.exclusive); };
  Maybe negative;
  if (!least || is_negative(least->decimal)) {
    const bool below_zero = most && is_negative(most->decimal);
    std::optional<Magnitude> high;
    if (least) high = bound(*least);
    negative = then(text("-"), magnitudes_between(below_zero ? bound(*most) : Magnitude{"0", "", true}, high));
  }
  Maybe others;
  if (!most || !is_negative(most->decimal)) {
    const bool above_zero = least && !is_negative(least->decimal);
    std::optional<Magnitude> high;
    if (most) high = bound(*most);
    others = magnitudes_between(above_zero ? bound(*least) : Magnitude{"0", "", false}, high);
  }
  return any_of({std::move(negative), std::move(others)});
}

int compare_decimals(const std::string& left, const std::string& right) {
  const bool left_negative = is_negative(left), right_negative = is_negative(right);
  if (left_negative != right_negative) return left_negative ? -1 : 1;
  const Magnitude l = magnitude(left, false), r = magnitude(right, false);
  int order = 0;
  if (l.whole != r.whole) {
    order = less_digits(l.whole, r.whole) ? -1 : 1;
  } else if (l.fraction != r.fraction) {
    order = l.fraction < r.fraction ? -1 : 1;
  }
  return left_negative ? -order : order;
}

}  // namespace heed::grammar
