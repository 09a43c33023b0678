#pragma once

#include <string>
#include <string_view>

namespace heed {

/// The text of a token as people can tell it from others: a space is "▁", what cannot be seen (control characters,
/// marks that turn the direction of writing) and bytes that are no UTF-8 are "\n", "\x1B", "\u202E". Always valid
/// UTF-8, on one line, never empty.
std::string visible_token(std::string_view token);

/// The characters of a text; bytes that are no UTF-8 as U+DC80 to U+DCFF, as Python's "surrogateescape" has them.
std::u32string code_points(std::string_view text);

}  // namespace heed
