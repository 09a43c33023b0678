#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace heed {

/// What Oniguruma has against a pattern (valid UTF-8); empty when it takes it.
std::string why_no_pattern(const std::string& pattern);

/// What matching may cost beside the retries that Oniguruma counts. It does not count steps forward, so that the clock
/// is asked, too: between searches, which in a long text are for one place each.
struct SplitLimits {
  // Some 20 times what the slowest build needs, since the same text should be refused everywhere or nowhere.
  std::chrono::nanoseconds base_time = std::chrono::seconds(10);
  std::chrono::nanoseconds time_per_byte = std::chrono::microseconds(20);
  std::size_t longest_searched = 32 << 10;  // bytes
};

/// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin;
  std::size_t end;
};

/// Cuts text at the matches of patterns of the Oniguruma library, one pattern after the other. Immutable, so any thread
/// may call it.
class Splitter {
 public:
  /// Throws Error when Oniguruma does not take a pattern.
  explicit Splitter(const std::vector<std::string>& patterns);
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;

  /// Working memory for one thread at a time; must not outlive the Splitter.
  class Matcher {
   public:
    explicit Matcher(const Splitter& splitter, const SplitLimits& limits = {});
    ~Matcher();
    Matcher(const Matcher&) = delete;
    Matcher& operator=(const Matcher&) = delete;
    /// The stretches of `text` (valid UTF-8), in order; together they are the text, and none is empty. Throws Error
    /// when matching takes too many steps, too much memory or too long.
    std::vector<std::string_view> split(std::string_view text);
    /// Where one pattern alone matches, in order, an empty match at the end of the text included. Throws as above.
    std::vector<TextRange> matches(std::size_t pattern, std::string_view text);

   private:
    struct State;
    const Splitter& splitter_;
    std::unique_ptr<State> state_;  // none without patterns
  };

 private:
  struct Pattern;
  std::vector<std::unique_ptr<Pattern>> patterns_;
};

/// Finds user-defined pieces in text. Immutable.
class PieceFinder {
 public:
  struct Entry {
    std::string bytes;  // not empty
    TokenId piece;
  };
  explicit PieceFinder(const Vocabulary& vocabulary);
  /// Finds these instead; of equal bytes the first.
  explicit PieceFinder(std::vector<Entry> entries);
  /// Calls `on_text` for each stretch between user-defined pieces, unless empty, and `on_piece` for each of them, in
  /// the order of the text; at each place the longest piece wins.
  void cut(std::string_view text, const std::function<void(std::string_view stretch)>& on_text,
           const std::function<void(TokenId piece)>& on_piece) const;
  /// How many bytes the longest user-defined piece at text[at] has, which `piece` then is; 0 when there is none.
  std::size_t longest_at(std::string_view text, std::size_t at, TokenId& piece) const;
  bool finds_any() const { return !pieces_.empty(); }

 private:
  std::vector<Entry> pieces_;        // by bytes
  std::vector<std::size_t> begins_;  // pieces whose first byte is b are [begins_[b], begins_[b + 1])
};

}  // namespace heed
