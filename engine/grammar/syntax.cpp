#include "grammar/syntax.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/utf8.h"

namespace heed::grammar {
namespace {

constexpr CodePoints kSurrogates = {0xD800, 0xDFFF};

void add_sequences(CodePoints range, std::vector<ByteSequence>& sequences) {
  // Parts in which all have as many bytes.
  for (const char32_t last : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
    if (range.first <= last && range.last > last) {
      add_sequences({range.first, last}, sequences);
      add_sequences({last + 1, range.last}, sequences);
      return;
    }
  }
  // Parts in which each byte has its range whatever the others are: those behind one that varies must vary fully.
  for (const unsigned shift : {6u, 12u, 18u}) {
    const char32_t low = (char32_t{1} << shift) - 1;
    if ((range.first & ~low) == (range.last & ~low)) break;
    if ((range.first & low) != 0) {
      add_sequences({range.first, range.first | low}, sequences);
      add_sequences({(range.first | low) + 1, range.last}, sequences);
      return;
    }
    if ((range.last & low) != low) {
      add_sequences({range.first, (range.last & ~low) - 1}, sequences);
      add_sequences({range.last & ~low, range.last}, sequences);
      return;
    }
  }
  std::string first, last;
  append_utf8(range.first, first);
  append_utf8(range.last, last);
  ByteSequence sequence;
  for (std::size_t i = 0; i < first.size(); ++i) {
    sequence.emplace_back(static_cast<std::uint8_t>(first[i]), static_cast<std::uint8_t>(last[i]));
  }
  sequences.push_back(std::move(sequence));
}

}  // namespace

void ExpressionBudget::take(std::size_t expressions) {
  if (expressions > left_) {
    throw BudgetSpent(
        fmt::format("it becomes more than {} parts of a grammar; fewer names, values, and patterns, or shorter "
                    "ones, make it smaller",
                    kMost));
  }
  left_ -= expressions;
}

void ExpressionBudget::take(const Expression& made) {
  constexpr std::size_t kBytes = 64, kRanges = 8;  // that count as one more
  take(1 + made.text.size() / kBytes + made.characters.size() / kRanges);
  for (const Expression& part : made.parts) take(part);
}

Expression text(std::string_view bytes) {
  Expression made;
  made.kind = Expression::Kind::Text;
  made.text = bytes;
  return made;
}

Expression rule(std::uint32_t index) {
  Expression made;
  made.kind = Expression::Kind::Rule;
  made.rule = index;
  return made;
}

Expression sequence(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression made;
  made.parts = std::move(parts);
  return made;
}

Expression choice(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression made;
  made.kind = Expression::Kind::Choice;
  made.parts = std::move(parts);
  return made;
}

Expression repeat(Expression part, std::uint32_t least, std::optional<std::uint32_t> most) {
  if (least == 1 && most == 1u) return part;
  Expression made;
  made.kind = Expression::Kind::Repeat;
  made.parts.push_back(std::move(part));
  made.least = least;
  made.most = most;
  return made;
}

Expression characters(std::vector<CodePoints> ranges) {
  Expression made;
  made.kind = Expression::Kind::Characters;
  made.characters = normal_ranges(std::move(ranges));
  return made;
}

std::vector<CodePoints> normal_ranges(std::vector<CodePoints> ranges) {
  std::ranges::sort(ranges, {}, &CodePoints::first);
  std::vector<CodePoints> joined;
  for (const CodePoints& range : ranges) {
    if (!joined.empty() && range.first <= joined.back().last + 1) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  std::vector<CodePoints> normal;
  for (const CodePoints& range : joined) {
    if (range.last < kSurrogates.first || range.first > kSurrogates.last) {
      normal.push_back(range);
      continue;
    }
    if (range.first < kSurrogates.first) normal.push_back({range.first, kSurrogates.first - 1});
    if (range.last > kSurrogates.last) normal.push_back({kSurrogates.last + 1, range.last});
  }
  return normal;
}

std::vector<CodePoints> complement(const std::vector<CodePoints>& ranges) {
  std::vector<CodePoints> others;
  char32_t next = 0;
  for (const CodePoints& range : normal_ranges(ranges)) {
    if (range.first > next) others.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) others.push_back({next, kLastCodePoint});
  return normal_ranges(std::move(others));
}

std::vector<CodePoints> common(const std::vector<CodePoints>& left, const std::vector<CodePoints>& right) {
  std::vector<CodePoints> both;
  for (std::size_t l = 0, r = 0; l < left.size() && r < right.size();) {
    const char32_t first = std::max(left[l].first, right[r].first);
    const char32_t last = std::min(left[l].last, right[r].last);
    if (first <= last) both.push_back({first, last});
    left[l].last < right[r].last ? ++l : ++r;
  }
  return both;
}

std::vector<ByteSequence> byte_sequences(CodePoints range) {
  std::vector<ByteSequence> sequences;
  add_sequences(range, sequences);
  return sequences;
}

}  // namespace heed::grammar
