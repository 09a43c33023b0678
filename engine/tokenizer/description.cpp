#include "tokenizer/description.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tokenizer/description_parts.h"
#include "tokenizer/utf8.h"

namespace heed {

using description_parts::fail;
using description_parts::has_scores;
using description_parts::kMergings;

namespace {

constexpr std::size_t kMaxPieces = 1 << 24;
constexpr std::size_t kMaxPieceBytes = 4096;  // bounds the work of looking up every way to cut a piece in two
constexpr std::size_t kMaxTemplateIds = 16;
constexpr std::size_t kMaxSplits = 16;
constexpr std::size_t kMaxSplitBytes = 16384;
constexpr std::size_t kMaxCharsmapBytes = 16 << 20;
constexpr std::size_t kMaxSteps = 32;
constexpr std::size_t kMaxStepText = 256;

bool is_byte_piece(const std::string& piece) {
  const auto is_hexadecimal = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  return piece.size() == 6 && piece.starts_with("<0x") && is_hexadecimal(piece[3]) && is_hexadecimal(piece[4]) &&
         piece[5] == '>';
}

void check_ids(const std::vector<TokenId>& ids, const char* field, std::size_t pieces, std::size_t most) {
  if (ids.size() > most) fail("'{}' holds {} ids, expected at most {}", field, ids.size(), most);
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= pieces) {
      fail("'{}' holds the id {}, but there are {} pieces", field, id, pieces);
    }
  }
}

}  // namespace

std::optional<TokenId> TokenizerDescription::unknown() const {
  const auto found = std::find(kinds.begin(), kinds.end(), PieceKind::Unknown);
  if (found == kinds.end()) return std::nullopt;
  return static_cast<TokenId>(found - kinds.begin());
}

void TokenizerDescription::pad(std::size_t size) {
  if (size > kMaxPieces) fail("a vocabulary of {} pieces is asked for, expected at most {}", size, kMaxPieces);
  if (size <= pieces.size()) return;
  pieces.resize(size);
  kinds.resize(size, PieceKind::Unused);
  if (has_scores(*this)) scores.resize(size);
}

void TokenizerDescription::validate() const {
  if (pieces.empty() || pieces.size() > kMaxPieces) fail("{} pieces, expected 1 to {}", pieces.size(), kMaxPieces);
  if (kinds.size() != pieces.size()) fail("{} kinds for {} pieces", kinds.size(), pieces.size());
  bool has_unknown = false;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const std::string& piece = pieces[id];
    if (piece.size() > kMaxPieceBytes) {
      fail("piece {} has {} bytes, expected at most {}", id, piece.size(), kMaxPieceBytes);
    }
    if (find_invalid_utf8(piece) != piece.size()) fail("piece {} is not valid UTF-8", id);
    if (kinds[id] == PieceKind::Byte && !is_byte_piece(piece)) {
      fail("byte piece {} is '{}', expected the form <0x0A>", id, piece);
    }
    if (kinds[id] == PieceKind::UserDefined && piece.empty()) fail("user-defined piece {} is empty", id);
    if (kinds[id] == PieceKind::Unknown) {
      if (has_unknown) fail("piece {} is a second unknown piece, expected at most one", id);
      has_unknown = true;
    }
  }
  const std::size_t expected_scores = has_scores(*this) ? pieces.size() : 0;
  if (scores.size() != expected_scores) {
    fail("{} scores, expected {} with merging by {}", scores.size(), expected_scores,
         kMergings[static_cast<std::size_t>(merging)]);
  }
  if (!std::all_of(scores.begin(), scores.end(), [](double score) { return std::isfinite(score); })) {
    fail("a score is not finite");
  }
  if (merging != Merging::Ranks && !merges.empty()) {
    fail("{} merges with merging by {}, expected none", merges.size(), kMergings[static_cast<std::size_t>(merging)]);
  }
  if (merges.size() > std::numeric_limits<std::uint32_t>::max()) fail("{} merges are too many", merges.size());
  for (const auto& [left, right] : merges) check_ids({left, right}, "merges", pieces.size(), 2);
  if (splits.size() > kMaxSplits) fail("{} splits, expected at most {}", splits.size(), kMaxSplits);
  for (const std::string& split : splits) {
    if (split.empty() || split.size() > kMaxSplitBytes || find_invalid_utf8(split) != split.size()) {
      fail("a split is empty, longer than {} bytes or not valid UTF-8", kMaxSplitBytes);
    }
  }
  if (double_scores && merging != Merging::Unigram) fail("'double_scores' is for merging by unigram");
  if (charsmap.size() > kMaxCharsmapBytes)
    fail("'charsmap' has {} bytes, expected at most {}", charsmap.size(), kMaxCharsmapBytes);
  for (const auto& [code, id] : languages) {
    if (code.empty() || find_invalid_utf8(code) != code.size())
      fail("a language has no name, or one that is not UTF-8");
    check_ids({id}, "languages", pieces.size(), 1);
  }
  if (segments != nullptr) check_segments();
  check_steps();
  check_ids(before, "before", pieces.size(), kMaxTemplateIds);
  check_ids(after, "after", pieces.size(), kMaxTemplateIds);
  check_ids(end, "end", pieces.size(), pieces.size());
}

namespace {

void check_step_text(const std::string& text, std::size_t most) {
  if (text.size() <= most && find_invalid_utf8(text) == text.size()) return;
  fail("a step has a text that is longer than {} bytes or not valid UTF-8", most);
}

void check_text_steps(const std::vector<TextStep>& steps, bool may_split, bool has_charsmap) {
  using Kind = TextStep::Kind;
  if (steps.size() > kMaxSteps) fail("{} steps, expected at most {}", steps.size(), kMaxSteps);
  for (const TextStep& step : steps) {
    check_step_text(step.find, kMaxSplitBytes);
    check_step_text(step.text, kMaxStepText);
    const bool finds = step.kind == Kind::Split || step.kind == Kind::Replace;
    if (finds == step.find.empty()) fail("a step looks for nothing, or has something to look for and does not");
    if (step.kind == Kind::Prepend && step.text.empty()) fail("a step prepends nothing");
    if (step.kind == Kind::Split && !may_split) fail("a step of 'normalize' splits");
    if (step.kind == Kind::Charsmap && !has_charsmap) fail("a step applies a 'charsmap', but there is none");
  }
}

}  // namespace

void TokenizerDescription::check_steps() const {
  if (merging != Merging::Ranks && !word_suffix.empty()) fail("'word_suffix' is for merging by ranks");
  if (merging != Merging::WordPieces && (!continuing_prefix.empty() || most_characters != 0)) {
    fail("'continuing_prefix' and 'most_characters' are for merging by word_pieces");
  }
  check_step_text(word_suffix, kMaxStepText);
  check_step_text(continuing_prefix, kMaxStepText);
  if (!steps) {
    const bool flagged =
        !normalized.empty() || !left_space.empty() || !right_space.empty() || !whole_words.empty() || !apart.empty();
    const bool whole = merging == Merging::WordPieces || merging == Merging::Words || !word_suffix.empty();
    if (flagged || whole || show_unknown) fail("there are fields that need 'steps', and no 'steps'");
    return;
  }
  const bool also_without = charsmap_by_cluster || trim_spaces || squeeze_spaces || strip_left || strip_right ||
                            whitespace_words || escape_spaces || prefix != Prefix::Never || prefix_unless_space ||
                            strip_prefix || strip_each || strip_decoded || match_normalized || !splits.empty();
  if (also_without) fail("there are 'steps' beside fields that say the same without steps");
  if (segments != nullptr || leading_code) fail("there are both 'steps' and 'segments'");
  check_text_steps(steps->normalize, false, !charsmap.empty());
  check_text_steps(steps->cut, true, !charsmap.empty());
  if (steps->decode.size() > kMaxSteps) fail("{} steps, expected at most {}", steps->decode.size(), kMaxSteps);
  for (const DecodeStep& step : steps->decode) {
    check_step_text(step.find, kMaxStepText);
    check_step_text(step.text, kMaxStepText);
    using Kind = DecodeStep::Kind;
    const bool finds = step.kind == Kind::Replace || step.kind == Kind::DropFirst || step.kind == Kind::WordEnds;
    if (finds && step.find.empty()) fail("a step of 'decode' looks for nothing");
    if (step.kind == Kind::Strip && step.text.empty()) fail("a step of 'decode' strips nothing");
  }
  for (const std::vector<TokenId>* ids : {&normalized, &left_space, &right_space, &whole_words, &apart}) {
    check_ids(*ids, "steps", pieces.size(), pieces.size());
    if (!std::ranges::is_sorted(*ids)) fail("a list of pieces to be looked for is not ascending");
    for (const TokenId id : *ids) {
      const PieceKind kind = kinds[static_cast<std::size_t>(id)];
      const bool is_added = kind == PieceKind::UserDefined || kind == PieceKind::Control || kind == PieceKind::Unknown;
      if (!is_added) fail("piece {} is to be looked for in a way of its own, but it is not looked for", id);
    }
  }
}

void TokenizerDescription::check_segments() const {
  if (segments->segments != nullptr) fail("'segments' has segments of its own");
  if (segments->steps) fail("'segments' has steps");
  const bool has_ids = !segments->before.empty() || !segments->after.empty() || !segments->end.empty();
  if (has_ids || !segments->languages.empty()) fail("'segments' names ids, which belong outside of it");
  if (merging != Merging::None || !splits.empty() || !charsmap.empty()) {
    fail("text is cut into pieces both by 'segments' and outside of it");
  }
  if (!unknown()) fail("there are 'segments' but no unknown piece for those that the vocabulary lacks");
  segments->validate();
}

}  // namespace heed
