#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/text_steps.h"
#include "tokenizer/tokenizer.h"

namespace heed {

/// What a piece of the vocabulary is for. Encoding yields normal, byte and user-defined pieces and the unknown piece,
/// never control or unused ones.
enum class PieceKind : std::uint8_t {
  Normal,       // found by merging
  Unknown,      // stands for what nothing else spells; at most one
  Control,      // BOS, EOS, padding, ...: has no text
  Byte,         // "<0x00>" to "<0xFF>": one byte of a character that has no piece
  UserDefined,  // found in the text before anything else, as a whole
  Unused,       // merging may pass through it, but it is taken apart again; padding of the vocabulary
};

/// All that a Tokenizer needs, as plain data: what the converter makes from a checkpoint's tokenizer, and what
/// tokenizer.json inside a .heed file holds. engine/file/tokenizer_format.md says exactly what each field means; the
/// comments here are reminders.
struct TokenizerDescription {
  enum class Alphabet : std::uint8_t { Characters, Bytes };
  enum class Merging : std::uint8_t { None, Scores, Ranks, Unigram, WordPieces, Words };
  enum class Prefix : std::uint8_t { Never, First, Always };

  std::vector<std::string> pieces;  // by id, UTF-8; normal pieces in GPT-2's byte alphabet when alphabet is Bytes
  std::vector<PieceKind> kinds;     // as many as pieces
  Alphabet alphabet = Alphabet::Characters;

  Merging merging = Merging::None;
  std::vector<double> scores;                       // Scores, Unigram: as many as pieces, finite
  bool double_scores = false;                       // Unigram: scores and their sums keep 64 bits, else 32
  std::vector<std::pair<TokenId, TokenId>> merges;  // Ranks: left and right id, best first
  bool whole_pieces_first = false;                  // a split that is a piece is not merged ("ignore_merges")
  bool fuse_unknown = false;                        // a run of unknown characters gives one unknown piece

  std::string word_suffix;            // Ranks: what the last character of a stretch has behind it ("</w>")
  std::string continuing_prefix;      // WordPieces: of pieces that go on with a word ("##")
  std::uint32_t most_characters = 0;  // WordPieces: longer stretches are unknown

  std::string charsmap;  // SentencePiece's precompiled rules of normalization, binary; empty: none
  bool charsmap_by_cluster =
      false;                      // applied as tokenizers does, to clusters of characters, instead of the longest rule
  bool trim_spaces = false;       // SentencePiece's remove_extra_whitespaces
  bool squeeze_spaces = false;    // several spaces become one
  bool strip_left = false;        // white space at the beginning goes
  bool strip_right = false;       // and at the end
  bool whitespace_words = false;  // words between white space, each of which gets the prefix

  bool escape_spaces = false;  // "▁" (U+2581) in the pieces stands for a space
  Prefix prefix = Prefix::Never;
  bool prefix_unless_space = false;  // no prefix where the text begins with a space
  bool strip_prefix = false;         // decode() takes one leading space away
  bool strip_each = false;           // and one of each piece until there is text
  bool strip_decoded = false;        // decode() takes the white space at both ends away
  bool match_normalized = false;     // user-defined pieces are looked for after escaping and prefixing, not before
  std::vector<std::string>
      splits;  // patterns of Oniguruma that cut the text before merging, applied one after the other

  /// Where there are any, the steps say all that the fields from charsmap_by_cluster to here say, which are then left
  /// as they are.
  std::optional<Steps> steps;
  bool show_unknown = false;  // decode() gives the name of the unknown piece
  // With steps only: of user-defined, control and unknown pieces, which are added tokens to Hugging Face.
  std::vector<TokenId> normalized;   // looked for, normalized themselves, in normalized text; others in raw text
  std::vector<TokenId> left_space;   // take the white space before them along
  std::vector<TokenId> right_space;  // and behind them
  std::vector<TokenId> whole_words;  // only where no letter is next to them
  std::vector<TokenId> apart;        // what cuts stretches into pieces does not know them

  std::vector<TokenId> before;  // what encode() adds before the text, e.g. BOS
  std::vector<TokenId> after;   // and after it
  std::vector<TokenId> end;     // where generation ends

  /// The pieces that text is cut into, where those are not the model's: Marian and M2M-100 look each of them up in a
  /// vocabulary of its own. Normalization and merging stand there, everything about ids here.
  std::shared_ptr<const TokenizerDescription> segments;
  std::map<std::string, TokenId> languages;  // the tokens that name languages, by code ("en", "fra_Latn")
  bool leading_code = false;                 // a text may begin with such a token, as in ">>fra<< Hello"

  /// The unknown piece, if there is one.
  std::optional<TokenId> unknown() const;
  /// Appends unused pieces until there are `size`, for models whose vocabulary is larger than their tokenizer's.
  void pad(std::size_t size);
  /// Throws Error for sizes that do not fit, ids out of range, text that is not UTF-8, byte pieces that are not
  /// "<0xNN>", and so on. Does not compile the patterns and does not look for the pieces that merges lead to: building
  /// a Tokenizer does.
  void validate() const;

  /// The content of tokenizer.json. Throws Error when validate() does.
  std::string to_json() const;
  /// The inverse. Throws Error when `json` is not such a description, or not a valid one.
  static TokenizerDescription from_json(std::string_view json);

 private:
  void check_segments() const;
  void check_steps() const;
};

}  // namespace heed
