#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "tokenizer/words.h"

namespace heed {
namespace {

using Json = nlohmann::json;

constexpr int kWordsVersion = 3;  // that of the whole of tokenizer_format.md
constexpr std::array kWordFields = {"version", "type",      "tokens",     "unknown",   "begin",  "end",
                                    "pad",     "normalize", "lower_case", "add_begin", "add_end"};
constexpr const char* kTutorial = "pytorch-tutorial";

class WordReader {
 public:
  WordReader(const std::string& name, const Json& json) : name_(name), json_(json) {}

  WordVocabulary read() {
    for (const auto& [field, value] : json_.items()) {
      if (std::ranges::find(kWordFields, field) == kWordFields.end()) {
        fail(fmt::format("field {} is not known; expected {}", shown(field), fmt::join(kWordFields, ", ")));
      }
    }
    if (json_.contains("version") && json_["version"] != kWordsVersion) fail("its version is not 3");
    WordVocabulary vocabulary;
    vocabulary.unit = json_["type"] == "characters" ? WordVocabulary::Unit::Characters : WordVocabulary::Unit::Words;
    read_tokens(vocabulary.tokens);
    vocabulary.unknown = special("unknown", vocabulary.tokens);
    vocabulary.begin = special("begin", vocabulary.tokens);
    vocabulary.end = special("end", vocabulary.tokens);
    vocabulary.pad = special("pad", vocabulary.tokens);
    vocabulary.add_begin = flag("add_begin", false);
    vocabulary.add_end = flag("add_end", true);
    vocabulary.lower_case = flag("lower_case", false);
    if (json_.contains("normalize")) {
      if (json_["normalize"] != kTutorial) fail(fmt::format("'normalize' has a value other than \"{}\"", kTutorial));
      vocabulary.pytorch_tutorial = true;
    }
    vocabulary.validate(name_);
    return vocabulary;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw Error(fmt::format("{}: {}", name_, message)); }
  static std::string shown(const Json& value) {
    constexpr std::size_t kLongest = 60;
    const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
  }

  bool flag(const char* field, bool otherwise) const {
    if (!json_.contains(field)) return otherwise;
    if (!json_[field].is_boolean()) fail(fmt::format("'{}' is {}; expected true or false", field, shown(json_[field])));
    return json_[field].get<bool>();
  }

  // Tokens by id: a list in the order of the ids, or an object of them.
  void read_tokens(std::vector<std::string>& tokens) const {
    const Json& json = json_.contains("tokens") ? json_["tokens"] : Json();
    if (json.is_array()) {
      for (const Json& token : json) {
        if (!token.is_string()) fail(fmt::format("'tokens' holds {}; expected strings", shown(token)));
        tokens.push_back(token.get<std::string>());
      }
      return;
    }
    if (!json.is_object()) fail("'tokens' is no list of strings, and no object of a string and its id each");
    std::vector<bool> taken(json.size());
    tokens.resize(json.size());
    for (const auto& [token, id] : json.items()) {
      if (!id.is_number_integer() || (!id.is_number_unsigned() && id.get<std::int64_t>() < 0)) {
        fail(fmt::format("token {} has the id {}; expected an integer from 0 on", shown(token), shown(id)));
      }
      const auto at = id.get<std::uint64_t>();
      if (at >= tokens.size()) {
        fail(fmt::format("token {} has the id {}, but there are only {} tokens: some id below it is nobody's",
                         shown(token), at, tokens.size()));
      }
      if (taken[at]) fail(fmt::format("tokens {} and {} have the same id {}", shown(tokens[at]), shown(token), at));
      taken[at] = true;
      tokens[at] = token;
    }
  }

  std::optional<TokenId> special(const char* field, const std::vector<std::string>& tokens) const {
    if (!json_.contains(field) || json_[field].is_null()) return {};
    if (!json_[field].is_string()) fail(fmt::format("'{}' is {}; expected a token", field, shown(json_[field])));
    const auto found = std::ranges::find(tokens, json_[field].get<std::string>());
    if (found == tokens.end())
      fail(fmt::format("'{}' is {}, which is not among the tokens", field, shown(json_[field])));
    return static_cast<TokenId>(found - tokens.begin());
  }

  const std::string& name_;
  const Json& json_;
};

}  // namespace

bool is_word_vocabulary(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("type")) return false;
  return json["type"] == "words" || json["type"] == "characters";
}

WordVocabulary WordVocabulary::from_json(const std::string& name, std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception&) {
    throw Error(fmt::format("{}: is not valid JSON", name));
  }
  const Json type = json.is_object() && json.contains("type") ? json["type"] : Json();
  if (type != "words" && type != "characters") {
    throw Error(fmt::format("{}: 'type' is neither \"words\" nor \"characters\"", name));
  }
  return WordReader(name, json).read();
}

std::string WordVocabulary::to_json() const {
  validate("tokenizer.json");
  Json json = {{"version", kWordsVersion}, {"type", unit == Unit::Words ? "words" : "characters"},
               {"tokens", tokens},         {"add_begin", add_begin},
               {"add_end", add_end},       {"lower_case", lower_case}};
  const auto name = [&](const char* field, const std::optional<TokenId>& id) {
    if (id) json[field] = tokens[static_cast<std::size_t>(*id)];
  };
  name("unknown", unknown);
  name("begin", begin);
  name("end", end);
  name("pad", pad);
  if (pytorch_tutorial) json["normalize"] = kTutorial;
  return json.dump();
}

}  // namespace heed
