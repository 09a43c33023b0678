#include <fmt/format.h>

#include <algorithm>

#include "generate/attention_weights.h"
#include "generate/translation/session.h"
#include "heed/error.h"

namespace heed {
namespace {

/// Weights of attention over a cache only where `all`.
Graph with_weights(const Graph& original, bool all) {
  return with_attention_weights(original, all ? " of all" : "",
                                [&](const Node& node) { return all || !has_cache(node); });
}

// Layers of encoders and decoders have the same names.
AttentionWeights of_encoder(const Node& node, std::int64_t rows) {
  return {"encoder." + node.name, 0, rows, 0, {}, AttentionKind::Source};
}

/// A decoder reads what it wrote from a cache, and the source from elsewhere.
AttentionWeights of_decoder(const Node& node, std::int64_t rows) {
  return {node.name, 0, rows, 0, {}, has_cache(node) ? AttentionKind::Target : AttentionKind::Cross};
}

}  // namespace

std::vector<AttentionLayer> TranslationSession::attention_layers() const {
  return heed::attention_layers(decode_, [](const Node& node) { return !has_cache(node); });
}

std::vector<AttentionWeights> TranslationSession::explain(const std::vector<std::int32_t>& source,
                                                          std::int32_t first_token,
                                                          const std::vector<std::int32_t>& target, bool all) {
  check({source, target});
  if (static_cast<std::int64_t>(target.size()) > target_context()) {
    throw Error(fmt::format("a translation of {} tokens cannot be explained; the model makes at most {}", target.size(),
                            target_context()));
  }
  if (target.empty()) return {};
  const auto source_tokens = static_cast<std::int64_t>(source.size());
  std::vector<AttentionWeights> nodes;
  const Graph encoder = all ? with_weights(encode_, true) : encode_;
  const Executable& encoded = encode(encoder, {&source}, 1, source_tokens, 1);
  if (all) {
    const auto described = [&](const Node& node) { return of_encoder(node, source_tokens); };
    read_attention_weights(session_, encoded, encoder, described, 0, nodes);
  }

  // What a row weighs is for the token that it makes: the first token makes the first of the target.
  std::vector<std::int32_t> fed = {first_token};
  fed.insert(fed.end(), target.begin(), target.end() - 1);
  const auto rows = static_cast<std::int64_t>(fed.size());
  const std::int64_t at_once = recurrent_ ? 1 : rows;
  const Graph decoder = with_weights(decode_, all);
  const Bindings dims = {{"tokens", at_once}, {"outputs", at_once}, {"rows", 1},
                         {"batch", 1},        {"context", rows},    {"source", source_tokens}};
  const auto write = [&](const char* name, std::span<const std::int32_t> values) {
    if (decoder.find(name) == kNoValue) return;
    session_.reserve_and_write(name, std::as_bytes(values));
  };
  std::vector<AttentionWeights> decoded;
  for (std::int64_t row = 0; row < rows; row += at_once) {
    const auto position = static_cast<std::int32_t>(row);
    const std::int32_t parent = 0;
    write("tokens", std::span(fed).subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(at_once)));
    write("position", {&position, 1});
    write("parents", {&parent, 1});
    Executable& executable = session_.prepare(decoder, dims);
    session_.run(executable);
    const auto described = [&](const Node& node) { return of_decoder(node, rows); };
    read_attention_weights(session_, executable, decoder, described, row, decoded);
  }
  nodes.insert(nodes.end(), std::make_move_iterator(decoded.begin()), std::make_move_iterator(decoded.end()));
  return nodes;
}

}  // namespace heed
