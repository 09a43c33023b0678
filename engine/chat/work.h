#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "chat/text.h"
#include "heed/error.h"

namespace heed::chat {

/// Which line of a template is at work, and what one rendering has cost so far. A template is untrusted input: it may
/// loop, call and double texts as long as it stays within these limits, which no published one comes near.
class Work {
 public:
  static constexpr std::uint64_t kMostUnits = 20'000'000;  // an expression is one, and so are 16 bytes of new text
  static constexpr std::size_t kMostBytes = 64 << 20;      // of one text: as long as a tokenizer takes
  static constexpr int kDeepest = 400;                     // statements, expressions and macros within each other

  /// Counts `units` of work. Throws Error once there are too many.
  void charge(std::uint64_t units) {
    units_ += units;
    if (units_ > kMostUnits) fail("it takes more than {} steps; it may be meant to run forever", kMostUnits);
  }
  /// Counts a text of `bytes` that is about to be made, with what is remembered of it. Throws Error when it is too
  /// long.
  void charge_text(std::size_t bytes, std::size_t ranges = 0) {
    if (bytes > kMostBytes) fail("a text of {} bytes is made, at most {} are allowed", bytes, kMostBytes);
    charge(bytes / 16 + ranges + 1);
  }
  void charge_text(const Text& text) { charge_text(text.size(), text.given().size()); }
  /// Counts looking for a `part` in a text, which compares all of the part at each place at worst.
  void charge_search(std::string_view text, std::string_view part) {
    charge(text.size() / 16 * (part.size() / 64 + 1));
  }
  /// Counts comparing two texts.
  void charge_comparison(std::string_view left, std::string_view right) {
    charge(std::min(left.size(), right.size()) / 16);
  }

  /// Throws the Error that names the line.
  template <typename... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    throw Error(
        fmt::format("chat template, line {}: {}", line, fmt::format(format, std::forward<Arguments>(arguments)...)));
  }

  int line = 1;

  /// While it lives, one level deeper. Throws Error when that is too deep.
  class Level {
   public:
    explicit Level(Work& work) : work_(work) {
      if (++work_.depth_ > kDeepest)
        work_.fail("it nests deeper than {} levels; a macro may call itself forever", kDeepest);
    }
    ~Level() { --work_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Work& work_;
  };

 private:
  std::uint64_t units_ = 0;
  int depth_ = 0;
};

}  // namespace heed::chat
