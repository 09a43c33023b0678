#include "tokenizer/text_check.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

// Longer texts are no prompts, and merging holds about 50 bytes for each of theirs.
constexpr std::size_t kMaxTextBytes = 64 << 20;

}  // namespace

void check_text(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    throw Error(
        fmt::format("cannot encode the text: it has {} bytes, expected at most {}", text.size(), kMaxTextBytes));
  }
  if (const std::size_t invalid = find_invalid_utf8(text); invalid != text.size()) {
    throw Error(fmt::format("cannot encode the text: byte {} of {}, 0x{:02X}, is not valid UTF-8; convert it to UTF-8",
                            invalid, text.size(), static_cast<unsigned char>(text[invalid])));
  }
}

}  // namespace heed
