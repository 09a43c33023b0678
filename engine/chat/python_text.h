#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/text.h"
#include "chat/work.h"

// What Python's str does, by code points, of texts that are valid UTF-8 here.
namespace heed::chat {

std::u32string code_points(std::string_view text);
std::string from_code_points(std::u32string_view codes);
std::size_t count_characters(std::string_view text);
/// str.isspace() of one.
bool is_white_space(char32_t code);

enum class Side { Left, Right, Both };
/// strip(), lstrip(), rstrip(): white space, or any of `characters`. A view of the text, as all parts below are.
std::string_view strip(std::string_view text, const std::optional<std::string>& characters, Side side);
/// split() and rsplit(): at white space, or at a `separator` that is not empty; at most `most` cuts, all where
/// negative.
std::vector<std::string_view> split(std::string_view text, const std::optional<std::string>& separator,
                                    std::int64_t most, Work& work);
std::vector<std::string_view> split_from_right(std::string_view text, const std::optional<std::string>& separator,
                                               std::int64_t most, Work& work);
std::vector<std::string_view> split_into_lines(std::string_view text, bool keep_ends, Work& work);
/// replace(): the first `most`, all where negative.
Text replace(const Text& text, std::string_view from, const Text& to, std::int64_t most, Work& work);

/// Simple mappings of Unicode. Throws Error for letters that Python makes several of ("ß").
std::string upper(std::string_view text, const Work& work);
std::string lower(std::string_view text);
/// str.title(): the first letter of each run of letters.
std::string title(std::string_view text, const Work& work);
std::string capitalize(std::string_view text, const Work& work);

enum class CharacterClass { Digit, Alphabetic, Alphanumeric, Space, Upper, Lower };
/// isdigit(), isalpha(), ...: of all characters, and there is one; of Upper and Lower as Python defines those.
bool all_are(std::string_view text, CharacterClass kind);

/// repr(): in quotes, with escapes. Given with its quotes where any of it is.
Text quoted_as_python(const Text& text);

}  // namespace heed::chat
