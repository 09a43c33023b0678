// libFuzzer target for tokenizer.model of SentencePiece and the tokenizer_config.json beside it: only heed::Error may
// escape, and what is read must make a tokenizer. The first byte says how many of the last ones are the latter.
#include <algorithm>
#include <cstdint>
#include <string>

#include "heed/error.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/json_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t config_bytes = std::min<std::size_t>(data[0], bytes.size());
  try {
    const std::string config = bytes.substr(bytes.size() - config_bytes);
    const nlohmann::json tokenizer_config =
        config.empty() ? nlohmann::json() : heed::convert::parse_json("tokenizer_config.json", config);
    const heed::TokenizerDescription description = heed::convert::read_sentencepiece(
        "tokenizer.model", bytes.substr(0, bytes.size() - config_bytes), tokenizer_config, 1000);
    const auto tokenizer = heed::Tokenizer::from_json(description.to_json());
    tokenizer->decode(tokenizer->encode("the <s> 1\n"));
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
