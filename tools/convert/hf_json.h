#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_steps.h"

namespace heed::convert {

/// Access to a tokenizer.json whose types are not trusted: every error begins with the file's name and says what was
/// found. Absent members read as null.
class HfJson {
 public:
  explicit HfJson(const std::string& name) : name_(name) {}

  [[noreturn]] void fail(const std::string& message) const;
  const nlohmann::json& member(const nlohmann::json& object, const char* key) const;
  bool flag(const nlohmann::json& object, const char* key, bool otherwise) const;
  std::string text(const nlohmann::json& object, const char* key) const;
  std::string type(const nlohmann::json& object, const char* what) const;
  const nlohmann::json& list(const nlohmann::json& object, const char* key) const;
  /// Refuses members of other names, unless null.
  void only_keys(const nlohmann::json& object, std::string_view what,
                 std::initializer_list<std::string_view> keys) const;
  /// What a part of the file does, one after the other: nothing for null, the steps of a Sequence, or itself.
  std::vector<nlohmann::json> steps(const nlohmann::json& part, const char* what, const char* steps_key) const;
  /// {"String": ..} or {"Regex": ..} of a step that is named in messages.
  void read_pattern(const nlohmann::json& step, std::string& find, bool& is_regex) const;

 private:
  const std::string& name_;
};

/// What normalizers and pre-tokenizers of the file come to.
struct HfText {
  std::vector<TextStep> normalize;
  std::vector<TextStep> cut;
  std::string charsmap;
  bool by_byte = false;  // ByteLevel comes last
};
/// Throws Error naming the one that heed cannot reproduce.
HfText read_hf_text(const HfJson& file, const nlohmann::json& normalizer, const nlohmann::json& pre_tokenizer);

/// The same of decoders. `by_byte`: pieces are spelled in GPT-2's letters for bytes.
std::vector<DecodeStep> read_hf_decoder(const HfJson& file, const nlohmann::json& decoder, bool by_byte);

}  // namespace heed::convert
