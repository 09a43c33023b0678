#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace heed {

/// A vocabulary of whole words or of single characters, as people train small models with. It is what tokenizer.json in
/// a .heed file holds for them, and simple to write by hand: engine/file/tokenizer_format.md, "Words and characters".
struct WordVocabulary {
  enum class Unit : std::uint8_t { Words, Characters };

  Unit unit = Unit::Words;
  std::vector<std::string> tokens;    // by id, each once
  std::optional<TokenId> unknown;     // for what is not in the vocabulary; without it, that is an error
  std::optional<TokenId> begin, end;  // where a text begins and ends
  std::optional<TokenId> pad;         // never produced
  bool add_begin = false;             // encode() puts `begin` before a text
  bool add_end = true;                // and `end` behind it
  bool lower_case = false;            // the text is lower-cased first, each character by itself
  bool pytorch_tutorial = false;      // the text is changed by normalizeString of PyTorch's translation tutorial first

  /// Throws Error, beginning with `name`, for tokens that are empty, occur twice or are not UTF-8, and ids out of
  /// range.
  void validate(const std::string& name) const;
  std::string to_json() const;
  /// What people write or to_json() wrote. Throws Error, beginning with `name`, for what is not such a vocabulary:
  /// unknown fields, two tokens of one id, ids that nobody has.
  static WordVocabulary from_json(const std::string& name, std::string_view json);
};

/// Whether `json` is an object whose "type" is one of WordVocabulary's; false where it is not JSON.
bool is_word_vocabulary(std::string_view json);

/// Throws Error when the vocabulary is not valid.
std::unique_ptr<Tokenizer> make_word_tokenizer(const WordVocabulary& vocabulary);

}  // namespace heed
