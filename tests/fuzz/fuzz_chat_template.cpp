// libFuzzer target for chat templates: only heed::Error may escape, within the limits of work.h. The input is a
// template, which is given a chat with tools.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "chat/template.h"
#include "heed/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kVariables = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": " Be <b>brief</b> "}, {"role": "user", "content": "Grüße\n"},
                 {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"type": "number"}}}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "n": 7, "l": [3, 1, 2]})");
  try {
    heed::chat::Template(std::string_view(reinterpret_cast<const char*>(data), size)).render(kVariables);
  } catch (const heed::Error&) {
  }
  return 0;
}
