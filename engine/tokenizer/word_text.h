#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// What is done to text before it is looked up in a vocabulary of words or characters. All texts are valid UTF-8.

/// Each character's simple lower case.
std::string lower_case(std::string_view text);
/// normalizeString of PyTorch's tutorial "Translation with a Sequence to Sequence Network and Attention": lower case,
/// Latin letters without their marks, ".", "!" and "?" apart from the word before, everything else a space. Later
/// editions of the tutorial drop full stops, earlier ones keep them, as `keeps_full_stops` says.
std::string tutorial_text(std::string_view text, bool keeps_full_stops);
/// The words between white space, views into `text`.
std::vector<std::string_view> words_of(std::string_view text);

}  // namespace heed
