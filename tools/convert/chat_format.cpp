// The chat templates of a folder of Hugging Face.
#include <fmt/format.h>

#include <algorithm>

#include "chat/prompt.h"
#include "heed/error.h"
#include "tools/convert/huggingface_config.h"
#include "tools/convert/json_text.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"
#include "tools/convert/tokenizer_config.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;
using Templates = std::map<std::string, std::string>;

constexpr std::uint64_t kMaxTemplateBytes = 1 << 20;

std::string read_template(const fs::path& path) { return SourceFile::open(path)->read_all(kMaxTemplateBytes); }

/// A .heed file holds valid UTF-8 alone.
bool can_be_kept(const std::string& name, const std::string& source) {
  return valid_utf8(name) == name && valid_utf8(source) == source;
}

/// A template, or a list of {"name": ..., "template": ...}.
void add_templates(const char* file, const nlohmann::json& value, Templates& templates) {
  if (value.is_null()) return;
  if (value.is_string()) {
    templates.emplace("default", value.get<std::string>());
    return;
  }
  const auto fail = [&](const nlohmann::json& what) {
    throw Error(
        fmt::format("{}: 'chat_template' is {}; expected a text, or a list of objects with 'name' and 'template'", file,
                    shown(what)));
  };
  if (!value.is_array()) fail(value);
  for (const nlohmann::json& item : value) {
    const bool named = item.is_object() && item.contains("name") && item["name"].is_string() &&
                       item.contains("template") && item["template"].is_string();
    if (!named) fail(item);
    templates.emplace(item["name"].get<std::string>(), item["template"].get<std::string>());
  }
}

/// The special tokens that templates know by name, where they are not there yet.
void add_tokens(const nlohmann::json& config, std::map<std::string, std::string>& tokens) {
  if (!config.is_object()) return;
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!config.contains(name)) continue;
    const nlohmann::json& token = config[name];
    const nlohmann::json text = token.is_object() ? token.value("content", nlohmann::json()) : token;
    if (text.is_string()) tokens.emplace(name, text.get<std::string>());
  }
}

}  // namespace

nlohmann::json make_chat_format(Templates templates, std::map<std::string, std::string> tokens,
                                std::vector<std::string>& notes) {
  if (templates.empty()) return nullptr;
  for (const auto& [name, source] : templates) {
    const std::string_view what = can_be_kept(name, source) ? "is kept, but heed cannot run it" : "is left out";
    try {
      const chat::Template parsed(source);
    } catch (const Error& error) {
      notes.push_back(fmt::format("the chat template {} {}: {}", in_quotes(name), what, error.what()));
    }
    if (valid_utf8(name) != name) notes.push_back("a chat template is left out, since its name is not valid UTF-8");
  }
  std::erase_if(templates, [](const auto& entry) { return !can_be_kept(entry.first, entry.second); });
  if (templates.empty()) return nullptr;
  if (templates.size() > chat::ChatFormat::kMostTemplates) {
    notes.push_back(fmt::format("the {} chat templates are left out, since at most {} are read", templates.size(),
                                chat::ChatFormat::kMostTemplates));
    return nullptr;
  }
  return chat::ChatFormat{std::move(templates), std::move(tokens)}.to_json();
}

nlohmann::json read_chat_format(const fs::path& folder, const nlohmann::json& config, std::vector<std::string>& notes) {
  Templates templates;
  // As transformers looks for them: files of templates go before what stands in tokenizer_config.json.
  if (const fs::path file = folder / "chat_template.jinja"; file_exists(file)) {
    templates.emplace("default", read_template(file));
  }
  std::error_code ignored;
  if (const fs::path more = folder / "additional_chat_templates"; fs::is_directory(more, ignored)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(more)) {
      if (entry.path().extension() != ".jinja") continue;
      templates.emplace(valid_utf8(entry.path().stem().string()), read_template(entry.path()));
    }
  }
  if (templates.empty()) {
    const nlohmann::json own = read_json_if_any(folder / "chat_template.json", kMaxConfigBytes);
    if (own.is_object()) add_templates("chat_template.json", own.value("chat_template", nlohmann::json()), templates);
  }
  if (templates.empty() && config.is_object()) {
    add_templates("tokenizer_config.json", config.value("chat_template", nlohmann::json()), templates);
  }
  if (templates.empty()) return nullptr;
  std::map<std::string, std::string> tokens;
  add_tokens(config, tokens);
  add_tokens(read_json_if_any(folder / "special_tokens_map.json", kMaxConfigBytes), tokens);
  return make_chat_format(std::move(templates), std::move(tokens), notes);
}

}  // namespace heed::convert
