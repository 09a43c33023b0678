#define PCRE2_CODE_UNIT_WIDTH 8
#include "generate/tokenizer_split.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "generate/tokenizer_utf8.h"
#include "heed/error.h"

namespace heed {
namespace {

// Steps that one match may take: enough for any pattern that goes over the text a few times, so that one which does not
// ends with an error instead of running for ever.
constexpr std::size_t kBaseSteps = 100'000;
constexpr std::size_t kStepsPerByte = 100;
constexpr std::size_t kMaxSteps = 2'000'000'000;
constexpr std::uint32_t kMaxHeapKibibytes = 512 * 1024;
constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackMost = 16 * 1024 * 1024;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct FreePcre {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
template <typename T>
using PcrePointer = std::unique_ptr<T, FreePcre>;

template <typename T>
PcrePointer<T> checked(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return PcrePointer<T>(pointer);
}

}  // namespace

struct Splitter::Pattern {
  explicit Pattern(const std::string& pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
    if (!code) {
      throw Error(
          fmt::format("tokenizer.json: PCRE2 refuses a split at byte {} of its pattern: {}; convert the model again",
                      offset, message_of(error)));
    }
    // Where there is no JIT compiler, or none for this pattern, matching is interpreted.
    has_jit = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  }
  PcrePointer<pcre2_code> code;
  bool has_jit = false;
};

// What PCRE2 needs to match and no two threads may share.
struct Splitter::Matcher::State {
  explicit State(bool needs_jit_stack) {
    if (needs_jit_stack) {
      stack.reset(pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr));
      if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
    pcre2_set_heap_limit(context.get(), kMaxHeapKibibytes);
  }

  // Appends the stretches of `text`.
  void split(const Pattern& pattern, std::string_view text, std::vector<std::string_view>& stretches) {
    const std::size_t steps = std::min(kMaxSteps, kBaseSteps + kStepsPerByte * text.size());
    pcre2_set_match_limit(context.get(), static_cast<std::uint32_t>(steps));
    std::size_t done = 0;
    std::size_t at = 0;
    while (at < text.size() && match(pattern, text, at)) {
      const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());
      // Before PCRE2 10.38, \K in a lookaround can put the begin before `at` or behind the end.
      const std::size_t begin = std::max<std::size_t>(found[0], done);
      const std::size_t end = found[1];
      if (end <= begin) {
        at = std::max<std::size_t>(end, at);
        if (at < text.size()) at += scan_character(text, at).size;
        continue;
      }
      if (begin > done) stretches.push_back(text.substr(done, begin - done));
      stretches.push_back(text.substr(begin, end - begin));
      at = done = end;
    }
    if (done < text.size()) stretches.push_back(text.substr(done));
  }

  bool match(const Pattern& pattern, std::string_view text, std::size_t at) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    // The text was checked, and without this flag all of it would be checked again at each match.
    std::uint32_t options = PCRE2_NO_UTF_CHECK;
    int result = pcre2_match(pattern.code.get(), subject, text.size(), at, options, data.get(), context.get());
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;  // the interpreter keeps its stack on the heap
      result = pcre2_match(pattern.code.get(), subject, text.size(), at, options, data.get(), context.get());
    }
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) {
      throw Error(
          fmt::format("cannot encode the text: PCRE2 gives up on a split of tokenizer.json at byte {}: {}; encode "
                      "shorter texts",
                      at, message_of(result)));
    }
    return true;
  }

  PcrePointer<pcre2_jit_stack> stack;
  PcrePointer<pcre2_match_context> context = checked(pcre2_match_context_create(nullptr));
  PcrePointer<pcre2_match_data> data = checked(pcre2_match_data_create(1, nullptr));
};

Splitter::Splitter(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) patterns_.push_back(std::make_unique<Pattern>(pattern));
}

Splitter::~Splitter() = default;

Splitter::Matcher::Matcher(const Splitter& splitter) : splitter_(splitter) {
  const auto& patterns = splitter.patterns_;
  if (patterns.empty()) return;
  const bool has_jit = std::any_of(patterns.begin(), patterns.end(), [](const auto& one) { return one->has_jit; });
  state_ = std::make_unique<State>(has_jit);
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

PieceFinder::PieceFinder(const Vocabulary& vocabulary) : vocabulary_(vocabulary), begins_(257) {
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.kind(static_cast<TokenId>(id)) == PieceKind::UserDefined) {
      pieces_.push_back(static_cast<TokenId>(id));
    }
  }
  std::stable_sort(pieces_.begin(), pieces_.end(),
                   [&](TokenId a, TokenId b) { return vocabulary.bytes(a) < vocabulary.bytes(b); });
  for (const TokenId id : pieces_) ++begins_[static_cast<unsigned char>(vocabulary.bytes(id)[0]) + 1u];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

// Narrows the sorted pieces byte by byte to those with which the text goes on.
std::size_t PieceFinder::longest_at(std::string_view text, std::size_t at, TokenId& piece) const {
  const auto first = static_cast<unsigned char>(text[at]);
  auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(begins_[first]);
  auto end = pieces_.begin() + static_cast<std::ptrdiff_t>(begins_[first + 1u]);
  std::size_t longest = 0;
  for (std::size_t size = 1; begin != end; ++size) {
    // All of [begin, end) start with these `size` bytes; one that has no more comes first, the smallest id of equals.
    if (vocabulary_.bytes(*begin).size() == size) {
      longest = size;
      piece = *begin;
      begin = std::find_if(begin, end, [&](TokenId id) { return vocabulary_.bytes(id).size() > size; });
    }
    if (at + size == text.size()) break;
    const auto next = static_cast<unsigned char>(text[at + size]);
    const auto byte = [&](TokenId id) { return static_cast<unsigned char>(vocabulary_.bytes(id)[size]); };
    begin = std::partition_point(begin, end, [&](TokenId id) { return byte(id) < next; });
    end = std::partition_point(begin, end, [&](TokenId id) { return byte(id) == next; });
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
