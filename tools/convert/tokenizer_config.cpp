#include "tools/convert/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

constexpr const char* kConfigName = "tokenizer_config.json";

/// The text of a token, which is a string or an object with 'content'; empty where it is not named.
std::string named_token(const nlohmann::json& config, const char* key) {
  nlohmann::json token = config.value(key, nlohmann::json());
  if (token.is_object()) token = token.value("content", nlohmann::json());
  if (token.is_null()) return {};
  if (!token.is_string()) throw Error(fmt::format("{}: '{}' is {}; expected a token", kConfigName, key, shown(token)));
  return token.get<std::string>();
}

}  // namespace

bool tokenizer_config_flag(const nlohmann::json& config, const char* key, bool otherwise) {
  if (!config.is_object() || !config.contains(key) || config[key].is_null()) return otherwise;
  if (!config[key].is_boolean()) {
    throw Error(fmt::format("{}: '{}' is {}; expected true or false", kConfigName, key, shown(config[key])));
  }
  return config[key].get<bool>();
}

void refuse_added_tokens(const nlohmann::json& config, const char* name, const TokenizerDescription& description) {
  if (!config.is_object() || !config.contains("added_tokens_decoder")) return;
  const nlohmann::json& added = config["added_tokens_decoder"];
  if (!added.is_object()) throw Error(fmt::format("{}: 'added_tokens_decoder' is not an object", kConfigName));
  for (const auto& [id, token] : added.items()) {
    const nlohmann::json content = token.is_object() && token.contains("content") ? token["content"] : nlohmann::json();
    std::size_t at = description.pieces.size();
    std::from_chars(id.data(), id.data() + id.size(), at);
    const bool known = at < description.pieces.size() && content == description.pieces[at];
    if (!known) {
      throw Error(
          fmt::format("{}: token {} {} is not in {}; load the tokenizer in transformers and save it as tokenizer.json, "
                      "which then holds both",
                      kConfigName, in_quotes(id), shown(content), name));
    }
  }
}

void add_tokens_of_config(const nlohmann::json& config, TokenizerDescription& description,
                          std::vector<std::string>& notes) {
  if (!config.is_object()) return;
  const auto apply = [&](const char* flag, const char* key, std::vector<TokenId>& ids, const char* place) {
    if (!config.contains(flag) || config[flag].is_null()) return;
    const bool wanted = tokenizer_config_flag(config, flag, false);
    const std::string token = named_token(config, key);
    if (token.empty()) {
      if (wanted && ids.empty())
        throw Error(fmt::format("{}: '{}' is true, but there is no '{}'", kConfigName, flag, key));
      return;
    }
    const auto found = std::ranges::find(description.pieces, token);
    if (found == description.pieces.end()) {
      if (!wanted) return;
      throw Error(fmt::format("{}: '{}' is true, but tokenizer.json has no token {}, the '{}'", kConfigName, flag,
                              in_quotes(token), key));
    }
    const auto id = static_cast<TokenId>(found - description.pieces.begin());
    const bool there = std::ranges::find(ids, id) != ids.end();
    if (wanted && !there) {
      ids.insert(&ids == &description.before ? ids.begin() : ids.end(), id);
      notes.push_back(fmt::format("{} is put {} a text, as '{}' of {} says; tokenizer.json alone does not say so",
                                  in_quotes(token), place, flag, kConfigName));
    } else if (!wanted && there) {
      notes.push_back(fmt::format("{} is put {} a text, as tokenizer.json says; '{}' of {} is false", in_quotes(token),
                                  place, flag, kConfigName));
    }
  };
  apply("add_bos_token", "bos_token", description.before, "before");
  apply("add_eos_token", "eos_token", description.after, "behind");
}

}  // namespace heed::convert
