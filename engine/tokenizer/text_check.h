#pragma once

#include <string_view>

namespace heed {

/// What Tokenizer::encode promises, whatever its kind: throws Error when `text` is too long or not valid UTF-8.
void check_text(std::string_view text);

}  // namespace heed
