#include "tools/convert/translation_languages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>

#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;
using Ids = std::map<std::string, std::uint64_t>;  // of languages by code

constexpr std::uint64_t kMostLanguageBytes = 128 << 20;

bool all_letters(std::string_view text, std::size_t least, std::size_t most, bool upper) {
  return text.size() >= least && text.size() <= most && std::ranges::all_of(text, [&](unsigned char c) {
           return upper ? std::isupper(c) != 0 : std::islower(c) != 0;
         });
}

void add_language(Ids& ids, const nlohmann::json& token, std::uint64_t id) {
  if (!token.is_string()) return;
  if (const auto code = language_code(token.get<std::string>())) ids.emplace(*code, id);
}

Ids language_ids(const fs::path& folder, const nlohmann::json& tokenizer_config) {
  Ids ids;
  const nlohmann::json tokenizer = read_json_if_any(folder / "tokenizer.json", kMostLanguageBytes);
  if (tokenizer.is_object() && tokenizer.contains("added_tokens") && tokenizer["added_tokens"].is_array()) {
    for (const nlohmann::json& token : tokenizer["added_tokens"]) {
      const bool whole = token.is_object() && token.contains("content") && token.contains("id");
      if (whole && natural(token["id"])) add_language(ids, token["content"], *natural(token["id"]));
    }
  }
  if (!ids.empty()) return ids;
  if (tokenizer_config.is_object() && tokenizer_config.contains("added_tokens_decoder") &&
      tokenizer_config["added_tokens_decoder"].is_object()) {
    for (const auto& [key, token] : tokenizer_config["added_tokens_decoder"].items()) {
      std::uint64_t id = 0;
      const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), id);
      const bool number = problem == std::errc() && end == key.data() + key.size();
      if (number && token.is_object() && token.contains("content")) add_language(ids, token["content"], id);
    }
  }
  if (!ids.empty()) return ids;
  // M2M-100's own tokenizer counts on behind its vocabulary.
  const nlohmann::json map = read_json_if_any(folder / "special_tokens_map.json", kMostLanguageBytes);
  const nlohmann::json vocabulary = read_json_if_any(folder / "vocab.json", kMostLanguageBytes);
  if (map.is_object() && vocabulary.is_object() && map.contains("additional_special_tokens") &&
      map["additional_special_tokens"].is_array()) {
    std::uint64_t id = vocabulary.size();
    for (const nlohmann::json& token : map["additional_special_tokens"]) add_language(ids, token, id++);
  }
  return ids;
}

std::string text_in(const nlohmann::json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

}  // namespace

std::optional<std::string> language_code(std::string_view token) {
  if (token.size() > 4 && token.starts_with("__") && token.ends_with("__")) {
    const std::string_view code = token.substr(2, token.size() - 4);
    if (all_letters(code, 2, 3, false)) return std::string(code);
  }
  const std::size_t bar = token.find('_');
  if (bar == std::string_view::npos || !all_letters(token.substr(0, bar), 2, 3, false)) return {};
  const std::string_view script = token.substr(bar + 1);
  const bool nllb =
      script.size() == 4 && all_letters(script.substr(0, 1), 1, 1, true) && all_letters(script.substr(1), 3, 3, false);
  if (nllb || all_letters(script, 2, 2, true)) return std::string(token);
  return {};
}

nlohmann::json read_translation_languages(const fs::path& folder, const TranslationConfig& config,
                                          const nlohmann::json& search, std::vector<std::string>& notes) {
  const bool m2m = config.family == TranslationFamily::M2M100;
  const bool mbart = config.family == TranslationFamily::MBart;
  if (!m2m && !mbart) return nlohmann::json::object();
  const nlohmann::json tokenizer_config = read_json_if_any(folder / "tokenizer_config.json", kMostLanguageBytes);
  const Ids ids = language_ids(folder, tokenizer_config);
  if (ids.empty()) {
    notes.push_back("no file of the folder names the tokens of languages: the model can only be fed token ids");
    return nlohmann::json::object();
  }
  const std::string tokenizer_class = text_in(tokenizer_config, "tokenizer_class");
  // Which side of a sentence the source's token stands on: the first mBART, and NLLB in its early days, had it behind.
  const bool mbart50 = mbart && tokenizer_class.starts_with("MBart50");
  const bool legacy = tokenizer_config.is_object() && tokenizer_config.contains("legacy_behaviour") &&
                      tokenizer_config["legacy_behaviour"] == true;
  const bool behind = (mbart && !mbart50) || legacy;
  const auto vocabulary = config.parameters["source_vocabulary"].get<std::uint64_t>();
  const nlohmann::json& end = search["end_tokens"][0];
  nlohmann::json languages = nlohmann::json::object();
  for (const auto& [code, id] : ids) {
    if (id >= vocabulary) {
      throw Error(fmt::format("the token of language {} has id {}, beyond the vocabulary of {}", in_quotes(code), id,
                              vocabulary));
    }
    nlohmann::json& language = languages[code];
    language["source_before"] = behind ? nlohmann::json::array() : nlohmann::json({id});
    language["source_after"] = behind ? nlohmann::json({end, id}) : nlohmann::json::array({end});
    language["target_begin"] =
        mbart && !mbart50 ? nlohmann::json({id}) : nlohmann::json({search["decoder_start"][0], id});
  }
  nlohmann::json metadata = {{"languages", languages}};
  for (const auto& [key, name] : {std::pair{"src_lang", "default_from"}, {"tgt_lang", "default_to"}}) {
    std::string code = text_in(tokenizer_config, key);
    if (languages.contains(code)) metadata[name] = std::move(code);
  }
  return metadata;
}

}  // namespace heed::convert
