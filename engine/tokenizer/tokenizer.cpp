#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tokenizer/description.h"
#include "tokenizer/normalize.h"
#include "tokenizer/piece_tokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/split.h"
#include "tokenizer/subword_model.h"
#include "tokenizer/text_check.h"
#include "tokenizer/words.h"

namespace heed {

namespace {

/// All that a raw text is cut at where special tokens are looked for: those, and what is found in every text. Other
/// user-defined pieces are there so that marks of a chat can be told from text.
SpecialTokens specials_of(const TokenizerDescription& description) {
  std::vector<SpecialToken> tokens;
  const auto listed = [](const std::vector<TokenId>& ids, TokenId id) { return std::ranges::binary_search(ids, id); };
  for (std::size_t i = 0; i < description.pieces.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const PieceKind kind = description.kinds[i];
    const bool special = kind == PieceKind::Control || (kind == PieceKind::Unknown && !description.show_unknown);
    const bool normalized = description.match_normalized || listed(description.normalized, id);
    if (!special && kind != PieceKind::UserDefined) continue;
    SpecialToken token{description.pieces[i],
                       id,
                       special,
                       listed(description.left_space, id),
                       listed(description.right_space, id),
                       listed(description.whole_words, id)};
    token.in_raw_text = special || !normalized;
    token.in_stretches = !special && (normalized || !description.steps);
    tokens.push_back(std::move(token));
  }
  return SpecialTokens(std::move(tokens));
}

}  // namespace

PieceTokenizer::PieceTokenizer(const TokenizerDescription& description)
    : flags_(flags_of(description)), vocabulary_(description), specials_(specials_of(description)) {}

void PieceTokenizer::cut_at_specials(std::string_view text, const Specials& specials, std::vector<TokenId>& ids,
                                     const std::function<void(std::string_view)>& on_text) const {
  if (!specials.parse) return on_text(text);
  specials_.cut(text, specials, on_text, [&](TokenId token) { ids.push_back(token); });
}

void PieceTokenizer::check_token(TokenId token) const {
  if (token >= 0 && static_cast<std::size_t>(token) < vocabulary_.size()) return;
  throw Error(fmt::format("there is no token {}: the vocabulary has {} pieces", token, vocabulary_.size()));
}

std::string PieceTokenizer::piece(TokenId token) const {
  check_token(token);
  return vocabulary_.decoded(token);
}

std::string PieceTokenizer::decode(const std::vector<TokenId>& tokens) const {
  std::string text;
  for (const TokenId token : tokens) {
    std::string bytes = piece(token);
    if (flags_.strip_each && text.empty() && bytes.starts_with(' ')) bytes.erase(0, 1);
    text += bytes;
  }
  if (flags_.strip_prefix && !flags_.strip_each && text.starts_with(' ')) text.erase(0, 1);
  return flags_.strip_decoded ? std::string(trim_white_space(text, true, true)) : text;
}

namespace {

// Cuts text into pieces by merging or by unigram.
class SubwordTokenizer final : public PieceTokenizer {
 public:
  explicit SubwordTokenizer(const TokenizerDescription& description)
      : PieceTokenizer(description),
        finder_(vocabulary_),
        normalizer_(description, finder_),
        splitter_(description.splits),
        model_(description, vocabulary_) {}

  std::vector<TokenId> encode(std::string_view text, bool add_special, const Specials& specials) const override {
    check_text(text);
    std::vector<TokenId> ids;
    if (add_special) ids = flags_.before;
    Work work = work_for(nullptr);
    cut_at_specials(text, specials, ids,
                    [&](std::string_view stretch) { cut(stretch, work, ids, stretch.data() == text.data()); });
    if (add_special) ids.insert(ids.end(), flags_.after.begin(), flags_.after.end());
    return ids;
  }

  /// The working memory of one encoding, and how long matching may take in all of it.
  struct Work {
    Splitter::Matcher matcher;
    SubwordModel::Work model;
  };
  /// It appends to `unknown_texts`, if given, what stands behind each unknown id.
  Work work_for(std::vector<std::string>* unknown_texts) const {
    return {Splitter::Matcher(splitter_), SubwordModel::Work(model_, unknown_texts)};
  }

  /// Appends the ids of a valid text. `first`: nothing was before it.
  void cut(std::string_view text, Work& work, std::vector<TokenId>& ids, bool first = true) const {
    const auto add_piece = [&](TokenId piece) { ids.push_back(piece); };
    if (flags_.match_normalized) {
      const std::string normalized = normalizer_.apply(text, first);
      // SentencePiece's unigram weighs user-defined pieces with all others.
      if (flags_.merging == TokenizerDescription::Merging::Unigram) return add_text(normalized, work, ids);
      finder_.cut(
          normalized, [&](std::string_view stretch) { add_text(stretch, work, ids); }, add_piece);
    } else {
      const auto add_stretch = [&](std::string_view stretch) {
        add_text(normalizer_.apply(stretch, first && stretch.data() == text.data()), work, ids);
      };
      finder_.cut(text, add_stretch, add_piece);
    }
  }

 private:
  // Appends the ids of normalized text without user-defined pieces.
  void add_text(std::string_view text, Work& work, std::vector<TokenId>& ids) const {
    for (const std::string_view stretch : work.matcher.split(text)) work.model.encode(stretch, ids);
  }

  const PieceFinder finder_;
  const Normalizer normalizer_;
  const Splitter splitter_;
  const SubwordModel model_;
};

// Cuts text into the pieces of one vocabulary and looks them up in another, as Marian and M2M-100 do.
class SegmentTokenizer final : public PieceTokenizer {
 public:
  explicit SegmentTokenizer(const TokenizerDescription& description)
      : PieceTokenizer(description),
        segments_(*description.segments),
        unknown_segment_(description.segments->unknown().value_or(-1)) {
    for (const std::string& piece : description.segments->pieces) ids_.push_back(id_of(piece));
  }

  std::vector<TokenId> encode(std::string_view text, bool add_special, const Specials& specials) const override {
    check_text(text);
    std::vector<TokenId> ids;
    if (add_special) ids = flags_.before;
    // What a chat's message says is no code either.
    if (flags_.leading_code && specials.plain.empty()) text = take_code(text, ids);
    cut_at_specials(text, specials, ids, [&](std::string_view stretch) { add_segments(stretch, ids); });
    if (add_special) ids.insert(ids.end(), flags_.after.begin(), flags_.after.end());
    return ids;
  }

 private:
  void add_segments(std::string_view text, std::vector<TokenId>& ids) const {
    std::vector<TokenId> segments;
    std::vector<std::string> unknown_texts;
    SubwordTokenizer::Work work = segments_.work_for(&unknown_texts);
    segments_.cut(text, work, segments);
    auto unknown_text = unknown_texts.begin();
    for (const TokenId segment : segments) {
      // What these pieces lack, the other vocabulary may have all the same: it has those of two languages.
      const bool is_unknown = segment == unknown_segment_ && unknown_text != unknown_texts.end();
      ids.push_back(is_unknown ? id_of(*unknown_text++) : ids_[static_cast<std::size_t>(segment)]);
    }
  }

  TokenId id_of(std::string_view piece) const {
    const std::optional<TokenId> id = vocabulary_.find(piece);
    return id && vocabulary_.kind(*id) == PieceKind::Normal ? *id : *vocabulary_.unknown();
  }

  // ">>fra<< Hello": the token of the language, and the rest of the text.
  std::string_view take_code(std::string_view text, std::vector<TokenId>& ids) const {
    const std::size_t end = text.find("<<");
    if (!text.starts_with(">>") || end == std::string_view::npos) return text;
    const std::string_view code = text.substr(2, end - 2);
    const auto found = flags_.languages.find(std::string(code));
    if (found == flags_.languages.end()) {
      // A text about something else may begin so, unless it says what could only be a language.
      if (flags_.languages.empty() || code.find(' ') != std::string_view::npos) return text;
      language(code);
    }
    ids.push_back(found->second);
    return text.substr(end + 2);
  }

  const SubwordTokenizer segments_;
  const TokenId unknown_segment_;
  std::vector<TokenId> ids_;  // of each segment
};

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view json) {
  if (is_word_vocabulary(json)) return make_word_tokenizer(WordVocabulary::from_json("tokenizer.json", json));
  return from_description(TokenizerDescription::from_json(json));
}

std::unique_ptr<Tokenizer> Tokenizer::from_description(const TokenizerDescription& description) {
  description.validate();
  if (description.steps) return make_step_tokenizer(description);
  if (description.segments != nullptr) return std::make_unique<SegmentTokenizer>(description);
  return std::make_unique<SubwordTokenizer>(description);
}

TokenId Tokenizer::language(std::string_view code) const {
  const auto found = languages().find(std::string(code));
  if (found != languages().end()) return found->second;
  if (languages().empty()) throw Error(fmt::format("language '{}': the model has no tokens that name languages", code));
  std::string known;
  for (const auto& [name, id] : languages()) known += (known.empty() ? "" : ", ") + name;
  throw Error(fmt::format("language '{}': the model does not have it; it has {}", code, known));
}

std::vector<TokenId> Tokenizer::encode_for(std::string_view text, TokenId language) const {
  std::vector<TokenId> ids = encode(text, false);
  const auto is_language = [&](TokenId id) {
    return std::ranges::any_of(languages(), [&](const auto& entry) { return entry.second == id; });
  };
  std::vector<TokenId> front = before();
  std::vector<TokenId> back = after();
  bool placed = false;
  for (std::vector<TokenId>* const list : {&front, &back}) {
    for (TokenId& id : *list) {
      if (!is_language(id)) continue;
      id = language;
      placed = true;
    }
  }
  if (!placed) front.insert(front.begin(), language);
  ids.insert(ids.begin(), front.begin(), front.end());
  ids.insert(ids.end(), back.begin(), back.end());
  return ids;
}

}  // namespace heed
