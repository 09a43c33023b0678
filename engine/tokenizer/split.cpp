#include "tokenizer/split.h"

#include <fmt/format.h>
#include <oniguruma.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <new>
#include <numeric>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;

// What one search may cost: enough for any pattern that goes over the text a few times, so that one which does not ends
// with an error instead of running for ever.
constexpr unsigned long kBaseRetries = 100'000;
constexpr unsigned long kRetriesPerByte = 100;
constexpr unsigned long kMostRetries = 1'000'000'000;
constexpr unsigned kMostStackEntries = 8 << 20;  // of some 50 bytes; a repeated class takes one for each character
constexpr std::size_t kTriesPerLook = 16;
// Parentheses, brackets and quantifiers within one another; the parser calls itself for each.
constexpr unsigned kMaxNesting = 1000;

struct FreeOnig {
  void operator()(OnigRegex regex) const { onig_free(regex); }
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
  void operator()(OnigMatchParam* parameters) const { onig_free_match_param(parameters); }
};
using RegexPointer = std::unique_ptr<std::remove_pointer_t<OnigRegex>, FreeOnig>;
template <typename T>
using OnigPointer = std::unique_ptr<T, FreeOnig>;

template <typename T>
OnigPointer<T> checked(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return OnigPointer<T>(pointer);
}

const OnigUChar* onig_bytes(std::string_view text) { return reinterpret_cast<const OnigUChar*>(text.data()); }

std::string message_of(int code, OnigErrorInfo* info) {
  OnigUChar buffer[ONIG_MAX_ERROR_MESSAGE_LEN] = {};
  const int size = info == nullptr ? onig_error_code_to_str(buffer, code) : onig_error_code_to_str(buffer, code, info);
  std::string message(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(std::max(size, 0)));
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) c = '?';  // part of the pattern
  }
  return message;
}

// The library asks for this before anything else, and not from two threads. The limit is one for the whole process.
void initialize_onig() {
  [[maybe_unused]] static const bool kDone = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    if (const int code = onig_initialize(encodings, 1); code != ONIG_NORMAL) {
      throw Error("Oniguruma, the library of regular expressions, cannot be used: " + message_of(code, nullptr));
    }
    onig_set_parse_depth_limit(kMaxNesting);
    return true;
  }();
}

// The bytes of a POSIX bracket ("[:alpha:]", "[:^digit:]") at the begin of `text`; 0 where there is none, as in
// "[:a b]", which is a class within a class.
std::size_t posix_bracket(std::string_view text) {
  if (!text.starts_with("[:")) return 0;
  std::size_t at = 2;
  if (text.substr(at).starts_with('^')) ++at;
  const std::size_t name = at;
  while (at < text.size() && text[at] >= 'a' && text[at] <= 'z') ++at;
  return at > name && text.substr(at).starts_with(":]") ? at + 2 : 0;
}

// [:punct:] holds the symbols too since Oniguruma 6.9.9, and so it does in the tokenizers library. Written out, it does
// with every version.
std::string with_symbols_as_punctuation(const std::string& pattern) {
  constexpr std::string_view kPunctuation = "[:punct:]";
  constexpr std::string_view kOther = "[:^punct:]";
  std::string written;
  int depth = 0;  // of classes
  for (std::size_t at = 0; at < pattern.size();) {
    const std::string_view rest = std::string_view(pattern).substr(at);
    std::size_t size = 1;
    if (rest.starts_with('\\')) {
      size = std::min<std::size_t>(2, rest.size());
    } else if (depth > 0 && rest.starts_with(kPunctuation)) {
      written += R"(\p{P}\p{S})";
      at += kPunctuation.size();
      continue;
    } else if (depth > 0 && rest.starts_with(kOther)) {
      written += R"([^\p{P}\p{S}])";
      at += kOther.size();
      continue;
    } else if (depth > 0 && posix_bracket(rest) > 0) {
      size = posix_bracket(rest);
    } else if (rest.starts_with('[')) {
      ++depth;
      if (rest.substr(size).starts_with('^')) ++size;
      if (rest.substr(size).starts_with(']')) ++size;  // stands for itself there
    } else if (rest.starts_with(']') && depth > 0) {
      --depth;
    }
    written += rest.substr(0, size);
    at += size;
  }
  return written;
}

// Nothing and a message when Oniguruma does not take the pattern. Encoding, syntax and options are those of Hugging
// Face tokenizers.
RegexPointer compile(const std::string& pattern, std::string& message) {
  initialize_onig();
  OnigRegex regex = nullptr;
  OnigErrorInfo info = {};
  const std::string written = with_symbols_as_punctuation(pattern);
  const OnigUChar* begin = onig_bytes(written);
  const int code = onig_new(&regex, begin, begin + written.size(), ONIG_OPTION_NONE, ONIG_ENCODING_UTF8,
                            ONIG_SYNTAX_ONIGURUMA, &info);
  if (code == ONIG_NORMAL) return RegexPointer(regex);
  if (code == ONIGERR_MEMORY) throw std::bad_alloc();
  message = message_of(code, &info);
  return nullptr;
}

}  // namespace

std::string why_no_pattern(const std::string& pattern) {
  std::string message;
  compile(pattern, message);
  return message;
}

struct Splitter::Pattern {
  explicit Pattern(const std::string& pattern) : knows_start(pattern.find("\\G") != std::string::npos) {
    std::string message;
    regex = compile(pattern, message);
    if (regex) return;
    throw Error(fmt::format("tokenizer.json: Oniguruma refuses a split: {}; convert the model again", message));
  }
  RegexPointer regex;
  bool knows_start;  // matches depend on where the search began
};

// What Oniguruma needs to match and no two threads may share.
struct Splitter::Matcher::State {
  explicit State(const SplitLimits& split_limits) : limits(split_limits), allowed(split_limits.base_time) {
    onig_initialize_match_param(parameters.get());
    onig_set_match_stack_limit_size_of_match_param(parameters.get(), kMostStackEntries);
  }

  // Calls `on_match` for each match of the pattern in `text`.
  template <typename OnMatch>
  void find_all(const Pattern& pattern, std::string_view text, const OnMatch& on_match) {
    const unsigned long retries = std::min(kMostRetries, kBaseRetries + kRetriesPerByte * text.size());
    onig_set_retry_limit_in_match_of_match_param(parameters.get(), retries);
    onig_set_retry_limit_in_search_of_match_param(parameters.get(), retries);
    allowed += limits.time_per_byte * text.size();
    std::size_t done = 0;
    std::size_t at = 0;
    bool matched = false;  // at `done`
    while (at <= text.size() && match(pattern, text, at)) {
      const auto begin = static_cast<std::size_t>(region->beg[0]);
      const auto end = static_cast<std::size_t>(region->end[0]);
      // \K in a lookahead can put the begin behind the end, and what looks back can put it before the last match's end.
      if (end < begin) give_up(at, "the match ends before it begins");
      if (begin < done) give_up(at, "the match begins within the one before it");
      // An empty match counts too, but not where the last match ended.
      if (begin == end && matched && end == done) {
        at = next_character(text, at);
        continue;
      }
      on_match(TextRange{begin, end});
      at = done = end;
      matched = true;
    }
  }

  // Appends the stretches of `text`.
  void split(const Pattern& pattern, std::string_view text, std::vector<std::string_view>& stretches) {
    std::size_t done = 0;
    find_all(pattern, text, [&](TextRange match) {
      if (match.begin > done) stretches.push_back(text.substr(done, match.begin - done));
      if (match.end > match.begin) stretches.push_back(text.substr(match.begin, match.end - match.begin));
      done = match.end;
    });
    if (done < text.size()) stretches.push_back(text.substr(done));
  }

  static std::size_t next_character(std::string_view text, std::size_t at) {
    return at + (at < text.size() ? scan_character(text, at).size : 1);
  }

  // Finds the first match that begins at `at` or later.
  bool match(const Pattern& pattern, std::string_view text, std::size_t at) {
    const OnigUChar* begin = onig_bytes(text);
    const OnigUChar* end = begin + text.size();
    if (text.size() <= limits.longest_searched || pattern.knows_start) {
      if (++tries % kTriesPerLook == 0) look_at_clock(at);
      const int place = onig_search_with_param(pattern.regex.get(), begin, end, begin + at, end, region.get(),
                                               ONIG_OPTION_NONE, parameters.get());
      return is_match(place, at);
    }
    for (; at <= text.size(); at = next_character(text, at)) {
      if (++tries % kTriesPerLook == 0) look_at_clock(at);
      const int size = onig_match_with_param(pattern.regex.get(), begin, end, begin + at, region.get(),
                                             ONIG_OPTION_NONE, parameters.get());
      if (is_match(size, at)) return true;
    }
    return false;
  }

  static bool is_match(int result, std::size_t at) {
    if (result < 0 && result != ONIG_MISMATCH) give_up(at, message_of(result, nullptr));
    return result >= 0;
  }

  void look_at_clock(std::size_t at) const {
    if (Clock::now() - started > allowed) give_up(at, "it takes too long");
  }

  [[noreturn]] static void give_up(std::size_t at, const std::string& reason) {
    throw Error(
        fmt::format("cannot encode the text: Oniguruma gives up on a split of tokenizer.json at byte {}: {}; encode "
                    "shorter texts",
                    at, reason));
  }

  const SplitLimits limits;
  OnigPointer<OnigMatchParam> parameters = checked(onig_new_match_param());
  OnigPointer<OnigRegion> region = checked(onig_region_new());
  std::size_t tries = 0;
  Clock::time_point started = Clock::now();
  std::chrono::nanoseconds allowed;
};

Splitter::Splitter(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) patterns_.push_back(std::make_unique<Pattern>(pattern));
}

Splitter::~Splitter() = default;

Splitter::Matcher::Matcher(const Splitter& splitter, const SplitLimits& limits) : splitter_(splitter) {
  if (!splitter.patterns_.empty()) state_ = std::make_unique<State>(limits);
}

Splitter::Matcher::~Matcher() = default;

std::vector<std::string_view> Splitter::Matcher::split(std::string_view text) {
  std::vector<std::string_view> stretches;
  if (!text.empty()) stretches.push_back(text);
  for (const auto& pattern : splitter_.patterns_) {
    std::vector<std::string_view> finer;
    for (const std::string_view stretch : stretches) state_->split(*pattern, stretch, finer);
    stretches = std::move(finer);
  }
  return stretches;
}

std::vector<TextRange> Splitter::Matcher::matches(std::size_t pattern, std::string_view text) {
  std::vector<TextRange> found;
  state_->find_all(*splitter_.patterns_[pattern], text, [&](TextRange match) { found.push_back(match); });
  return found;
}

namespace {

std::vector<PieceFinder::Entry> user_defined_pieces(const Vocabulary& vocabulary) {
  std::vector<PieceFinder::Entry> entries;
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    const auto piece = static_cast<TokenId>(id);
    if (vocabulary.kind(piece) == PieceKind::UserDefined) entries.push_back({vocabulary.bytes(piece), piece});
  }
  return entries;
}

}  // namespace

PieceFinder::PieceFinder(const Vocabulary& vocabulary) : PieceFinder(user_defined_pieces(vocabulary)) {}

PieceFinder::PieceFinder(std::vector<Entry> entries) : pieces_(std::move(entries)), begins_(257) {
  std::ranges::stable_sort(pieces_, {}, &Entry::bytes);
  for (const Entry& entry : pieces_) ++begins_[static_cast<unsigned char>(entry.bytes[0]) + 1u];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

// Narrows the sorted pieces byte by byte to those with which the text goes on.
std::size_t PieceFinder::longest_at(std::string_view text, std::size_t at, TokenId& piece) const {
  const auto first = static_cast<unsigned char>(text[at]);
  auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(begins_[first]);
  auto end = pieces_.begin() + static_cast<std::ptrdiff_t>(begins_[first + 1u]);
  std::size_t longest = 0;
  for (std::size_t size = 1; begin != end; ++size) {
    // All of [begin, end) start with these `size` bytes; one that has no more comes first.
    if (begin->bytes.size() == size) {
      longest = size;
      piece = begin->piece;
      begin = std::find_if(begin, end, [&](const Entry& entry) { return entry.bytes.size() > size; });
    }
    if (at + size == text.size()) break;
    const auto next = static_cast<unsigned char>(text[at + size]);
    const auto byte = [&](const Entry& entry) { return static_cast<unsigned char>(entry.bytes[size]); };
    begin = std::partition_point(begin, end, [&](const Entry& entry) { return byte(entry) < next; });
    end = std::partition_point(begin, end, [&](const Entry& entry) { return byte(entry) == next; });
  }
  return longest;
}

void PieceFinder::cut(std::string_view text, const std::function<void(std::string_view)>& on_text,
                      const std::function<void(TokenId)>& on_piece) const {
  std::size_t done = 0;
  for (std::size_t at = 0; !pieces_.empty() && at < text.size();) {
    TokenId piece = 0;
    const std::size_t size = longest_at(text, at, piece);
    if (size == 0) {
      ++at;
      continue;
    }
    if (at > done) on_text(text.substr(done, at - done));
    on_piece(piece);
    at += size;
    done = at;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace heed
