#pragma once

#include <memory>

#include "file/model_file.h"
#include "tokenizer/tokenizer.h"

namespace heed {

/// Which text a tokenizer is for. A model that only continues text has one for both.
enum class TokenizerRole : std::uint8_t { Source, Target };

/// The tokenizer that a .heed file holds for this role: source_tokenizer.json or target_tokenizer.json, else
/// tokenizer.json; nullptr where there is none. Throws Error for one that is not well formed.
std::unique_ptr<Tokenizer> open_tokenizer(const ModelFile& file, TokenizerRole role = TokenizerRole::Source);

}  // namespace heed
