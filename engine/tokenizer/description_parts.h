#pragma once

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "heed/error.h"
#include "tokenizer/description.h"

// What the checks of a description and its JSON share.
namespace heed::description_parts {

inline constexpr std::array<const char*, 2> kAlphabets = {"characters", "bytes"};
inline constexpr std::array<const char*, 6> kMergings = {"none", "scores", "ranks", "unigram", "word_pieces", "words"};
inline constexpr std::array<const char*, 3> kPrefixes = {"never", "first", "always"};

/// Whether pieces have scores.
inline bool has_scores(const TokenizerDescription& description) {
  return description.merging == TokenizerDescription::Merging::Scores ||
         description.merging == TokenizerDescription::Merging::Unigram;
}

/// The steps as JSON, and back. Throws Error when it is not of that form.
nlohmann::json json_of_steps(const Steps& steps);
Steps read_steps(const nlohmann::json& json);

template <typename... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error("tokenizer.json: " + fmt::format(format, std::forward<Arguments>(arguments)...) +
              "; convert the model again");
}

}  // namespace heed::description_parts
