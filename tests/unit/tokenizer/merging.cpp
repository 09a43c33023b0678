// Merging against the definition of byte-pair encoding carried out literally, and on long texts.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "tokenizer/description.h"
#include "tokenizer/tokenizer.h"

namespace heed {
namespace {

using Description = TokenizerDescription;

// A random vocabulary over the first `letters` letters, closed under nothing: longer pieces of random letters.
Description random_description(std::mt19937& random, int letters, int longer) {
  Description description;
  const auto letter = [&] {
    return static_cast<char>('a' + static_cast<int>(random() % static_cast<unsigned>(letters)));
  };
  std::map<std::string, TokenId> ids;
  const auto add = [&](const std::string& piece) {
    if (ids.emplace(piece, static_cast<TokenId>(description.pieces.size())).second) description.pieces.push_back(piece);
  };
  for (int i = 0; i < letters; ++i) add(std::string(1, static_cast<char>('a' + i)));
  for (int i = 0; i < longer; ++i) {
    std::string piece;
    for (unsigned size = 2 + random() % 4; size > 0; --size) piece += letter();
    add(piece);
  }
  description.kinds.assign(description.pieces.size(), PieceKind::Normal);
  return description;
}

// Merges the best pair, again and again, looking at all pairs each time.
template <typename Rank>
std::vector<std::string> merge_literally(const std::string& text, const Rank& rank) {
  std::vector<std::string> symbols;
  for (const char c : text) symbols.emplace_back(1, c);
  for (;;) {
    std::optional<double> best;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::optional<double> one = rank(symbols[i], symbols[i + 1]);
      if (one && (!best || *one < *best)) {
        best = one;
        at = i;
      }
    }
    if (!best) return symbols;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

std::vector<std::string> pieces_of(const Description& description, const std::string& text) {
  std::vector<std::string> pieces;
  for (const TokenId id : Tokenizer::from_description(description)->encode(text)) {
    pieces.push_back(description.pieces[static_cast<std::size_t>(id)]);
  }
  return pieces;
}

std::string random_text(std::mt19937& random, unsigned letters, std::size_t size) {
  std::string text;
  while (text.size() < size) text += static_cast<char>('a' + random() % letters);
  return text;
}

}  // namespace

TEST_CASE("tokenizer: merging by score does what the definition says") {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Description description = random_description(random, 3, 30);
    description.merging = Description::Merging::Scores;
    std::map<std::string, double> scores;
    for (const std::string& piece : description.pieces) {
      description.scores.push_back(-static_cast<float>(random() % 12));  // with ties
      scores[piece] = description.scores.back();
    }
    const std::string text = random_text(random, 3, 1 + random() % 60);
    const auto expected =
        merge_literally(text, [&](const std::string& a, const std::string& b) -> std::optional<double> {
          const auto found = scores.find(a + b);
          if (found == scores.end()) return std::nullopt;
          return -static_cast<double>(found->second);
        });
    CAPTURE(text);
    CHECK(pieces_of(description, text) == expected);
  }
}

TEST_CASE("tokenizer: merging by rank does what the definition says") {
  std::mt19937 random(2);
  for (int round = 0; round < 200; ++round) {
    Description description = random_description(random, 3, 40);
    description.merging = Description::Merging::Ranks;
    std::map<std::pair<std::string, std::string>, double> ranks;
    const auto& pieces = description.pieces;
    for (std::size_t left = 0; left < pieces.size(); ++left) {
      for (std::size_t right = 0; right < pieces.size(); ++right) {
        const bool leads_somewhere =
            std::find(pieces.begin(), pieces.end(), pieces[left] + pieces[right]) != pieces.end();
        if (leads_somewhere) description.merges.emplace_back(left, right);
      }
    }
    std::shuffle(description.merges.begin(), description.merges.end(), random);
    for (std::size_t rank = 0; rank < description.merges.size(); ++rank) {
      const auto [left, right] = description.merges[rank];
      ranks[{pieces[static_cast<std::size_t>(left)], pieces[static_cast<std::size_t>(right)]}] =
          static_cast<double>(rank);
    }
    const std::string text = random_text(random, 3, 1 + random() % 60);
    const auto expected =
        merge_literally(text, [&](const std::string& a, const std::string& b) -> std::optional<double> {
          const auto found = ranks.find({a, b});
          if (found == ranks.end()) return std::nullopt;
          return found->second;
        });
    CAPTURE(text);
    CHECK(pieces_of(description, text) == expected);
  }
}

// One stretch of a million characters: what takes n log n steps is done in about a second, what takes n * n never.
TEST_CASE("tokenizer: long texts") {
  constexpr std::size_t kSize = 512 * (1953 / HEED_SLOWNESS) + 64;
  Description description;
  description.pieces = {"<unk>", "a", "b", " "};
  for (const char* letter : {"a", "b"}) {
    for (std::size_t size = 2; size <= 512; size *= 2) {
      std::string piece;
      while (piece.size() < size) piece += letter;
      description.pieces.push_back(piece);
    }
  }
  description.pieces.push_back("ab");
  description.kinds.assign(description.pieces.size(), PieceKind::Normal);
  description.kinds[0] = PieceKind::Unknown;
  description.merging = Description::Merging::Scores;
  for (std::size_t id = 0; id < description.pieces.size(); ++id) description.scores.push_back(-static_cast<float>(id));
  const auto tokenizer = Tokenizer::from_description(description);

  const auto same = tokenizer->encode(std::string(kSize, 'a'));
  CHECK(tokenizer->decode(same) == std::string(kSize, 'a'));
  CHECK(same.size() == kSize / 512 + 1);  // and one for the rest, 64
  std::mt19937 random(3);
  const std::string mixed = random_text(random, 2, kSize);
  CHECK(tokenizer->decode(tokenizer->encode(mixed)) == mixed);
  CHECK(tokenizer->encode(std::string(kSize, 'x')) == std::vector<TokenId>(kSize, 0));

  // Patterns that meet one long match, or as many matches as characters.
  for (const char* pattern : {R"(\p{L}+|\s+(?!\S)|\s+)", R"(\s*[\r\n]+|\s+(?!\S)|\s+)", ".", "a", "(?:a|b)+"}) {
    CAPTURE(pattern);
    description.splits = {pattern};
    const auto splitting = Tokenizer::from_description(description);
    for (const char c : {'a', ' '}) {
      const std::string text(kSize, c);
      CHECK(splitting->decode(splitting->encode(text)) == text);
    }
    CHECK(splitting->decode(splitting->encode(mixed)) == mixed);
  }

  description.splits = {"b+"};
  description.kinds[1] = PieceKind::UserDefined;
  const auto finding = Tokenizer::from_description(description);
  CHECK(finding->decode(finding->encode(mixed)) == mixed);
}

}  // namespace heed
