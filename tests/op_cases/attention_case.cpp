#include "tests/op_cases/attention_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

Attributes attributes_of(std::int64_t heads, std::int64_t kv_heads, bool causal, std::int64_t window, double softcap,
                         double scale) {
  Attributes a{{"heads", heads}, {"kv_heads", kv_heads}};
  if (causal) a.set("causal", std::int64_t{1});
  if (window > 0) a.set("window", window);
  if (softcap > 0.0) a.set("softcap", softcap);
  if (scale > 0.0) a.set("scale", scale);
  return a;
}

/// Numbers, dropped keys by -infinity and by -1e38, and every third row dropped altogether.
std::vector<double> mask_values(std::int64_t rows, std::int64_t keys) {
  std::vector<double> mask;
  for (std::int64_t t = 0; t < rows; ++t) {
    for (std::int64_t j = 0; j < keys; ++j) {
      const std::int64_t kind = (t * 5 + j * 3) % 7;
      mask.push_back(t % 3 == 2 || kind == 0 ? -kInfinity : kind == 1 ? -1e38 : static_cast<double>(kind) * 0.25);
    }
  }
  return mask;
}

std::string describe(const PlainAttention& c) {
  std::string text = fmt::format("{}x{} keys, {}/{} heads of {}", c.queries, c.keys, c.heads, c.kv_heads, c.d);
  if (c.dv != c.d) text += fmt::format("/{}", c.dv);
  if (c.causal) text += ", causal";
  if (c.window > 0) text += fmt::format(", window {}", c.window);
  if (c.softcap > 0.0) text += fmt::format(", softcap {}", c.softcap);
  if (c.mask > 0) text += fmt::format(", mask of {} dimensions", c.mask);
  if (c.scale > 0.0) text += fmt::format(", scale {}", c.scale);
  if (c.weights) text += ", weights";
  if (c.halves == 1) text += ", as one half";
  return text;
}

}  // namespace

OpCase plain_attention(const PlainAttention& c) {
  GraphBuilder b("attention");
  const ValueId q = b.input("q", DType::F32, {c.queries, c.heads * c.d});
  const ValueId k = b.input("k", DType::F32, {c.keys, c.kv_heads * c.d});
  const ValueId v = b.input("v", DType::F32, {c.keys, c.kv_heads * c.dv});
  ValueId mask = kNoValue;
  OpCase result;
  if (c.mask == 2) {
    mask = b.input("mask", DType::F32, {c.queries, c.keys});
    result.values["mask"] = mask_values(c.queries, c.keys);
  } else if (c.mask == 3) {
    mask = b.input("mask", DType::F32, {c.heads, c.queries, c.keys});
    result.values["mask"] = mask_values(c.heads * c.queries, c.keys);
  }
  Attributes attributes = attributes_of(c.heads, c.kv_heads, c.causal, c.window, c.softcap, c.scale);
  if (c.halves != 2) attributes.set("halves", c.halves);
  const auto outputs = b.add_many("attention", "attend", {q, k, v, mask}, attributes, c.weights ? 2 : 1);
  b.output(outputs[0], "y");
  if (c.weights) b.output(outputs[1], "weights");
  result.name = describe(c);
  result.graph = std::move(b).finish();
  return result;
}

OpCase cached_attention(const CachedAttention& c) {
  GraphBuilder b("attention");
  const ValueId cache_k = b.state("cache.k", c.cache, {"context", c.kv_heads * c.d});
  const ValueId cache_v = b.state("cache.v", c.cache, {"context", c.kv_heads * c.dv});
  const ValueId position = b.state("position", DType::I32, {1});
  ValueId q, k, v;
  if (c.projected) {
    const std::int64_t width = std::max<std::int64_t>(32, dtype_info(c.dtype).block_elements);
    ValueId x = b.input("x", DType::F32, {"tokens", width});
    if (c.norm) x = b.add("rms_norm", "norm", {x, b.weight("norm.weight", DType::F32, {width})}, {{"eps", 1e-5}});
    const auto product = [&](const std::string& name, std::int64_t n) {
      return b.add("linear", name,
                   {x, b.weight(name + ".weight", c.dtype, {n, width}),
                    c.bias ? b.weight(name + ".bias", DType::F32, {n}) : kNoValue});
    };
    q = product("q", c.heads * c.d);
    k = product("k", c.kv_heads * c.d);
    v = product("v", c.kv_heads * c.dv);
  } else {
    q = b.input("q", DType::F32, {"tokens", c.heads * c.d});
    k = b.input("k", DType::F32, {"tokens", c.kv_heads * c.d});
    v = b.input("v", DType::F32, {"tokens", c.kv_heads * c.dv});
  }
  if (!c.rotary.empty()) {
    Attributes turn{{"layout", c.rotary}, {"base", 10000.0}, {"heads", c.heads}};
    if (c.rotary_dims > 0) turn.set("dims", c.rotary_dims);
    if (c.rotary_scale != 1) turn.set("scale", c.rotary_scale);
    q = b.add("rotary", "turn_q", {q, position}, turn);
    turn.set("heads", c.kv_heads);
    k = b.add("rotary", "turn_k", {k, position}, turn);
  }
  OpCase result;
  ValueId mask = kNoValue;
  if (c.mask > 0) {
    const SymbolicShape shape =
        c.mask == 2 ? SymbolicShape{"tokens", "context"} : SymbolicShape{c.heads, "tokens", "context"};
    mask = b.input("mask", DType::F32, shape);
    result.values["mask"] = mask_values((c.mask == 2 ? 1 : c.heads) * c.rows, c.context);
  }
  Attributes attributes = attributes_of(c.heads, c.kv_heads, c.causal, c.window, c.softcap, 0.0);
  if (c.halves != 2) attributes.set("halves", c.halves);
  const auto outputs =
      b.add_many("attention", "attend", {q, k, v, mask, cache_k, cache_v, position}, attributes, c.weights ? 2 : 1);
  ValueId y = outputs[0];
  if (c.out > 0) {
    y = b.add("linear", "output",
              {y, b.weight("output.weight", c.dtype, {c.out, c.heads * c.dv}),
               c.bias ? b.weight("output.bias", DType::F32, {c.out}) : kNoValue,
               b.input("residual", DType::F32, {"tokens", c.out})});
  }
  b.output(y, "y");
  if (c.weights) b.output(outputs[1], "weights");

  result.values["position"] = {c.position};
  for (const auto& [name, width] : {std::pair{"cache.k", c.kv_heads * c.d}, std::pair{"cache.v", c.kv_heads * c.dv}}) {
    std::vector<double>& values = result.values[name];
    for (std::int64_t i = 0; i < c.context * width; ++i) {
      const bool filled = i < static_cast<std::int64_t>(c.position) * width;
      values.push_back(filled ? static_cast<double>(i * 7919 % 2003) / 1001.0 - 1.0 : std::nan(""));
    }
  }
  result.name = fmt::format("cache of {} at {}, {} rows, {}/{} heads of {}", c.context, c.position, c.rows, c.heads,
                            c.kv_heads, c.d);
  if (c.dv != c.d) result.name += fmt::format("/{}", c.dv);
  if (c.projected) result.name += fmt::format(", {} products{}", dtype_name(c.dtype), c.bias ? " with bias" : "");
  if (!c.rotary.empty()) result.name += ", rotary " + c.rotary;
  if (c.rotary_dims > 0) result.name += fmt::format(" of {}", c.rotary_dims);
  if (c.rotary_scale != 1) result.name += ", scaled";
  if (!c.causal) result.name += ", not causal";
  if (c.window > 0) result.name += fmt::format(", window {}", c.window);
  if (c.softcap > 0.0) result.name += fmt::format(", softcap {}", c.softcap);
  if (c.mask > 0) result.name += fmt::format(", mask of {} dimensions", c.mask);
  if (c.weights) result.name += ", weights";
  if (c.norm) result.name += ", norm";
  if (c.out > 0) result.name += fmt::format(", to {}", c.out);
  if (c.cache == DType::F16) result.name += ", f16 cache";
  if (c.halves == 1) result.name += ", as one half";
  result.graph = std::move(b).finish();
  result.dims = {{"tokens", c.rows}, {"context", c.context}};
  return result;
}

}  // namespace heed::op_cases
