#include "formats/attention_average.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "formats/token_text.h"
#include "heed/error.h"

namespace heed {
namespace {

std::vector<std::size_t> nodes_of_kind(const Attention& attention, AttentionKind kind) {
  std::vector<std::size_t> nodes;
  for (std::size_t i = 0; i < attention.nodes.size(); ++i) {
    if (attention.nodes[i].kind == kind) nodes.push_back(i);
  }
  return nodes;
}

/// The indices of a choice, each once. Throws Error for one that is not below `count`.
template <typename Index>
std::vector<Index> checked(std::vector<Index> chosen, Index count, const char* what, const std::string& of) {
  std::ranges::sort(chosen);
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  for (const Index index : chosen) {
    if (index < Index{0} || index >= count) {
      throw Error(fmt::format("attention: there is no {} {}{}, which has {}; choose from 0 to {}", what, index, of,
                              count, count - 1));
    }
  }
  return chosen;
}

void check_special(const std::vector<bool>& special, const std::vector<std::string>& tokens, const char* side) {
  if (special.empty() || special.size() == tokens.size()) return;
  throw Error(fmt::format("attention: {} of the {} tokens of the {} are told to be special or not; tell it of all",
                          special.size(), tokens.size(), side));
}

std::string title_of(const Attention& attention, const std::vector<std::size_t>& nodes,
                     const std::vector<std::int64_t>& heads) {
  std::string title = nodes.size() == 1 ? visible_token(attention.nodes[nodes.front()].node)
                                        : fmt::format("average of {} layers", nodes.size());
  if (heads.size() == 1) return title + fmt::format(", head {}", heads.front());
  if (!heads.empty()) return title + fmt::format(", heads {}", fmt::join(heads, ", "));
  return title + ", all heads";
}

}  // namespace

void check_attention(const Attention& attention) {
  // A model that only goes on with a text has no source.
  const bool reads_source = std::ranges::any_of(
      attention.nodes, [](const AttentionWeights& node) { return node.kind != AttentionKind::Target; });
  const bool no_source = attention.source.empty() && (reads_source || attention.nodes.empty());
  if (no_source || attention.target.empty()) {
    throw Error(
        fmt::format("attention: there are no {} tokens, so nothing was looked at; give a text that is not empty",
                    no_source ? "source" : "target"));
  }
  if (attention.nodes.empty()) {
    throw Error("attention: the model has no attention node whose weights could be shown");
  }
  check_special(attention.source_special, attention.source, "source");
  check_special(attention.target_special, attention.target, "target");
  for (const AttentionWeights& node : attention.nodes) {
    const auto rows = static_cast<std::int64_t>(row_tokens(attention, node.kind).size());
    const auto columns = static_cast<std::int64_t>(column_tokens(attention, node.kind).size());
    // Divided, as a product of sizes that are wrong may be any number.
    const std::size_t map = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    if (node.heads < 1 || node.rows != rows || node.columns != columns || node.weights.size() % map != 0 ||
        node.weights.size() / map != static_cast<std::size_t>(node.heads)) {
      throw Error(
          fmt::format("attention of '{}': {} weights as [{}, {}, {}], expected [heads, {}, {}] for as many tokens",
                      node.node, node.weights.size(), node.heads, node.rows, node.columns, rows, columns));
    }
    for (std::size_t i = 0; i < node.weights.size(); ++i) {
      if (std::isfinite(node.weights[i])) continue;
      throw Error(
          fmt::format("attention of '{}': the weight of head {}, row {}, column {} is {}, no finite number; heed "
                      "verify finds the node that computes wrongly",
                      node.node, i / map, i % map / static_cast<std::size_t>(columns),
                      i % static_cast<std::size_t>(columns), node.weights[i]));
    }
  }
}

void check_attention_layers(std::string_view model, const std::vector<AttentionLayer>& layers,
                            const std::vector<std::size_t>& chosen, const std::vector<std::int64_t>& heads) {
  if (layers.empty()) throw Error(fmt::format("{} has no attention to show", model));
  std::vector<AttentionLayer> shown;
  for (const std::size_t layer : chosen) {
    if (layer >= layers.size()) {
      throw Error(fmt::format("layer {} was asked for; {} has layers 0 to {}", layer, model, layers.size() - 1));
    }
    shown.push_back(layers[layer]);
  }
  for (const AttentionLayer& layer : chosen.empty() ? layers : shown) {
    for (const std::int64_t head : heads) {
      if (head >= 0 && head < layer.heads) continue;
      throw Error(fmt::format("head {} was asked for; '{}' has heads 0 to {}", head, layer.name, layer.heads - 1));
    }
  }
}

AveragedAttention average_attention(const Attention& attention, const AttentionChoice& choice) {
  check_attention(attention);
  std::vector<std::size_t> nodes = checked(choice.nodes, attention.nodes.size(), "node", " of the model");
  if (nodes.empty()) nodes = nodes_of_kind(attention, AttentionKind::Cross);
  if (nodes.empty()) nodes = nodes_of_kind(attention, AttentionKind::Target);
  if (nodes.empty()) nodes = nodes_of_kind(attention, AttentionKind::Source);
  const AttentionWeights& first = attention.nodes[nodes.front()];
  AveragedAttention map{first.kind, first.rows, first.columns, {}, title_of(attention, nodes, choice.heads)};
  const std::size_t size = static_cast<std::size_t>(map.rows * map.columns);
  map.weights.assign(size, 0.0);
  for (const std::size_t index : nodes) {
    const AttentionWeights& node = attention.nodes[index];
    if (node.kind != map.kind) {
      throw Error(
          fmt::format("attention: '{}' and '{}' look at different tokens and have no average; choose one of them",
                      first.node, node.node));
    }
    std::vector<std::int64_t> heads = checked(choice.heads, node.heads, "head", fmt::format(" of '{}'", node.node));
    if (heads.empty()) {
      for (std::int64_t head = 0; head < node.heads; ++head) heads.push_back(head);
    }
    const double part = 1.0 / static_cast<double>(heads.size() * nodes.size());
    for (const std::int64_t head : heads) {
      const float* const weights = node.weights.data() + static_cast<std::size_t>(head) * size;
      for (std::size_t i = 0; i < size; ++i) map.weights[i] += part * static_cast<double>(weights[i]);
    }
  }
  return map;
}

std::vector<std::string> row_tokens(const Attention& attention, AttentionKind kind) {
  return kind == AttentionKind::Source ? attention.source : attention.target;
}

std::vector<std::string> column_tokens(const Attention& attention, AttentionKind kind) {
  if (kind != AttentionKind::Target) return attention.source;
  std::vector<std::string> read = {attention.begin.empty() ? "(begin)" : attention.begin};
  read.insert(read.end(), attention.target.begin(), attention.target.end() - 1);
  return read;
}

}  // namespace heed
