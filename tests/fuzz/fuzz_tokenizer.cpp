// libFuzzer target for tokenizer.json, encoding, decoding and TextStream: only heed::Error may escape, and what does
// not throw must keep its promises. The first byte chooses what the others are: a tokenizer.json as it is, the fields
// of a description and a text, or a text for one of a few fixed tokenizers.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "heed/error.h"
#include "tokenizer/description.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using heed::PieceKind;
using heed::TokenId;
using heed::Tokenizer;
using Description = heed::TokenizerDescription;

void require(bool condition) {
  if (!condition) std::abort();
}

// Reads values off the input; zeros when it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  unsigned byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::string text(std::size_t size) {
    const std::string taken(rest_.substr(0, size));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string rest() { return text(rest_.size()); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// Valid more often than not: lists have the right sizes, ids may be one too large.
Description read_description(Input& input) {
  Description description;
  const unsigned flags = input.byte();
  const unsigned choices = input.byte();
  for (unsigned count = input.byte() % 32; count > 0; --count) {
    const unsigned head = input.byte();
    description.pieces.push_back(input.text(head % 8));
    description.kinds.push_back(static_cast<PieceKind>(head / 8 < 26 ? 0 : head / 8 - 26));
  }
  const auto count = static_cast<unsigned>(description.pieces.size());
  const auto id = [&] { return static_cast<TokenId>(input.byte() % (count + 1)); };
  description.alphabet = static_cast<Description::Alphabet>(choices % 2);
  description.merging = static_cast<Description::Merging>(choices / 2 % 4);
  description.prefix = static_cast<Description::Prefix>(choices / 8 % 3);
  const bool unigram = description.merging == Description::Merging::Unigram;
  if (unigram || description.merging == Description::Merging::Scores) {
    for (unsigned i = 0; i < count; ++i) description.scores.push_back(static_cast<float>(input.byte() % 16));
  }
  if (description.merging == Description::Merging::Ranks) {
    for (unsigned i = input.byte() % 32; i > 0; --i) {
      const TokenId left = id();
      description.merges.emplace_back(left, id());
    }
  }
  description.whole_pieces_first = flags & 1;
  description.fuse_unknown = flags & 2;
  description.escape_spaces = flags & 4;
  description.prefix_unless_space = flags & 8;
  description.strip_prefix = flags & 16;
  description.match_normalized = flags & 32;
  const unsigned spaces = input.byte();
  description.double_scores = unigram && (spaces & 1);
  description.trim_spaces = spaces & 2;
  description.squeeze_spaces = spaces & 4;
  description.strip_left = spaces & 8;
  description.strip_right = spaces & 16;
  description.whitespace_words = spaces & 32;
  description.strip_each = spaces & 64;
  description.strip_decoded = spaces & 128;
  if (const unsigned size = input.byte(); size > 128) {
    description.charsmap = input.text(size - 128);
    description.charsmap_by_cluster = size & 1;
  }
  for (unsigned i = flags / 64; i > 0; --i) description.splits.push_back(input.text(input.byte() % 24));
  if (choices & 128) description.before.push_back(id());
  return description;
}

// Tokenizers that spell every text, so that decoding gives it back.
const std::vector<std::unique_ptr<Tokenizer>>& fixed_tokenizers() {
  static const auto kTokenizers = [] {
    Description bytes;
    for (unsigned byte = 0; byte < 256; ++byte) {
      static const char kDigits[] = "0123456789ABCDEF";
      bytes.pieces.push_back(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
      bytes.kinds.push_back(PieceKind::Byte);
    }
    for (const char* piece : {" ", "a", "b", "aa", "ab", " a", "é", "éa", "aab", "<s>"}) {
      bytes.pieces.push_back(piece);
      bytes.kinds.push_back(piece[0] == '<' ? PieceKind::Control : PieceKind::Normal);
    }
    std::vector<std::unique_ptr<Tokenizer>> tokenizers;
    tokenizers.push_back(Tokenizer::from_description(bytes));

    Description scores = bytes;
    scores.merging = Description::Merging::Scores;
    for (std::size_t i = 0; i < scores.pieces.size(); ++i) scores.scores.push_back(static_cast<float>(i * 7 % 5));
    scores.prefix = Description::Prefix::First;
    scores.strip_prefix = scores.match_normalized = true;
    tokenizers.push_back(Tokenizer::from_description(scores));
    scores.kinds[256 + 3] = PieceKind::Unused;
    scores.kinds[256 + 6] = PieceKind::UserDefined;
    tokenizers.push_back(Tokenizer::from_description(scores));

    Description ranks = bytes;
    ranks.merging = Description::Merging::Ranks;
    ranks.merges = {{257, 258}, {257, 257}, {256, 257}, {262, 257}, {257, 260}};
    ranks.splits = {
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
    ranks.whole_pieces_first = true;
    tokenizers.push_back(Tokenizer::from_description(ranks));
    return tokenizers;
  }();
  return kTokenizers;
}

std::string stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool by_token) {
  heed::TextStream stream({"aab", "é"});
  std::string shown;
  std::string all;
  for (const TokenId id : ids) {
    if (by_token) shown += stream.push(tokenizer.piece(id));
    all += tokenizer.piece(id);
  }
  if (!by_token) shown = stream.push(all);
  shown += stream.finish();
  require(heed::find_invalid_utf8(shown) == shown.size());
  return shown;
}

void use(const Tokenizer& tokenizer, const std::string& text, bool gives_back) {
  const std::vector<TokenId> ids = tokenizer.encode(text);
  for (const TokenId id : ids) require(id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocabulary_size());
  const std::string decoded = tokenizer.decode(ids);
  if (gives_back) require(decoded == text);
  require(stream(tokenizer, ids, true) == stream(tokenizer, ids, false));
}

void run(Input& input) {
  const unsigned mode = input.byte();
  if (mode % 3 == 0) {
    const auto tokenizer = Tokenizer::from_json(input.rest());
    use(*tokenizer, "the <s> 1\n", false);
  } else if (mode % 3 == 1) {
    const Description description = read_description(input);
    const std::string json = description.to_json();
    require(Description::from_json(json).to_json() == json);
    const auto tokenizer = Tokenizer::from_json(json);
    const std::string text = input.rest();
    for (const TokenId id : tokenizer->encode(text, false)) {
      const PieceKind kind = description.kinds[static_cast<std::size_t>(id)];
      require(kind != PieceKind::Control && kind != PieceKind::Unused);
    }
    use(*tokenizer, text, false);
  } else {
    const auto& tokenizers = fixed_tokenizers();
    use(*tokenizers[mode / 3 % tokenizers.size()], input.rest(), true);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  try {
    run(input);
  } catch (const heed::Error&) {
  }
  return 0;
}
