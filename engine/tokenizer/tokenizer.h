#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

using TokenId = std::int32_t;
struct TokenizerDescription;

/// What encode() makes of special tokens ("</s>", "<|im_start|>", "[INST]") that a text spells.
struct Specials {
  bool parse = false;  // they become those tokens; else they are text like all other, which cannot end or forge a turn
  struct Range {
    std::size_t begin = 0, end = 0;
  };
  /// Bytes of the text, ascending and apart from each other: what has one of these is no special token.
  std::vector<Range> plain{};
  /// User-defined pieces that are marks of a chat as special tokens are (ascending): the same holds for them.
  std::vector<TokenId> marks{};
};

/// A special token or user-defined piece that a text spells.
struct SpelledToken {
  std::size_t begin = 0, end = 0;  // byte offsets
  TokenId token = 0;
  bool special = false;
};

/// Text to token ids and back. Built from the tokenizer file that the converter embeds in a .heed file
/// (engine/file/tokenizer_format.md; description.h and words.h in memory); immutable, so any thread may call it.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Throws Error when the description is not well formed.
  static std::unique_ptr<Tokenizer> from_json(std::string_view json);
  static std::unique_ptr<Tokenizer> from_description(const TokenizerDescription& description);

  /// Ids of a text of n bytes, in O(n log n) steps, with the leading and trailing tokens that the model expects (BOS)
  /// when `add_special`. Throws Error when `text` is not valid UTF-8 or holds a character that the vocabulary can
  /// neither spell nor replace by an unknown token.
  virtual std::vector<TokenId> encode(std::string_view text, bool add_special = true,
                                      const Specials& specials = {}) const = 0;
  /// The longest special token or user-defined piece at each place of a text where there is one, those within others
  /// too.
  virtual std::vector<SpelledToken> spelled(std::string_view text) const = 0;
  /// The bytes that a token adds to a running text: "▁a" gives " a", byte tokens their byte, control tokens (BOS, EOS,
  /// padding) nothing, and so the unknown token of pieces; that of whole words or characters its name. A character may
  /// be spread over several tokens. Throws Error when there is no such token.
  virtual std::string piece(TokenId token) const = 0;
  /// Ids at which generation ends.
  virtual const std::vector<TokenId>& end_tokens() const = 0;
  virtual std::size_t vocabulary_size() const = 0;

  /// Pieces of all ids one after the other, less the space that encode() put before the first word. Not always valid
  /// UTF-8.
  virtual std::string decode(const std::vector<TokenId>& tokens) const = 0;

  /// What encode() puts before and behind a text when `add_special`.
  virtual const std::vector<TokenId>& before() const = 0;
  virtual const std::vector<TokenId>& after() const = 0;
  /// The token that a text begins with where one is made, if the vocabulary names it.
  virtual std::optional<TokenId> begin_token() const { return std::nullopt; }
  /// The token of what the vocabulary lacks, where it has one.
  virtual std::optional<TokenId> unknown_token() const = 0;
  /// The tokens that name languages, by code as people write it: "en", "fra_Latn". Empty where a model has none.
  virtual const std::map<std::string, TokenId>& languages() const = 0;
  /// The token of a language. Throws Error listing the ones there are.
  TokenId language(std::string_view code) const;
  /// encode() with the token of a language in the place where the model expects one: instead of the one that before()
  /// or after() holds, else in front.
  std::vector<TokenId> encode_for(std::string_view text, TokenId language) const;
};

/// Turns the pieces of a token stream into text that can be shown at once: holds back bytes that begin a UTF-8
/// character until it is complete, replaces invalid bytes by U+FFFD, and ends at stop strings, which may begin in one
/// piece and end in another. How the bytes are cut into pieces does not change the text. For one thread.
class TextStream {
 public:
  /// Throws Error when a stop string is empty or not valid UTF-8.
  explicit TextStream(std::vector<std::string> stop_strings = {});
  /// Adds the bytes of one token; returns what can be shown now. After stopped() nothing more comes.
  std::string push(std::string_view piece);
  /// What was held back, an incomplete character as U+FFFD: called once, when generation ends without a stop string.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::string complete_characters();
  std::string show(std::string_view characters);
  std::vector<std::string> stop_strings_;
  std::string bytes_;  // not yet complete characters
  std::string text_;   // complete, but perhaps the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace heed
