#pragma once

#include <fmt/format.h>

#include <array>
#include <string>

#include "heed/error.h"
#include "tokenizer/description.h"

// What the checks of a description and its JSON share.
namespace heed::description_parts {

inline constexpr std::array<const char*, 2> kAlphabets = {"characters", "bytes"};
inline constexpr std::array<const char*, 4> kMergings = {"none", "scores", "ranks", "unigram"};
inline constexpr std::array<const char*, 3> kPrefixes = {"never", "first", "always"};

/// Whether pieces have scores.
inline bool has_scores(const TokenizerDescription& description) {
  return description.merging == TokenizerDescription::Merging::Scores ||
         description.merging == TokenizerDescription::Merging::Unigram;
}

template <typename... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error("tokenizer.json: " + fmt::format(format, std::forward<Arguments>(arguments)...) +
              "; convert the model again");
}

}  // namespace heed::description_parts
