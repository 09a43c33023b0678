#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace heed::tools {

/// RFC 4648, with "=" at the end.
std::string base64(std::string_view bytes);

/// The bytes; nothing where a text is not written so. The "=" may be left out.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace heed::tools
