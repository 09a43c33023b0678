#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "tokenizer/description.h"
#include "tokenizer/merge.h"
#include "tokenizer/split.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace heed {
namespace {

// Longer texts are no prompts, and merging holds about 50 bytes for each of theirs.
constexpr std::size_t kMaxTextBytes = 64 << 20;

// The one tokenizer there is: byte-pair encoding as engine/file/tokenizer_format.md describes it.
class BytePairTokenizer final : public Tokenizer {
 public:
  explicit BytePairTokenizer(const TokenizerDescription& description)
      : flags_(without_pieces(description)),
        vocabulary_(description),
        finder_(vocabulary_),
        splitter_(description.splits),
        table_(description, vocabulary_) {}

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override {
    if (text.size() > kMaxTextBytes) {
      throw Error(
          fmt::format("cannot encode the text: it has {} bytes, expected at most {}", text.size(), kMaxTextBytes));
    }
    if (const std::size_t invalid = find_invalid_utf8(text); invalid != text.size()) {
      throw Error(
          fmt::format("cannot encode the text: byte {} of {}, 0x{:02X}, is not valid UTF-8; convert it to UTF-8",
                      invalid, text.size(), static_cast<unsigned char>(text[invalid])));
    }
    std::vector<TokenId> ids;
    if (add_special) ids = flags_.before;
    Work work{Splitter::Matcher(splitter_), Merger(vocabulary_, table_, flags_)};
    const auto add_piece = [&](TokenId piece) { ids.push_back(piece); };
    if (flags_.match_normalized) {
      const std::string normalized = normalize(text, true);
      finder_.cut(
          normalized, [&](std::string_view stretch) { add_text(stretch, work, ids); }, add_piece);
    } else {
      const auto add_stretch = [&](std::string_view stretch) {
        add_text(normalize(stretch, stretch.data() == text.data()), work, ids);
      };
      finder_.cut(text, add_stretch, add_piece);
    }
    if (add_special) ids.insert(ids.end(), flags_.after.begin(), flags_.after.end());
    return ids;
  }

  std::string piece(TokenId token) const override {
    if (token < 0 || static_cast<std::size_t>(token) >= vocabulary_.size()) {
      throw Error(fmt::format("there is no token {}: the vocabulary has {} pieces", token, vocabulary_.size()));
    }
    return vocabulary_.decoded(token);
  }

  const std::vector<TokenId>& end_tokens() const override { return flags_.end; }
  std::size_t vocabulary_size() const override { return vocabulary_.size(); }

 protected:
  bool adds_leading_space() const override { return flags_.strip_prefix; }

 private:
  // The working memory of one encoding.
  struct Work {
    Splitter::Matcher matcher;
    Merger merger;
  };

  // The flags and short lists; the vocabulary and the table keep the rest in their own form.
  static TokenizerDescription without_pieces(const TokenizerDescription& description) {
    TokenizerDescription flags;
    flags.alphabet = description.alphabet;
    flags.whole_pieces_first = description.whole_pieces_first;
    flags.fuse_unknown = description.fuse_unknown;
    flags.escape_spaces = description.escape_spaces;
    flags.prefix = description.prefix;
    flags.prefix_unless_space = description.prefix_unless_space;
    flags.strip_prefix = description.strip_prefix;
    flags.match_normalized = description.match_normalized;
    flags.before = description.before;
    flags.after = description.after;
    flags.end = description.end;
    return flags;
  }

  bool wants_prefix(std::string_view stretch, bool begins_text) const {
    if (stretch.empty() || flags_.prefix == TokenizerDescription::Prefix::Never) return false;
    if (flags_.prefix == TokenizerDescription::Prefix::First && !begins_text) return false;
    const bool has_space = stretch.starts_with(' ') || (flags_.escape_spaces && stretch.starts_with(kEscapedSpace));
    return !(flags_.prefix_unless_space && has_space);
  }

  std::string normalize(std::string_view stretch, bool begins_text) const {
    std::string normalized = wants_prefix(stretch, begins_text) ? " " : "";
    normalized += stretch;
    if (!flags_.escape_spaces) return normalized;
    std::string escaped;
    escaped.reserve(normalized.size() + normalized.size() / 2);
    for (const char c : normalized) {
      if (c == ' ') {
        escaped += kEscapedSpace;
      } else {
        escaped += c;
      }
    }
    return escaped;
  }

  // Appends the ids of normalized text without user-defined pieces.
  void add_text(std::string_view text, Work& work, std::vector<TokenId>& ids) const {
    for (const std::string_view stretch : work.matcher.split(text)) {
      if (flags_.whole_pieces_first) {
        const std::optional<TokenId> whole = vocabulary_.find(stretch);
        if (whole && vocabulary_.kind(*whole) == PieceKind::Normal) {
          ids.push_back(*whole);
          continue;
        }
      }
      work.merger.encode(stretch, ids);
    }
  }

  const TokenizerDescription flags_;
  const Vocabulary vocabulary_;
  const PieceFinder finder_;
  const Splitter splitter_;
  const MergeTable table_;
};

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view json) {
  return from_description(TokenizerDescription::from_json(json));
}

std::unique_ptr<Tokenizer> Tokenizer::from_description(const TokenizerDescription& description) {
  description.validate();
  return std::make_unique<BytePairTokenizer>(description);
}

std::string Tokenizer::decode(const std::vector<TokenId>& tokens) const {
  std::string text;
  for (const TokenId token : tokens) text += piece(token);
  if (adds_leading_space() && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

}  // namespace heed
