#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tokenizer/description.h"

namespace heed::convert {

// The tokenizer_config.json of transformers, which lies beside tokenizer.json or tokenizer.model. Here it is null where
// there is none.

/// A flag of it. Throws Error when it is neither true nor false.
bool tokenizer_config_flag(const nlohmann::json& config, const char* key, bool otherwise);

/// It may list tokens that the tokenizer's own file, `name`, does not have: throws Error naming the first.
void refuse_added_tokens(const nlohmann::json& config, const char* name, const TokenizerDescription& description);

/// add_bos_token and add_eos_token, for a description that was read from tokenizer.json: where they are true and the
/// post-processor does not add the token, it is added; where they are false and it does, it is kept. Both give a note.
/// Throws Error when the token is not named or not there.
void add_tokens_of_config(const nlohmann::json& config, TokenizerDescription& description,
                          std::vector<std::string>& notes);

}  // namespace heed::convert
