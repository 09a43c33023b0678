#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tokenizer/description.h"

namespace heed::convert {

/// The tokenizer.json of Hugging Face's tokenizers library, of model type Unigram (T5), or BPE: byte-level (GPT-2,
/// Llama 3) or with "▁" for spaces (Llama 2, NLLB). engine/file/tokenizer_format.md has the mapping. `name` stands in
/// messages; ids must lie below `vocabulary`, the rows of the embedding. The end tokens are left empty: they stand in
/// other files. Throws Error naming the part that heed cannot reproduce.
TokenizerDescription read_tokenizer_json(const std::string& name, const nlohmann::json& json, std::int64_t vocabulary);

/// The tokenizer.model of the SentencePiece library, of model type unigram, BPE or char. `tokenizer_config` is the
/// tokenizer_config.json beside it or null; it says whether BOS and EOS are added. The rest as above.
TokenizerDescription read_sentencepiece(const std::string& name, std::string_view model,
                                        const nlohmann::json& tokenizer_config, std::int64_t vocabulary);

}  // namespace heed::convert
