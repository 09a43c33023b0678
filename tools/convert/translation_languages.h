#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/convert/translation_config.h"

namespace heed::convert {

/// The code of a language's token: "en" of "__en__" (M2M-100), "eng_Latn" (NLLB), "en_XX" (mBART); nothing for others.
std::optional<std::string> language_code(std::string_view token);

/// The languages of a model that has a token for each (M2M-100, NLLB, mBART), as metadata of the .heed file: languages,
/// and default_from and default_to where tokenizer_config.json names them. Their ids stand in tokenizer.json or
/// tokenizer_config.json, or follow those of vocab.json in the order of special_tokens_map.json. Empty for other
/// models, and with a note where none of these files names any. Throws Error for ids beyond the vocabulary.
nlohmann::json read_translation_languages(const std::filesystem::path& folder, const TranslationConfig& config,
                                          const nlohmann::json& search, std::vector<std::string>& notes);

}  // namespace heed::convert
