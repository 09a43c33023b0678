#include "chat/text.h"

#include <algorithm>

namespace heed::chat {

Text::Text(std::string bytes, bool given) : bytes_(std::move(bytes)) {
  if (given) add_given(0, bytes_.size());
}

Text Text::part(std::string_view part) const {
  Text result{std::string(part)};
  const auto begin = static_cast<std::size_t>(part.data() - bytes_.data());
  const std::size_t end = begin + part.size();
  auto range = std::ranges::upper_bound(given_, begin, {}, &Range::end);
  for (; range != given_.end() && range->begin < end; ++range) {
    result.add_given(std::max(range->begin, begin) - begin, std::min(range->end, end) - begin);
  }
  return result;
}

Text& Text::operator+=(const Text& other) {
  const std::size_t before = bytes_.size();
  bytes_ += other.bytes_;
  for (const Range& range : other.given_) add_given(before + range.begin, before + range.end);
  return *this;
}

void Text::add(std::string_view bytes, bool given) {
  bytes_ += bytes;
  if (given) add_given(bytes_.size() - bytes.size(), bytes_.size());
}

void Text::add_given(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!given_.empty() && given_.back().end == begin) {
    given_.back().end = end;
  } else {
    given_.push_back({begin, end});
  }
}

}  // namespace heed::chat
