#include <algorithm>
#include <utility>

#include "heed/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

TextStream::TextStream(std::vector<std::string> stop_strings) : stop_strings_(std::move(stop_strings)) {
  for (const std::string& stop : stop_strings_) {
    if (stop.empty()) throw Error("stop strings: an empty one would stop before the first token; leave it out");
    if (find_invalid_utf8(stop) != stop.size()) throw Error("stop strings: one is not valid UTF-8 and can never occur");
  }
}

// Takes what can be decided out of bytes_.
std::string TextStream::complete_characters() {
  std::string characters;
  std::size_t at = 0;
  while (at < bytes_.size()) {
    const ScannedCharacter character = scan_character(bytes_, at);
    if (character.state == ScannedCharacter::State::Incomplete) break;
    if (character.state == ScannedCharacter::State::Valid) {
      characters.append(bytes_, at, character.size);
    } else {
      characters += kReplacement;
    }
    at += character.size;
  }
  bytes_.erase(0, at);
  return characters;
}

// Of several stop strings the one that is complete first counts, so that the result does not depend on how the text is
// cut into pieces; of those complete at the same place, the longest.
std::string TextStream::show(std::string_view characters) {
  text_ += characters;
  std::size_t best_end = std::string::npos;
  std::size_t best_begin = std::string::npos;
  for (const std::string& stop : stop_strings_) {
    const std::size_t begin = text_.find(stop);
    if (begin == std::string::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < best_end || (end == best_end && begin < best_begin)) {
      best_end = end;
      best_begin = begin;
    }
  }
  if (best_begin != std::string::npos) {
    stopped_ = true;
    std::string shown = text_.substr(0, best_begin);
    text_.clear();
    return shown;
  }
  std::size_t held = 0;  // the longest end of text_ with which a stop string begins
  for (const std::string& stop : stop_strings_) {
    for (std::size_t size = std::min(stop.size() - 1, text_.size()); size > held; --size) {
      if (text_.compare(text_.size() - size, size, stop, 0, size) == 0) held = size;
    }
  }
  std::string shown = text_.substr(0, text_.size() - held);
  text_.erase(0, text_.size() - held);
  return shown;
}

std::string TextStream::push(std::string_view piece) {
  if (stopped_) return {};
  bytes_ += piece;
  return show(complete_characters());
}

std::string TextStream::finish() {
  if (stopped_) return {};
  std::string shown;
  if (!bytes_.empty()) {
    bytes_.clear();
    shown = show(kReplacement);
  }
  if (!stopped_) shown += std::exchange(text_, {});
  return shown;
}

}  // namespace heed
