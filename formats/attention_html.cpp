// Attention as a page: what is data goes into JSON, and from there into the page as text only.
#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>

#include "formats/attention_formats.h"
#include "formats/attention_page.h"
#include "formats/token_text.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::size_t kMostPageWeights = 4'000'000;  // 16 MB, about as much as browsers take without waiting

/// Nothing in it can end the script element that it stands in, or begin a comment there.
std::string script_json(const nlohmann::json& json) {
  std::string text;
  for (const char c : json.dump()) {
    if (c == '<') {
      text += "\\u003c";
    } else {
      text += c;
    }
  }
  return text;
}

nlohmann::json visible_tokens(const std::vector<std::string>& tokens) {
  nlohmann::json shown = nlohmann::json::array();
  for (const std::string& token : tokens) shown.push_back(visible_token(token));
  return shown;
}

/// Appends an object of the page's `maps`; weights as whole numbers of 1/10000.
template <typename Weight>
void append_map(std::string& json, const std::string& name, AttentionKind kind, std::int64_t heads,
                const std::vector<Weight>& weights) {
  const char* const rows = kind == AttentionKind::Source ? "source" : "target";
  const char* const columns = kind == AttentionKind::Target ? "read" : "source";
  json += fmt::format(R"({}{{"name":{},"rows":"{}","columns":"{}","heads":{},"weights":[)", json.empty() ? "" : ",\n",
                      script_json(name), rows, columns, heads);
  bool first = true;
  for (const Weight weight : weights) {
    const double whole = std::round(static_cast<double>(weight) * 10000.0);
    if (std::abs(whole) > 1e15) {
      throw Error(fmt::format("attention of '{}': a weight is {}, which is no share of anything", name, weight));
    }
    fmt::format_to(std::back_inserter(json), "{}{}", first ? "" : ",", static_cast<std::int64_t>(whole));
    first = false;
  }
  json += "]}";
}

}  // namespace

std::string attention_html(const Attention& attention, const AveragedAttention& map) {
  check_drawn_tokens(map);
  std::size_t count = 0;
  for (const AttentionWeights& node : attention.nodes) {
    check_drawn_tokens({node.kind, node.rows, node.columns, {}, {}});
    count += node.weights.size();
  }
  if (count > kMostPageWeights) {
    throw Error(fmt::format("a page of {} weights, expected at most {}; choose a name that ends in .npz or .png", count,
                            kMostPageWeights));
  }
  std::string maps;
  append_map(maps, map.title, map.kind, 1, map.weights);
  for (const AttentionWeights& node : attention.nodes)
    append_map(maps, visible_token(node.node), node.kind, node.heads, node.weights);
  const nlohmann::json tokens = {{"source", visible_tokens(attention.source)},
                                 {"target", visible_tokens(attention.target)},
                                 {"read", visible_tokens(column_tokens(attention, AttentionKind::Target))}};
  const std::string data = fmt::format("{{\"tokens\":{},\n\"maps\":[{}]}}", script_json(tokens), maps);
  constexpr std::string_view kPlace = "@DATA@";
  const std::size_t at = kAttentionPage.find(kPlace);
  return std::string(kAttentionPage.substr(0, at)) + data + std::string(kAttentionPage.substr(at + kPlace.size()));
}

}  // namespace heed
