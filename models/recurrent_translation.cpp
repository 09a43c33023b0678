#include "models/recurrent_translation.h"

#include <fmt/format.h>

namespace heed::models {

namespace {

/// What a recurrent layer makes: y of all steps, and the state after the last one; the cell's of an LSTM.
struct RecurrentOutputs {
  ValueId y, hidden, cell;
};

class RecurrentBuilder {
 public:
  RecurrentBuilder(const std::string& graph, const RecurrentParameters& parameters, const TensorTable& tensors,
                   const TensorNames& names)
      : p_(parameters), g_(graph), weights_(g_, tensors, {}, names), lstm_(parameters.cell == "lstm") {}

  Graph encode();
  Graph decode();
  const std::set<std::string, std::less<>>& read() const { return weights_.read(); }

 private:
  ValueId linear(const std::string& node, const std::string& tensor, ValueId x, std::int64_t rows, std::int64_t columns,
                 const std::string& activation = "none") {
    std::vector<ValueId> inputs = {x, weights_.required(tensor + ".weight", {rows, columns})};
    const ValueId bias = weights_.optional(tensor + ".bias", {rows});
    if (bias != kNoValue) inputs.push_back(bias);
    return g_.add("linear", node, std::move(inputs), {{"activation", activation}});
  }
  ValueId reshape(const std::string& node, ValueId x, std::vector<std::int64_t> sizes) {
    return g_.add("reshape", node, {x, g_.integers(node + ".sizes", std::move(sizes))});
  }
  ValueId state(const char* name, std::int64_t layer) {
    const std::string full = fmt::format("{}.{}", name, layer);
    const ValueId known = g_.graph().find(full);
    return known != kNoValue ? known : g_.state(full, DType::F32, {"rows", p_.decoder_hidden});
  }
  void store(const std::string& node, ValueId to, ValueId x) { g_.add_many("store", node, {to, x}, {}, 0); }

  RecurrentOutputs layer(const std::string& node, const std::string& tensors, ValueId x, std::int64_t inputs,
                         std::int64_t hidden, ValueId lengths, ValueId initial_h, ValueId initial_c);
  /// The first state of a layer of the decoder, of the last ones of the encoder's layers [batch, D, SH].
  ValueId bridge(const char* part, std::int64_t to, const std::vector<ValueId>& states);
  ValueId attend(ValueId query, ValueId lengths);

  const RecurrentParameters& p_;
  GraphBuilder g_;
  WeightSource weights_;
  bool lstm_;
};

RecurrentOutputs RecurrentBuilder::layer(const std::string& node, const std::string& tensors, ValueId x,
                                         std::int64_t inputs, std::int64_t hidden, ValueId lengths, ValueId initial_h,
                                         ValueId initial_c) {
  const bool encodes = initial_h == kNoValue;
  const std::int64_t directions = encodes ? p_.directions() : 1;
  const std::int64_t gates = (lstm_ ? 4 : 3) * hidden;
  std::vector<ValueId> in = {x, weights_.required(tensors + ".w", {directions, gates, inputs}),
                             weights_.required(tensors + ".r", {directions, gates, hidden}),
                             weights_.optional(tensors + ".bias", {directions, 2 * gates}), lengths};
  if (!encodes) in.push_back(initial_h);
  if (!encodes && lstm_) in.push_back(initial_c);
  Attributes how = {{"direction", std::string(directions == 2 ? "bidirectional" : "forward")}};
  if (encodes) how.set("layout", std::int64_t{1});  // [batch, steps, ..]
  // PyTorch's GRU applies the reset gate behind R.
  if (!lstm_) how.set("linear_before_reset", std::int64_t{1});
  const std::vector<ValueId> out = g_.add_many(p_.cell, node, std::move(in), std::move(how), lstm_ ? 3 : 2);
  return {out[0], out[1], lstm_ ? out[2] : kNoValue};
}

ValueId RecurrentBuilder::bridge(const char* part, std::int64_t to, const std::vector<ValueId>& states) {
  const std::string node = fmt::format("layer{}.bridge_{}", to, part);
  const std::int64_t directions = p_.directions();
  if (p_.bridge == "first") {
    ValueId x = states[static_cast<std::size_t>(to / directions)];  // (batch, D, SH)
    const std::int64_t direction = to % directions;
    if (directions == 2) {
      x = g_.add("slice", node + ".direction",
                 {x, g_.integers(node + ".start", {direction}), g_.integers(node + ".end", {direction + 1}),
                  g_.integers(node + ".axis", {1})});
    }
    return reshape(node, x, {0, -1});
  }
  const ValueId x = p_.decoder_layers == 1 ? states.back() : states[static_cast<std::size_t>(to)];
  if (p_.bridge == "sum") {
    return g_.add("reduce", node, {x, g_.integers(node + ".axes", {1})},
                  {{"kind", std::string("sum")}, {"keep_dims", std::int64_t{0}}});
  }
  const ValueId both = reshape(node + ".flat", x, {0, -1});  // (batch, D * SH)
  if (!p_.bridge.starts_with("linear")) return both;
  const bool tanh = p_.bridge == "linear_tanh" || (p_.bridge == "linear_tanh_h" && *part == 'h');
  return linear(node, fmt::format("bridge_{}", part), both, p_.decoder_hidden, directions * p_.encoder_hidden,
                tanh ? "tanh" : "none");
}

Graph RecurrentBuilder::encode() {
  const ValueId tokens = g_.input("source_tokens", DType::I32, {"batch", "source"});
  const ValueId lengths = g_.input("source_lengths", DType::I32, {"batch"});
  const ValueId table = weights_.required("encoder.embd.weight", {p_.source_vocabulary, p_.encoder_embedding});
  ValueId x = g_.add("embedding", "embedding", {tokens, table});  // (batch, source, SE)
  std::int64_t width = p_.encoder_embedding;
  std::vector<ValueId> hidden, cells;
  for (std::int64_t l = 0; l < p_.encoder_layers; ++l) {
    const std::string node = fmt::format("layer{}.{}", l, p_.cell);
    const RecurrentOutputs made = layer(node, fmt::format("encoder.rnn.{}", l), x, width, p_.encoder_hidden, lengths,
                                        kNoValue, kNoValue);  // y (batch, source, D, SH)
    hidden.push_back(made.hidden);
    cells.push_back(made.cell);
    if (l + 1 == p_.encoder_layers && p_.encoder_outputs == "sum") {
      x = g_.add("reduce", node + ".sum", {made.y, g_.integers(node + ".axes", {2})},
                 {{"kind", std::string("sum")}, {"keep_dims", std::int64_t{0}}});
    } else {
      x = reshape(node + ".flat", made.y, {0, 0, -1});
    }
    width = p_.directions() * p_.encoder_hidden;
  }
  for (std::int64_t l = 0; l < p_.decoder_layers; ++l) {
    store(fmt::format("layer{}.store_hidden", l), state("hidden", l), bridge("h", l, hidden));
    if (lstm_) store(fmt::format("layer{}.store_cell", l), state("cell", l), bridge("c", l, cells));
  }
  if (p_.attends()) {
    store("store_values", g_.state("memory.values", DType::F32, {"batch", "source", p_.memory_width()}), x);
  }
  if (p_.attention_keys) {
    const ValueId keys = linear("keys", "attention.k", x, p_.attention_width, p_.memory_width());
    store("store_keys", g_.state("memory.keys", DType::F32, {"batch", "source", p_.attention_width}), keys);
  }
  g_.output(x, "memory");
  return std::move(g_).finish();
}

ValueId RecurrentBuilder::attend(ValueId query, ValueId lengths) {
  const std::int64_t width = p_.attention_width;
  const ValueId q =
      p_.attention_query ? linear("query", "attention.q", query, width, p_.decoder_hidden) : query;  // (tokens, A)
  const ValueId values = g_.state("memory.values", DType::F32, {"batch", "source", p_.memory_width()});
  const ValueId keys = p_.attention_keys ? g_.state("memory.keys", DType::F32, {"batch", "source", width}) : values;
  std::vector<ValueId> inputs = {q, keys, values, kNoValue, kNoValue, kNoValue, kNoValue, lengths};
  Attributes how = {{"heads", std::int64_t{1}}, {"kv_heads", std::int64_t{1}}, {"score", p_.attention}};
  if (p_.attention == "additive") {
    inputs.insert(inputs.end(), {kNoValue, weights_.required("attention.score.weight", {width})});
  }
  if (!p_.scale_attention) how.set("scale", 1.0);
  return g_.add("attention", "attention", std::move(inputs), std::move(how));  // (tokens, W)
}

Graph RecurrentBuilder::decode() {
  const std::int64_t hidden = p_.decoder_hidden;
  const ValueId tokens = g_.input("tokens", DType::I32, {"tokens"});
  g_.input("position", DType::I32, {1});  // of no use here, but every decoder is told
  const ValueId parents = g_.input("parents", DType::I32, {"tokens"});
  const ValueId lengths = g_.input("source_lengths", DType::I32, {"batch"});
  const ValueId table = weights_.required("decoder.embd.weight", {p_.vocabulary, p_.decoder_embedding});
  ValueId embedding = g_.add("embedding", "embedding", {tokens, table});  // (tokens, E)
  if (p_.embedding_activation != "none") {
    embedding = g_.add(p_.embedding_activation, "embedding_activation", {embedding});
  }
  std::vector<ValueId> before, cells_before;
  for (std::int64_t l = 0; l < p_.decoder_layers; ++l) {
    before.push_back(g_.add("gather", fmt::format("layer{}.hidden_before", l), {state("hidden", l), parents}));
    if (lstm_) {
      cells_before.push_back(g_.add("gather", fmt::format("layer{}.cell_before", l), {state("cell", l), parents}));
    }
  }
  const bool from_previous = p_.attends() && p_.attention_from == "previous";
  ValueId context = from_previous ? attend(before.back(), lengths) : kNoValue;
  std::int64_t width = p_.decoder_embedding;
  ValueId x = embedding;
  if (from_previous) {
    x = g_.add("concat", "embedding_and_context", {embedding, context}, {{"axis", std::int64_t{1}}});
    width += p_.memory_width();
  }
  for (std::int64_t l = 0; l < p_.decoder_layers; ++l) {
    const auto at = static_cast<std::size_t>(l);
    const std::string node = fmt::format("layer{}.{}", l, p_.cell);
    const ValueId h = reshape(node + ".h", before[at], {1, -1, hidden});
    const ValueId c = lstm_ ? reshape(node + ".c", cells_before[at], {1, -1, hidden}) : kNoValue;
    const RecurrentOutputs made = layer(node, fmt::format("decoder.rnn.{}", l), reshape(node + ".x", x, {1, -1, width}),
                                        width, hidden, kNoValue, h, c);  // y (1, 1, tokens, H)
    x = reshape(node + ".y", made.y, {-1, hidden});
    store(fmt::format("layer{}.store_hidden", l), state("hidden", l), x);
    if (lstm_) {
      store(fmt::format("layer{}.store_cell", l), state("cell", l), reshape(node + ".cell", made.cell, {-1, hidden}));
    }
    width = hidden;
  }
  if (p_.attends() && !from_previous) context = attend(x, lengths);

  std::vector<ValueId> parts;
  width = 0;
  for (const std::string& part : p_.output_from) {
    parts.push_back(part == "hidden" ? x : part == "context" ? context : embedding);
    width += part == "hidden" ? hidden : part == "context" ? p_.memory_width() : p_.decoder_embedding;
  }
  ValueId y = parts.front();
  if (parts.size() > 1) y = g_.add("concat", "output_parts", std::move(parts), {{"axis", std::int64_t{1}}});
  y = g_.add("tail", "tail", {y}, {{"rows", std::string("outputs")}});  // (outputs, ..)
  if (p_.output_hidden > 0) {
    y = linear("output_hidden", "concat", y, p_.output_hidden, width, "tanh");
    width = p_.output_hidden;
  }
  g_.output(linear("output", "output", y, p_.vocabulary, width), "logits");  // (outputs, vocabulary)
  return std::move(g_).finish();
}

}  // namespace

std::vector<Graph> recurrent_graphs(const RecurrentParameters& parameters, const TensorTable& tensors,
                                    const TensorNames& names) {
  RecurrentBuilder decoder("decode", parameters, tensors, names);
  RecurrentBuilder encoder("encode", parameters, tensors, names);
  std::vector<Graph> graphs;
  graphs.push_back(decoder.decode());
  graphs.push_back(encoder.encode());
  std::set<std::string, std::less<>> read = decoder.read();
  read.insert(encoder.read().begin(), encoder.read().end());
  refuse_unread("recurrent", tensors, read, names);
  return graphs;
}

}  // namespace heed::models
