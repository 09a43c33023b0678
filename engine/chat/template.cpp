#include "chat/template.h"

#include <nlohmann/json.hpp>

#include "chat/parser.h"
#include "chat/rendering.h"
#include "tokenizer/utf8.h"

namespace heed::chat {

namespace {

constexpr std::size_t kLongestTemplate = 1 << 20;

}  // namespace

Template::Template(std::string_view source) {
  if (source.size() > kLongestTemplate) {
    throw Error(fmt::format("the chat template has {} bytes, at most {} are read", source.size(), kLongestTemplate));
  }
  if (const std::size_t bad = find_invalid_utf8(source); bad != source.size()) {
    throw Error(fmt::format("the chat template is not valid UTF-8 at byte {}", bad));
  }
  body_ = std::make_shared<const Body>(parse_template(source));
}

std::string Template::render(const nlohmann::ordered_json& variables, std::chrono::system_clock::time_point now) const {
  Rendering rendering(*body_, now);
  for (const auto& [name, value] : variables.items()) rendering.define(name, from_json(value, rendering.work()));
  return rendering.run();
}

}  // namespace heed::chat
