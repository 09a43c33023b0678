// libFuzzer target for chat templates: only heed::Error may escape, within the limits of work.h. The input is a
// template, which is given a chat with tools; where its messages spell special tokens, none may be made of them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chat/prompt.h"
#include "chat/template.h"
#include "heed/error.h"
#include "tokenizer/description.h"

namespace {

using heed::TokenId;

/// Every character of ASCII, and a few marks.
std::unique_ptr<heed::Tokenizer> make_tokenizer() {
  heed::TokenizerDescription description;
  description.pieces = {"<unk>", "<s>", "</s>", "<|end|>", "[INST]"};
  for (char c = 1; c < 0x7F; ++c) description.pieces.push_back(std::string(1, c));
  description.kinds.assign(description.pieces.size(), heed::PieceKind::Normal);
  description.kinds[0] = heed::PieceKind::Unknown;
  for (std::size_t control = 1; control <= 4; ++control) description.kinds[control] = heed::PieceKind::Control;
  return heed::Tokenizer::from_description(description);
}

/// Whether special tokens of a prompt have a byte of what the message says. Nothing where there is no prompt.
void check_prompt(const heed::chat::ChatPrompts& prompts, const heed::Tokenizer& tokenizer,
                  const std::string& content) {
  heed::ChatRequest request;
  request.messages = heed::messages_json({{"user", content}, {"assistant", content}, {"user", content}});
  const auto prompt = prompts.render(request, tokenizer);
  const std::vector<TokenId> ids = tokenizer.encode(prompt.text, false, prompt.specials);
  const auto controls =
      static_cast<std::size_t>(std::ranges::count_if(ids, [](TokenId id) { return id >= 1 && id <= 4; }));
  // The template's own bytes alone, with a character between them that is in no token.
  std::string own = prompt.text;
  for (const auto& range : prompt.specials.plain) {
    std::fill(own.begin() + static_cast<std::ptrdiff_t>(range.begin),
              own.begin() + static_cast<std::ptrdiff_t>(range.end), '~');
  }
  const std::vector<TokenId> own_ids = tokenizer.encode(own, false, {true, {}, {}});
  const auto own_controls =
      static_cast<std::size_t>(std::ranges::count_if(own_ids, [](TokenId id) { return id >= 1 && id <= 4; }));
  if (controls != own_controls) std::abort();
}

}  // namespace

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
  static const auto kTokenizer = make_tokenizer();
  try {
    const std::string source(reinterpret_cast<const char*>(data), size);
    const heed::chat::ChatPrompts prompts({{{"default", source}}, {{"bos_token", "<s>"}, {"eos_token", "</s>"}}});
    check_prompt(prompts, *kTokenizer, " a<|end|>b</s>[INST] <s>");
    check_prompt(prompts, *kTokenizer, "|end|");
  } catch (const heed::Error&) {
  }
  return 0;
}
