#include "models/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "heed/error.h"

namespace heed::models {
namespace {

class DecoderBuilder {
 public:
  DecoderBuilder(const DecoderParameters& parameters, const TensorTable& tensors, const TensorValues& values,
                 const TensorNames& names)
      : p_(parameters), weights_(g_, tensors, values, names) {}

  Graph build() &&;

 private:
  ValueId linear(const std::string& name, const std::string& tensor, ValueId in, std::int64_t rows,
                 std::int64_t columns, ValueId residual = kNoValue, const std::string& activation = "none");
  ValueId norm(const std::string& name, const std::string& tensor, ValueId in, std::int64_t width);
  ValueId scaled(const std::string& name, ValueId in, double factor);
  ValueId numbers(const std::string& name, Shape shape, std::vector<double> values);
  ValueId reshaped(const std::string& name, ValueId in, std::int64_t width);
  ValueId embed();
  /// What ALiBi adds to the scores: [heads, tokens, context].
  ValueId slopes();
  /// Queries or keys on their way from their product to attention.
  ValueId turned(ValueId in, const char* which, std::int64_t heads);
  /// Multi-head attention of a layer, before its output product.
  ValueId attend(ValueId in);
  /// Of a layer without experts, or of a shared one: `kind` ends its names.
  ValueId feed_forward(ValueId in, ValueId residual, std::int64_t width, const std::string& kind = "");
  ValueId experts(ValueId in, ValueId residual);
  bool turns() const { return p_.rope_dims > 0 && !std::ranges::binary_search(p_.unturned_layers, layer_); }
  bool has_experts() const { return p_.experts > 0 && !std::ranges::binary_search(p_.dense_layers, layer_); }
  /// x plus what a part of the layer makes: `make` is given what it shall add its result to, or none.
  template <typename Make>
  ValueId plus(ValueId x, const char* what, const char* post_norm, const Make& make);
  ValueId layer(ValueId x);
  ValueId logits(ValueId x);

  std::string named(const std::string& what) const { return fmt::format("layer{}.{}", layer_, what); }
  std::string tensor(const std::string& what) const { return fmt::format("blk.{}.{}", layer_, what); }
  std::int64_t embedding_width() const { return p_.embedding_width > 0 ? p_.embedding_width : p_.width; }
  std::int64_t window() const { return p_.windows.empty() ? 0 : p_.windows[static_cast<std::size_t>(layer_)]; }

  const DecoderParameters& p_;
  GraphBuilder g_{"decode"};
  WeightSource weights_;
  std::int64_t layer_ = 0;
  ValueId position_ = kNoValue;
  ValueId slopes_ = kNoValue;
  std::vector<double> freq_factors_;
};

ValueId DecoderBuilder::linear(const std::string& name, const std::string& tensor, ValueId in, std::int64_t rows,
                               std::int64_t columns, ValueId residual, const std::string& activation) {
  const ValueId weight = weights_.required(tensor + ".weight", {rows, columns});
  const ValueId bias = weights_.optional(tensor + ".bias", {rows});
  std::vector<ValueId> inputs = {in, weight};
  if (bias != kNoValue || residual != kNoValue) inputs.push_back(bias);
  if (residual != kNoValue) inputs.push_back(residual);
  Attributes attributes;
  if (activation != "none") attributes.set("activation", activation);
  return g_.add("linear", name, std::move(inputs), std::move(attributes));
}

ValueId DecoderBuilder::norm(const std::string& name, const std::string& tensor, ValueId in, std::int64_t width) {
  std::vector<ValueId> inputs = {in, weights_.required(tensor + ".weight", {width})};
  if (p_.norm == "layer_norm") {
    if (const ValueId bias = weights_.optional(tensor + ".bias", {width}); bias != kNoValue) inputs.push_back(bias);
  }
  return g_.add(p_.norm, name, std::move(inputs), {{"eps", p_.norm_eps}});
}

ValueId DecoderBuilder::numbers(const std::string& name, Shape shape, std::vector<double> values) {
  return g_.add("constant", name, {},
                {{"dtype", std::string("f32")}, {"shape", std::move(shape)}, {"values", std::move(values)}});
}

ValueId DecoderBuilder::scaled(const std::string& name, ValueId in, double factor) {
  if (factor == 1) return in;
  return g_.add("mul", name, {in, numbers(name + "_factor", {1}, {factor})});
}

ValueId DecoderBuilder::reshaped(const std::string& name, ValueId in, std::int64_t width) {
  return g_.add("reshape", name, {in, g_.integers(name + "_shape", {-1, width})});
}

ValueId DecoderBuilder::embed() {
  const ValueId tokens = g_.input("tokens", DType::I32, {"tokens"});
  position_ = g_.input("position", DType::I32, {1});
  const ValueId table = weights_.required("token_embd.weight", {p_.vocabulary, embedding_width()});
  const ValueId places = weights_.optional("position_embd.weight", {p_.context, p_.width});
  Attributes how;
  if (p_.embedding_scale != 1) how.set("scale", p_.embedding_scale);
  const bool is_all = places == kNoValue && p_.embedding_width == 0;
  ValueId x = g_.add("embedding", is_all ? "embedding" : "token_embedding", {tokens, table}, how);
  if (p_.embedding_width > 0) x = linear("embedding_in", "token_embd_in", x, p_.width, p_.embedding_width);
  if (places != kNoValue) {
    const ValueId positions = g_.add("positions", "positions", {position_}, {{"rows", std::string("tokens")}});
    x = g_.add("add", "embedding", {x, g_.add("embedding", "position_embedding", {positions, places})});
  }
  if (weights_.has("token_embd_norm.weight")) x = norm("embedding_norm", "token_embd_norm", x, p_.width);
  return x;  // (tokens, width)
}

ValueId DecoderBuilder::slopes() {
  // A power of two of heads has 2^(-8 i / heads), i from 1; further heads those between, of twice as many.
  const auto floor = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(p_.heads)));
  std::vector<double> slopes;
  for (std::int64_t head = 0; head < p_.heads; ++head) {
    const double place = static_cast<double>(head < floor ? head + 1 : 2 * (head - floor) + 1);
    slopes.push_back(std::exp2(-8.0 * place / static_cast<double>(head < floor ? floor : 2 * floor)));
  }
  const auto as_real = [&](const std::string& name, ValueId integers, std::vector<std::int64_t> shape) {
    const ValueId real = g_.add("cast", name + "_real", {integers}, {{"to", std::string("f32")}});
    return g_.add("reshape", name + "_at", {real, g_.integers(name + "_at_shape", std::move(shape))});
  };
  const ValueId rows = g_.add("positions", "rows", {position_}, {{"rows", std::string("tokens")}});
  const ValueId keys = g_.add("positions", "keys", {}, {{"rows", std::string("context")}});
  if (weights_.has("alibi.weight")) {
    // Softmax sees differences alone: what the own row adds, unrounded, keeps the sums small.
    for (double& slope : slopes) slope *= p_.attention_scale > 0 ? p_.attention_scale : 1 / std::sqrt(p_.head_dim);
    const ValueId table = weights_.required("alibi.weight", {p_.context, p_.heads});
    const ValueId by_key = g_.add("embedding", "slopes_of_keys", {keys, table});  // (context, heads)
    const ValueId by_head =
        g_.add("transpose", "slopes_by_head", {by_key}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    const ValueId at = g_.add("reshape", "slopes_at", {by_head, g_.integers("slopes_at_shape", {p_.heads, 1, -1})});
    const ValueId own =
        g_.add("mul", "own_slopes",
               {as_real("rows", rows, {1, -1, 1}), numbers("slopes_of_heads", {p_.heads, 1, 1}, std::move(slopes))});
    return g_.add("sub", "slopes", {at, own});
  }
  const ValueId distance =
      g_.add("sub", "distances", {as_real("keys", keys, {1, 1, -1}), as_real("rows", rows, {1, -1, 1})});
  return g_.add("mul", "slopes", {distance, numbers("slopes_of_heads", {p_.heads, 1, 1}, std::move(slopes))});
}

ValueId DecoderBuilder::turned(ValueId in, const char* which, std::int64_t heads) {
  const std::string name = which;
  if (p_.query_norm == "head") {
    const ValueId split = reshaped(named(name + "_heads"), in, p_.head_dim);  // (tokens * heads, head_dim)
    const ValueId normed = norm(named(name + "_norm"), tensor("attn_" + name + "_norm"), split, p_.head_dim);
    in = reshaped(named(name + "_joined"), normed, heads * p_.head_dim);
  } else if (p_.query_norm == "all") {
    in = norm(named(name + "_norm"), tensor("attn_" + name + "_norm"), in, heads * p_.head_dim);
  }
  if (!turns()) return in;
  const bool local = p_.local_rope_base > 0 && window() > 0;
  Attributes attributes = {{"heads", heads},
                           {"layout", p_.rope_layout},
                           {"base", local ? p_.local_rope_base : p_.rope_base},
                           {"dims", p_.rope_dims}};
  if (!freq_factors_.empty() && !local) attributes.set("freq_factors", freq_factors_);
  if (p_.rope_scale != 1 && !local) attributes.set("scale", p_.rope_scale);
  return g_.add("rotary", named(name + "_rotary"), {in, position_}, std::move(attributes));
}

ValueId DecoderBuilder::attend(ValueId in) {
  const std::int64_t q_width = p_.heads * p_.head_dim;
  const std::int64_t kv_width = p_.kv_heads * p_.head_dim;
  const auto product = [&](const std::string& which, std::int64_t rows) {
    const ValueId made = linear(named(which), tensor("attn_" + which), in, rows, p_.width);
    if (p_.clip_qkv == 0) return made;
    return g_.add("clamp", named(which + "_clipped"), {made}, {{"min", -p_.clip_qkv}, {"max", p_.clip_qkv}});
  };
  ValueId q = product("q", q_width);   // (tokens, heads * head_dim)
  ValueId k = product("k", kv_width);  // (tokens, kv_heads * head_dim)
  const ValueId v = product("v", kv_width);
  q = turned(q, "q", p_.heads);
  k = turned(k, "k", p_.kv_heads);
  const ValueId cache_k = g_.state(fmt::format("cache.k.{}", layer_), DType::F32, {"context", kv_width});
  const ValueId cache_v = g_.state(fmt::format("cache.v.{}", layer_), DType::F32, {"context", kv_width});
  Attributes how = {{"heads", p_.heads}, {"kv_heads", p_.kv_heads}, {"causal", std::int64_t{1}}, {"window", window()}};
  if (p_.attention_scale > 0) how.set("scale", p_.attention_scale);
  if (p_.attention_softcap > 0) how.set("softcap", p_.attention_softcap);
  return g_.add("attention", named("attention"), {q, k, v, slopes_, cache_k, cache_v, position_}, std::move(how));
}

ValueId DecoderBuilder::feed_forward(ValueId in, ValueId residual, std::int64_t width, const std::string& kind) {
  const auto product = [&](const std::string& name, const std::string& activation = "none") {
    return linear(named(name), tensor(name), in, width, p_.width, kNoValue, activation);
  };
  ValueId h;
  if (p_.feed_forward == "gated") {
    const ValueId gate = product("ffn_gate" + kind);
    const ValueId up = product("ffn_up" + kind);
    h = g_.add("gate", named("ffn_gated" + kind), {gate, up}, {{"activation", p_.activation}});
  } else {
    const bool squared = p_.activation == "relu2";
    h = product("ffn_up" + kind, squared ? "relu" : p_.activation);
    if (squared) h = g_.add("mul", named("ffn_squared" + kind), {h, h});
  }
  return linear(named("ffn_down" + kind), tensor("ffn_down" + kind), h, p_.width, width, residual);
}

ValueId DecoderBuilder::experts(ValueId in, ValueId residual) {
  const ValueId logits = linear(named("router"), tensor("ffn_gate_inp"), in, p_.experts, p_.width);
  Attributes how = {{"chosen", p_.experts_used}, {"normalise", std::int64_t{p_.expert_softmax == "chosen"}}};
  if (p_.expert_scale != 1) how.set("scale", p_.expert_scale);
  if (p_.expert_softmax == "near") how.set("threshold", p_.expert_threshold);
  const std::vector<ValueId> choice = g_.add_many("route", named("route"), {logits}, how, 2);  // (tokens, used)
  const auto product = [&](const std::string& name, ValueId x, std::int64_t rows, std::int64_t columns) {
    const ValueId weight = weights_.required(tensor(name) + ".weight", {p_.experts, rows, columns});
    return g_.add("expert_linear", named(name), {x, weight, choice[0]});
  };
  const ValueId gate = product("ffn_gate_exps", in, p_.expert_width, p_.width);
  const ValueId up = product("ffn_up_exps", in, p_.expert_width, p_.width);
  const ValueId h = g_.add("gate", named("ffn_gated_exps"), {gate, up}, {{"activation", p_.activation}});
  const ValueId made = product("ffn_down_exps", h, p_.width, p_.expert_width);  // (tokens, used, width)
  if (p_.shared_expert_width > 0) {
    const bool weighed = weights_.has(tensor("ffn_gate_inp_shexp.weight"));
    ValueId shared = feed_forward(in, weighed ? kNoValue : residual, p_.shared_expert_width, "_shexp");
    if (weighed) {
      const ValueId weight =
          linear(named("shared_weight"), tensor("ffn_gate_inp_shexp"), in, 1, p_.width, kNoValue, "sigmoid");
      shared = g_.add("mul", named("shared_weighed"), {shared, weight});
      if (residual != kNoValue) shared = g_.add("add", named("shared_added"), {residual, shared});
    }
    residual = shared;
  }
  std::vector<ValueId> terms = {made, choice[1]};
  if (residual != kNoValue) terms.push_back(residual);
  return g_.add("expert_sum", named("ffn_experts"), std::move(terms));
}

template <typename Make>
ValueId DecoderBuilder::plus(ValueId x, const char* what, const char* post_norm, const Make& make) {
  const bool normed = p_.norm_place == "post" || p_.norm_place == "both";
  if (!normed && p_.residual_scale == 1) return make(x);
  ValueId y = make(kNoValue);
  if (normed) y = norm(named(post_norm), tensor(post_norm), y, p_.width);
  y = scaled(named(std::string(what) + "_scaled"), y, p_.residual_scale);
  return g_.add("add", named(std::string(what) + "_added"), {x, y});
}

ValueId DecoderBuilder::layer(ValueId x) {
  const bool after = p_.norm_place == "after";
  const bool before = p_.norm_place != "post" && !after;
  const bool parallel = p_.norm_place == "parallel";
  const ValueId a = before ? norm(named("attention_norm"), tensor("attn_norm"), x, p_.width) : x;
  const ValueId attention = attend(a);
  ValueId y = plus(x, "attention", "post_attention_norm", [&](ValueId residual) {
    return linear(named("attention_output"), tensor("attn_output"), attention, p_.width, p_.heads * p_.head_dim,
                  residual);
  });
  if (after) y = norm(named("attention_norm"), tensor("attn_norm"), y, p_.width);
  ValueId f = parallel ? x : y;
  if (parallel && !weights_.has(tensor("ffn_norm.weight"))) {
    f = a;
  } else if (before) {
    f = norm(named("ffn_norm"), tensor("ffn_norm"), f, p_.width);
  }
  const ValueId z = plus(y, "ffn", "post_ffw_norm", [&](ValueId residual) {
    return has_experts() ? experts(f, residual) : feed_forward(f, residual, p_.ffn_width);
  });
  return after ? norm(named("ffn_norm"), tensor("ffn_norm"), z, p_.width) : z;
}

ValueId DecoderBuilder::logits(ValueId x) {
  x = g_.add("tail", "tail", {x}, {{"rows", std::string("outputs")}});  // (outputs, width)
  if (p_.norm_place != "after") x = norm("output_norm", "output_norm", x, p_.width);
  if (p_.embedding_width > 0) x = linear("embedding_out", "token_embd_out", x, p_.embedding_width, p_.width);
  // The embedding serves as output matrix where there is no other.
  const bool untied = weights_.has("output.weight");
  const ValueId matrix =
      weights_.required(untied ? "output.weight" : "token_embd.weight", {p_.vocabulary, embedding_width()});
  std::vector<ValueId> inputs = {x, matrix};
  if (const ValueId bias = weights_.optional("output.bias", {p_.vocabulary}); bias != kNoValue) inputs.push_back(bias);
  x = g_.add("linear", "output", std::move(inputs));  // (outputs, vocabulary)
  x = scaled("output_scaled", x, p_.logits_scale);
  if (p_.logits_softcap > 0) {
    x = scaled("output_divided", x, 1 / p_.logits_softcap);
    x = scaled("output_capped", g_.add("tanh", "output_tanh", {x}), p_.logits_softcap);
  }
  return x;
}

Graph DecoderBuilder::build() && {
  ValueId x = embed();
  if (p_.rope_dims > 0) freq_factors_ = weights_.values("rope_freqs.weight", {p_.rope_dims / 2});
  for (std::size_t i = 0; i < freq_factors_.size(); ++i) {
    if (freq_factors_[i] > 0) continue;
    throw Error(fmt::format("tensor 'rope_freqs.weight': element {} is {}; it divides an angle and must be above zero",
                            i, freq_factors_[i]));
  }
  if (p_.alibi) slopes_ = slopes();
  for (layer_ = 0; layer_ < p_.layers; ++layer_) x = layer(x);
  g_.output(logits(x), "logits");
  weights_.refuse_unread("decoder");
  return std::move(g_).finish();
}

}  // namespace

Graph decoder_graph(const DecoderParameters& parameters, const TensorTable& tensors, const TensorValues& values,
                    const TensorNames& names) {
  return DecoderBuilder(parameters, tensors, values, names).build();
}

}  // namespace heed::models
