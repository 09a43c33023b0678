#include "tests/unit/grammar/vocabularies.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "grammar/program.h"
#include "tokenizer/description.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/json_text.h"

namespace heed::grammar_test {

std::filesystem::path golden_path(const std::string& inside) {
  return std::filesystem::path(HEED_SOURCE_DIR) / "tests" / "golden" / inside;
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& file) {
  const auto json = convert::read_json(file, 64 << 20);
  return Tokenizer::from_description(convert::read_tokenizer_json("tokenizer.json", json, 1 << 20));
}

const std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>>& golden_tokenizers() {
  static const auto kTokenizers = [] {
    std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>> made;
    for (const char* name : {"llama", "gpt2", "llama_gqa_tied"}) {
      made.emplace_back(name, open_tokenizer(golden_path(std::string("hf/") + name + "/tokenizer.json")));
    }
    return made;
  }();
  return kTokenizers;
}

const Tokenizer& many_marks() {
  static const std::unique_ptr<Tokenizer> kTokenizer = [] {
    TokenizerDescription description;
    const auto add = [&](const std::string& piece, PieceKind kind) {
      description.pieces.push_back(piece);
      description.kinds.push_back(kind);
    };
    add("</s>", PieceKind::Control);
    static const char kDigits[] = "0123456789ABCDEF";
    for (unsigned byte = 0; byte < 256; ++byte) {
      add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", PieceKind::Byte);
    }
    Random random(7);
    const std::vector<std::string> parts = {"\"", "{",    "}", "[",    "]",    ":", ",", " ",  "\n", "a",
                                            "b",  "name", "1", "0",    "-",    ".", "é", "日", "本", "😀",
                                            "\\", "u",    "e", "true", "null", "x", "(", ")"};
    std::vector<std::string> pieces;
    while (pieces.size() < 700) {
      std::string piece;
      for (std::size_t i = below(random, 4) + 1; i > 0; --i) piece += parts[below(random, parts.size())];
      if (std::ranges::find(pieces, piece) == pieces.end()) pieces.push_back(piece);
    }
    for (const std::string& piece : pieces) add(piece, PieceKind::Normal);
    description.end = {0};
    return Tokenizer::from_description(description);
  }();
  return *kTokenizer;
}

TokenId end_of(const Tokenizer& tokenizer) {
  for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
    if (tokenizer.piece(static_cast<TokenId>(i)).empty()) return static_cast<TokenId>(i);
  }
  FAIL("a tokenizer has no special token");
  return -1;
}

std::shared_ptr<grammar::Matcher> matcher_of(const grammar::Grammar& grammar, const Tokenizer& tokenizer) {
  return std::make_shared<grammar::Matcher>(grammar::compile(grammar),
                                            std::make_shared<const grammar::TokenTrie>(tokenizer));
}

Constrained::Constrained(std::shared_ptr<grammar::Matcher> shared, std::vector<TokenId> end_tokens)
    : matcher(std::move(shared)),
      constraint(grammar::constrain(matcher, std::move(end_tokens))),
      words((matcher->trie().vocabulary_size() + 31) / 32) {}
Constrained::Constrained(const grammar::Grammar& grammar, const Tokenizer& tokenizer, std::vector<TokenId> end_tokens)
    : Constrained(matcher_of(grammar, tokenizer), std::move(end_tokens)) {}

const std::vector<std::uint32_t>& Constrained::mask() {
  constraint->allowed(words);
  return words;
}

std::vector<TokenId> Constrained::tokens() {
  std::vector<TokenId> allowed;
  mask();
  for (std::size_t i = 0; i < matcher->trie().vocabulary_size(); ++i) {
    if (words[i / 32] >> (i % 32) & 1) allowed.push_back(static_cast<TokenId>(i));
  }
  return allowed;
}

bool takes(const grammar::Grammar& grammar, const std::string& text) {
  const std::shared_ptr<grammar::Matcher> matcher = matcher_of(grammar, many_marks());
  grammar::Matcher::Place place(*matcher);
  return matcher->accept(place, text) && matcher->complete(place);
}

}  // namespace heed::grammar_test
