#include "tools/serve/tool_calls.h"

#include <algorithm>

#include "tools/serve/bounded_json.h"
#include "tools/serve/ids.h"

namespace heed::tools {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";

/// How many bytes at the end of `text` may be the beginning of `tag`.
std::size_t begun_tag(std::string_view text, std::string_view tag) {
  for (std::size_t length = std::min(text.size(), tag.size() - 1); length > 0; --length) {
    if (text.ends_with(tag.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

std::string ToolCalls::push(std::string_view added) {
  held_ += added;
  if (!begun_) {
    const std::size_t first = held_.find_first_not_of(" \t\r\n");
    if (first == std::string::npos || held_[first] == '{' || held_[first] == '[') return {};
    begun_ = true;
  }
  const std::size_t open = held_.find(kOpen);
  const std::size_t free = open == std::string::npos ? held_.size() - begun_tag(held_, kOpen) : open;
  std::string text = held_.substr(0, free);
  held_.erase(0, free);
  return text;
}

bool ToolCalls::take_call(const nlohmann::ordered_json& call) {
  if (!call.is_object() || !call.contains("name") || !call["name"].is_string()) return false;
  if (!names_.contains(call["name"].get_ref<const std::string&>())) return false;
  const char* const key = call.contains("arguments") ? "arguments" : "parameters";
  if (!call.contains(key) || !call[key].is_object()) return false;
  calls_.push_back({{"id", random_id("call_")},
                    {"type", "function"},
                    {"function", {{"name", call["name"]}, {"arguments", call[key].dump()}}}});
  return true;
}

std::string ToolCalls::finish() {
  if (!begun_) {
    const auto whole = bounded_json<nlohmann::ordered_json>(held_);
    const auto before = calls_;
    const bool all = whole.is_array() ? !whole.empty() && std::ranges::all_of(
                                                              whole, [&](const auto& call) { return take_call(call); })
                                      : take_call(whole);
    if (all) return {};
    calls_ = before;
  }
  std::string text;
  while (true) {
    const std::size_t open = held_.find(kOpen);
    if (open == std::string::npos) return text + held_;
    const std::size_t begin = open + kOpen.size();
    const std::size_t close = std::min(held_.find(kClose, begin), held_.size());
    const std::size_t end = std::min(close + kClose.size(), held_.size());
    const bool is_call =
        take_call(bounded_json<nlohmann::ordered_json>(std::string_view(held_).substr(begin, close - begin)));
    text += is_call ? held_.substr(0, open) : held_.substr(0, end);
    held_.erase(0, end);
    // Between calls there is nothing to read.
    if (is_call) held_.erase(0, std::min(held_.find_first_not_of(" \t\r\n"), held_.size()));
  }
}

}  // namespace heed::tools
