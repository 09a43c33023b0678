#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heed/translate.h"

namespace heed::tools {

/// The languages of a translation model, by their codes.
struct ModelLanguages {
  std::vector<std::string> sources, targets;  // empty where it is not known
  // Whether the model is told them: TranslationOptions::from and to. Else it knows no others.
  bool says_source = false, says_target = false;

  /// What the model's tokens say, and, where they say nothing, the first of `names` that ends in two codes: "en-ja".
  static ModelLanguages of(const TranslationModel& model, const std::vector<std::string>& names);

  /// The codes that the model has for what a request calls its languages. Empty and "auto" fit what the model has one
  /// of, or does not know; nothing where they do not fit.
  std::optional<std::pair<std::string, std::string>> codes_for(std::string_view source, std::string_view target) const;
};

/// "Japanese" for "ja", of ISO 639-1; what is before "_" or "-" counts: "ja_XX". The code itself where it is not known.
std::string language_name(std::string_view code);

/// "en" and "ja" of "opus-mt-en-ja"; nothing where a name does not end in two codes of ISO 639-1.
std::optional<std::pair<std::string, std::string>> languages_of_name(std::string_view name);

}  // namespace heed::tools
