// libFuzzer target for grammars and JSON schemas: only heed::Error may escape, and what the mask allows is taken, what
// it does not is refused. The first byte says what the others are: a grammar or a schema; those behind a zero byte, if
// there is one, choose tokens.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/grammars.h"
#include "heed/error.h"
#include "tokenizer/description.h"
#include "tokenizer/tokenizer.h"

namespace {

using heed::PieceKind;
using heed::TokenId;
using heed::grammar::Grammars;

void require(bool condition) {
  if (!condition) std::abort();
}

std::unique_ptr<heed::Tokenizer> make_tokenizer() {
  heed::TokenizerDescription description;
  const auto add = [&](const std::string& piece, PieceKind kind) {
    description.pieces.push_back(piece);
    description.kinds.push_back(kind);
  };
  add("</s>", PieceKind::Control);
  for (unsigned byte = 0; byte < 256; ++byte) {
    static const char kDigits[] = "0123456789ABCDEF";
    add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", PieceKind::Byte);
  }
  for (const char* piece : {"ab", "abc", "{\"", "\":", "\",\"", "\"}", "]}", "true", "10", "日本", "é\"", " \"a\": "}) {
    add(piece, PieceKind::Normal);
  }
  description.end = {0};
  return heed::Tokenizer::from_description(description);
}

void run(bool is_schema, std::string_view grammar, std::string_view choices) {
  static const std::unique_ptr<heed::Tokenizer> kTokenizer = make_tokenizer();
  Grammars grammars(*kTokenizer);
  const auto constraint =
      grammars.constrain(is_schema ? Grammars::Format::JsonSchema : Grammars::Format::Gbnf, grammar, {0});
  std::vector<std::uint32_t> mask((kTokenizer->vocabulary_size() + 31) / 32);
  for (std::size_t i = 0; i < 24; ++i) {
    constraint->allowed(mask);
    std::vector<TokenId> allowed;
    TokenId refused = -1;
    for (std::size_t token = 0; token < kTokenizer->vocabulary_size(); ++token) {
      const bool may = mask[token / 32] >> (token % 32) & 1;
      if (may) allowed.push_back(static_cast<TokenId>(token));
      if (!may) refused = static_cast<TokenId>(token);
    }
    require(!allowed.empty());
    if (refused >= 0) {
      bool taken = true;
      try {
        constraint->accept(refused);
      } catch (const heed::Error&) {
        taken = false;
      }
      require(!taken);
    }
    const std::size_t choice = i < choices.size() ? static_cast<unsigned char>(choices[i]) : i * 7;
    const TokenId next = allowed[choice % allowed.size()];
    constraint->accept(next);
    if (next == 0) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0', 1), size);
  try {
    run(input[0] % 2 == 1, input.substr(1, end - 1), input.substr(std::min(end + 1, size)));
  } catch (const heed::Error&) {
  }
  return 0;
}
