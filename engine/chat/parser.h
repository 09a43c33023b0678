#pragma once

#include <string_view>

#include "chat/syntax.h"

namespace heed::chat {

/// Parses a template, valid UTF-8. Throws Error with the line for what is not well formed, and for what Jinja has and
/// heed does not: imports and blocks, recursive loops, macros within others, arguments *a and **b. Names of filters and
/// tests are looked up, so that a template which can never work is refused when it is converted.
Body parse_template(std::string_view source);

}  // namespace heed::chat
