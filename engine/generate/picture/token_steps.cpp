// The graph of a step that draws codes of pictures.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "generate/picture/token_session.h"
#include "heed/error.h"
#include "ops/op.h"

namespace heed {
namespace {

ValueId constant_i32(GraphBuilder& builder, const std::string& name, std::int64_t value) {
  return builder.add("constant", name, {},
                     {{"dtype", "i32"}, {"shape", Shape{1}}, {"integers", std::vector<std::int64_t>{value}}});
}

/// What nodes read as `tokens` becomes the token that a turned one stands for: (t + first) mod vocabulary.
void turn_back(GraphBuilder& builder, const TokenPictureLayout& layout) {
  Graph& graph = builder.graph();
  const ValueId tokens = graph.find("tokens");
  const std::size_t before = graph.nodes.size();
  const ValueId first = constant_i32(builder, "codes.first", layout.first);
  const ValueId vocabulary = constant_i32(builder, "codes.vocabulary", layout.vocabulary);
  const ValueId shifted = builder.add("add", "codes.shifted", {tokens, first});
  const ValueId token = builder.add("mod", "codes.token", {shifted, vocabulary});
  for (std::size_t i = 0; i < before; ++i) std::ranges::replace(graph.nodes[i].inputs, tokens, token);
  std::rotate(graph.nodes.begin(), graph.nodes.begin() + static_cast<std::ptrdiff_t>(before), graph.nodes.end());
}

/// Both rows of a pair get u + g (c - u).
ValueId guide(GraphBuilder& builder, ValueId logits, std::int64_t count) {
  const auto integers = [&](const char* name, std::vector<std::int64_t> values) {
    return builder.integers(name, std::move(values));
  };
  const ValueId pairs =
      builder.add("reshape", "guidance.pairs", {logits, integers("guidance.pair_sizes", {-1, 2, count})});
  const ValueId zero = integers("guidance.zero", {0});
  const ValueId one = integers("guidance.one", {1});
  const ValueId two = integers("guidance.two", {2});
  const ValueId with = builder.add("slice", "guidance.with", {pairs, zero, one, one});  // (pictures, 1, count)
  const ValueId without = builder.add("slice", "guidance.without", {pairs, one, two, one});
  const ValueId difference = builder.add("sub", "guidance.difference", {with, without});
  const ValueId further =
      builder.add("mul", "guidance.further", {difference, builder.input("guidance", DType::F32, {1})});
  const ValueId mixed = builder.add("add", "guidance.mixed", {without, further});
  const ValueId both = builder.add("concat", "guidance.both", {mixed, mixed}, {{"axis", std::int64_t{1}}});
  return builder.add("reshape", "guidance.rows", {both, integers("guidance.row_sizes", {-1, count})});
}

}  // namespace

Graph with_codes_alone(const Graph& stepped, const TokenPictureLayout& layout, bool guided) {
  GraphBuilder builder(stepped);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+codes{}", stepped.name, guided ? " guided" : "");
  const ValueId all = graph.find("logits");
  if (all == kNoValue) throw Error(fmt::format("graph '{}' has no 'logits'", stepped.name));
  graph.value(all).name = "logits of all tokens";
  graph.outputs.clear();
  if (layout.first > 0) turn_back(builder, layout);
  const auto integers = [&](const char* name, std::int64_t value) { return builder.integers(name, {value}); };
  ValueId logits = builder.add("slice", "codes.logits",
                               {all, integers("codes.begin", layout.first),
                                integers("codes.end", layout.first + layout.count), integers("codes.axis", 1)});
  if (guided) logits = guide(builder, logits, layout.count);
  builder.output(logits, "logits");
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

}  // namespace heed
