#pragma once

#include <filesystem>
#include <map>
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

/// The chat templates of a folder (chat_template.jinja, folder additional_chat_templates, chat_template.json, or
/// 'chat_template' of tokenizer_config.json, one or a list of named ones) and the special tokens that they name
/// (tokenizer_config.json, special_tokens_map.json), as metadata 'chat' has them; null where there is none. A template
/// that heed cannot run gives a note. Throws Error for files that are not of this form.
nlohmann::json read_chat_format(const std::filesystem::path& folder, const nlohmann::json& config,
                                std::vector<std::string>& notes);
/// Of templates by name that were read already.
nlohmann::json make_chat_format(std::map<std::string, std::string> templates, std::map<std::string, std::string> tokens,
                                std::vector<std::string>& notes);

}  // namespace heed::convert
