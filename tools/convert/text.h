#pragma once

#include <string>
#include <string_view>

namespace heed::convert {

/// A string from a file, fit for a message: in quotes, ASCII, on one line, cut when long.
std::string in_quotes(std::string_view text);
/// Whether `text` is a name that can stand in messages and in the header of a .heed file: 1 to 1024 printable ASCII
/// characters without spaces.
bool is_plain_name(std::string_view text);
/// `text` with invalid UTF-8 replaced by U+FFFD, so that JSON can hold it.
std::string valid_utf8(std::string_view text);

}  // namespace heed::convert
