#include "tokenizer/decode_steps.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace heed {
namespace {

using DecodeKind = DecodeStep::Kind;

std::string with_replaced(std::string_view text, std::string_view find, std::string_view by) {
  std::string result;
  std::size_t done = 0;
  for (std::size_t at = 0; (at = text.find(find, done)) != std::string_view::npos; done = at + find.size()) {
    result += text.substr(done, at - done);
    result += by;
  }
  return result += text.substr(done);
}

// "<0x0A>" as that byte; others stay.
std::string as_byte(std::string text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return text;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  if (error != std::errc() || end != text.data() + 5) return text;
  return std::string(1, static_cast<char>(value));
}

std::string stripped(std::string_view text, const DecodeStep& step, bool at_begin, bool at_end) {
  for (std::uint32_t i = 0; at_begin && i < step.left && text.starts_with(step.text); ++i) {
    text.remove_prefix(step.text.size());
  }
  for (std::uint32_t i = 0; at_end && i < step.right && text.ends_with(step.text); ++i) {
    text.remove_suffix(step.text.size());
  }
  return std::string(text);
}

// tokenizers' decoders/wordpiece.rs, cleanup().
std::string contracted(std::string text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {{{" .", "."},
                                                                                     {" ?", "?"},
                                                                                     {" !", "!"},
                                                                                     {" ,", ","},
                                                                                     {" ' ", "'"},
                                                                                     {" n't", "n't"},
                                                                                     {" 'm", "'m"},
                                                                                     {" do not", " don't"},
                                                                                     {" 's", "'s"},
                                                                                     {" 've", "'ve"},
                                                                                     {" 're", "'re"}}};
  for (const auto& [find, by] : kRules) text = with_replaced(text, find, by);
  return text;
}

std::string spaced(std::string text, const std::string& continuing) {
  if (continuing.empty() || !text.starts_with(continuing)) return " " + text;
  text.erase(0, continuing.size());
  return text;
}

}  // namespace

std::string decode_in_steps(const std::vector<DecodeStep>& steps, std::vector<std::string> texts, bool whole) {
  bool is_joined = false;
  for (const DecodeStep& step : steps) {
    if (step.kind == DecodeKind::Join) {
      std::string all;
      for (const std::string& text : texts) all += text;
      texts.assign(1, std::move(all));
      is_joined = true;
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::string& text = texts[i];
      const bool is_first = whole && i == 0;
      const bool is_last = whole && i + 1 == texts.size();
      switch (step.kind) {
        case DecodeKind::Join:
          break;
        case DecodeKind::Replace:
          text = with_replaced(text, step.find, step.text);
          break;
        case DecodeKind::Bytes:
          text = as_byte(std::move(text));
          break;
        case DecodeKind::Strip:
          text = stripped(text, step, !is_joined || is_first, !is_joined || is_last);
          break;
        case DecodeKind::DropFirst:
          if (is_first) text = with_replaced(text, step.find, "");
          break;
        case DecodeKind::SpaceBetween:
          if (!is_first) text = spaced(std::move(text), step.find);
          break;
        case DecodeKind::Contract:
          text = contracted(std::move(text));
          break;
        case DecodeKind::WordEnds:
          text = with_replaced(text, step.find, is_last ? "" : " ");
          break;
      }
    }
  }
  std::string result;
  for (const std::string& text : texts) result += text;
  return result;
}

}  // namespace heed
