#pragma once

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"
#include "tokenizer/tokenizer.h"

namespace heed::grammar_test {

std::filesystem::path golden_path(const std::string& inside);
/// Of a tokenizer.json of Hugging Face.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& file);
/// Of models in tests/golden: pieces of SentencePiece with byte tokens, pieces of bytes, whole words' parts; by name.
const std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>>& golden_tokenizers();
/// Every byte, and a few hundred pieces with what grammars are made of, some of which hold parts of characters.
const Tokenizer& many_marks();

/// A token without text, to end with.
TokenId end_of(const Tokenizer& tokenizer);

using Random = std::mt19937;
inline std::size_t below(Random& random, std::size_t end) { return random() % end; }

/// What constrains a text, and the mask for the next token.
struct Constrained {
  Constrained(const grammar::Grammar& grammar, const Tokenizer& tokenizer, std::vector<TokenId> end_tokens);
  Constrained(std::shared_ptr<grammar::Matcher> shared, std::vector<TokenId> end_tokens);

  const std::vector<std::uint32_t>& mask();
  bool allows(TokenId token) { return mask()[static_cast<std::size_t>(token) / 32] >> (token % 32) & 1; }
  std::vector<TokenId> tokens();  // that are allowed
  void accept(TokenId token) { constraint->accept(token); }

  std::shared_ptr<grammar::Matcher> matcher;
  std::shared_ptr<TokenConstraint> constraint;
  std::vector<std::uint32_t> words;
};
std::shared_ptr<grammar::Matcher> matcher_of(const grammar::Grammar& grammar, const Tokenizer& tokenizer);

/// Whether the whole of a text is one of the grammar's, by its bytes.
bool takes(const grammar::Grammar& grammar, const std::string& text);

}  // namespace heed::grammar_test
