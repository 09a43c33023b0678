// libFuzzer target for the JSON files of a Hugging Face folder: only heed::Error may escape. The first byte chooses
// which file it is; a tokenizer.json that is read must make a tokenizer.
#include <cstdint>
#include <string>
#include <vector>

#include "heed/error.h"
#include "models/decoder.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/huggingface_config.h"
#include "tools/convert/json_text.h"
#include "tools/convert/tokenizer_config.h"

namespace {

using heed::convert::parse_json;

/// A config.json to which generation_config.json belongs.
nlohmann::json complete_config() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"n_embd", 8},
          {"n_layer", 1},
          {"n_head", 2},
          {"vocab_size", 6},
          {"n_positions", 16},
          {"layer_norm_epsilon", 1e-5}};
}

void read_config(const nlohmann::json& config) {
  const auto read = heed::convert::read_huggingface_config(config, {});
  heed::models::DecoderParameters::from_json(read.parameters);
}

void read_tokenizer(const nlohmann::json& json) {
  const auto tokenizer =
      heed::Tokenizer::from_description(heed::convert::read_tokenizer_json("tokenizer.json", json, 1000));
  tokenizer->decode(tokenizer->encode("the <s> 1\n"));
}

void read_tokenizer_config(const nlohmann::json& config) {
  heed::TokenizerDescription description;
  description.pieces = {"<unk>", "<s>", "</s>", "a"};
  description.kinds.assign(4, heed::PieceKind::Control);
  heed::convert::refuse_added_tokens(config, "tokenizer.json", description);
  std::vector<std::string> notes;
  heed::convert::add_tokens_of_config(config, description, notes);
  description.validate();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  try {
    const auto json = parse_json("fuzz.json", std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
    if (data[0] % 4 == 0) read_config(json);
    if (data[0] % 4 == 1) heed::convert::read_huggingface_config(complete_config(), json);
    if (data[0] % 4 == 2) read_tokenizer(json);
    if (data[0] % 4 == 3) read_tokenizer_config(json);
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
