#include "tools/convert/own_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "heed/error.h"
#include "tools/convert/recurrent_model.h"
#include "tools/convert/text.h"
#include "tools/convert/torch_transformer.h"
#include "tools/convert/translation_search.h"
#include "tools/convert/translation_tokenizer.h"

namespace heed::convert {

namespace {

std::string own_type(const nlohmann::json& config) {
  const auto type = config.is_object() ? config.find("model_type") : config.end();
  return config.is_object() && type != config.end() && type->is_string() ? type->get<std::string>() : std::string();
}

/// A vocabulary of words or characters whose special tokens are those that config.json names, where it names none
/// itself. Such a list is the whole vocabulary of a model: fewer tokens than rows of the embedding are those of another
/// one.
std::string with_special_tokens(const std::string& tokenizer, const std::string& file, std::int64_t rows,
                                const nlohmann::json& json) {
  nlohmann::json own = nlohmann::json::parse(tokenizer);
  if (own.contains("pieces")) return tokenizer;
  const auto count = static_cast<std::int64_t>(own.at("tokens").size());
  if (count != rows) {
    throw Error(fmt::format("{}: has {} tokens, but the model has {}; it is the vocabulary of another model", file,
                            count, rows));
  }
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"begin", "bos_token_id"}, {"end", "eos_token_id"}, {"pad", "pad_token_id"}};
  for (const auto& [name, key] : kKeys) {
    const nlohmann::json id = json.value(key, nlohmann::json());
    if (own.contains(name) || !id.is_number_integer()) continue;
    if (id.get<std::int64_t>() >= 0 && id.get<std::int64_t>() < count) own[name] = own["tokens"][id.get<std::size_t>()];
  }
  return own.dump();
}

/// The tokenizer of sources, with what config.json says stands around them: `source_begin` and `source_end`.
std::string around_sources(const std::string& tokenizer, bool is_json, const nlohmann::json& json, ConfigReader& config,
                           std::vector<std::string>& notes) {
  nlohmann::json own = nlohmann::json::parse(tokenizer);
  const bool is_words = !own.contains("pieces");
  const auto own_ids = [&](const char* key) { return own.contains(key) ? own[key] : nlohmann::json::array(); };
  // SentencePiece's files do not say what stands around a text; tokenizer.json may.
  const bool says_itself = !is_words && is_json && !(own_ids("before").empty() && own_ids("after").empty());
  const bool begin = config.boolean(
      "source_begin", is_words ? own.value("add_begin", false) : says_itself && !own_ids("before").empty());
  const bool end =
      config.boolean("source_end", is_words ? own.value("add_end", true) : !says_itself || !own_ids("after").empty());
  if (is_words) {
    own["add_begin"] = begin;
    own["add_end"] = end;
    if (begin && !own.contains("begin")) config.fail("bos_token_id", "the id that stands before sources");
    if (end && !own.contains("end")) config.fail("eos_token_id", "the id that stands behind sources");
  } else if (!says_itself || json.contains("source_begin") || json.contains("source_end")) {
    const auto token = [&](bool wanted, const char* source_key, const char* key) {
      const auto given = config.find_token(source_key, own["pieces"].size());
      if (!wanted) return nlohmann::json::array();
      const nlohmann::json id = given ? nlohmann::json(*given) : json.value(key, nlohmann::json());
      const nlohmann::json control = own_ids("control");
      if (!id.is_number_integer() || std::ranges::find(control, id) == control.end()) {
        config.fail(source_key, "the id that stands around sources, of a control token of the source's tokenizer");
      }
      return nlohmann::json::array({id});
    };
    own["before"] = token(begin, "source_bos_token_id", "bos_token_id");
    own["after"] = token(end, "source_eos_token_id", "eos_token_id");
  }
  notes.push_back(std::string("sources are read as ") + (begin ? "begin, " : "") + "text" + (end ? ", end" : "") +
                  "; where that is not how the model was trained, source_begin and source_end in config.json say so");
  return own.dump();
}

}  // namespace

bool is_own_translation(const nlohmann::json& config) {
  const std::string type = own_type(config);
  return type == "transformer-translation" || type == "recurrent-translation";
}

Checkpoint read_own_translation(const std::filesystem::path& folder, const nlohmann::json& config) {
  return own_type(config) == "transformer-translation" ? read_torch_transformer(folder, config)
                                                       : read_recurrent_model(folder, config);
}

void finish_own_model(const std::filesystem::path& folder, const nlohmann::json& json, ConfigReader& config,
                      std::int64_t vocabulary, Checkpoint& checkpoint) {
  checkpoint.name = valid_utf8(std::filesystem::absolute(folder).lexically_normal().filename().string());
  checkpoint.metadata = read_translation_search(
      json, {}, vocabulary, checkpoint.parameters["source_vocabulary"].get<std::int64_t>(), checkpoint.notes);
  checkpoint.end_tokens = checkpoint.metadata["end_tokens"].get<std::vector<std::int32_t>>();
  for (const char* key : {"name", "description", "licence"}) {
    if (const auto text = config.find_text(key)) checkpoint.metadata[key] = *text;
  }
  const auto tokenizer = [&](const char* key, std::int64_t rows) {
    const auto file = config.find_text(key);
    if (!file) return std::string();
    if (!is_plain_name(*file) || file->find('/') != std::string::npos) config.fail(key, "a file of the folder");
    return with_special_tokens(read_tokenizer_file(folder / *file, rows), (folder / *file).string(), rows, json);
  };
  checkpoint.tokenizer = tokenizer("source_tokenizer", checkpoint.parameters["source_vocabulary"].get<std::int64_t>());
  checkpoint.target_tokenizer = tokenizer("target_tokenizer", vocabulary);
  if (checkpoint.tokenizer.empty() != checkpoint.target_tokenizer.empty()) {
    config.fail(checkpoint.tokenizer.empty() ? "source_tokenizer" : "target_tokenizer",
                "a file of the folder, as for the other side");
  }
  if (!checkpoint.tokenizer.empty()) {
    checkpoint.tokenizer =
        around_sources(checkpoint.tokenizer, json["source_tokenizer"].get<std::string>().ends_with(".json"), json,
                       config, checkpoint.notes);
  }
  if (checkpoint.tokenizer == checkpoint.target_tokenizer) checkpoint.target_tokenizer.clear();
  if (checkpoint.tokenizer.empty()) {
    checkpoint.notes.push_back("config.json names no tokenizers: the model can only be fed token ids");
  }
  config.refuse_unread();
}

}  // namespace heed::convert
