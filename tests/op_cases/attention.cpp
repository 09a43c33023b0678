// cases attention: heads shared and not, causal, windows, masks, soft caps, heads of odd sizes, keys in several tiles;
// with a cache at its beginning, middle and end; q, k and v packed and turned by fusion; the weights themselves.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Plain {
  std::int64_t queries = 3;
  std::int64_t keys = 5;
  std::int64_t heads = 2;
  std::int64_t kv_heads = 2;
  std::int64_t d = 16;
  std::int64_t dv = 16;
  bool causal = false;
  std::int64_t window = 0;
  double softcap = 0.0;
  int mask = 0;  // 2 or 3 dimensions
  bool weights = false;
  double scale = 0.0;  // 0: the default
  std::int64_t halves = 2;
};

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

std::string describe(const Plain& c) {
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

/// Without a cache: q, k and v are inputs.
OpCase plain(const Plain& c) {
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

struct Cached {
  std::int64_t rows = 1;
  std::int64_t context = 32;
  double position = 0;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t d = 16;
  std::int64_t dv = 16;
  std::string rotary = {};  // layout; empty for none
  std::int64_t rotary_dims = 0;
  double rotary_scale = 1;
  bool projected = false;  // q, k and v are products of x, which fusion packs
  bool bias = false;
  DType dtype = DType::F32;  // of the products
  bool causal = true;
  std::int64_t window = 0;
  double softcap = 0.0;
  int mask = 0;
  bool weights = false;
  bool norm = false;     // of x before those products
  std::int64_t out = 0;  // columns of a product of the result, with a residual; 0 for none
  DType cache = DType::F32;
  std::int64_t halves = 2;
};

/// With a cache whose rows up to the position hold random numbers, and the ones behind NaN, which nobody may read.
OpCase cached(const Cached& c) {
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

/// What is multiplied may be rounded to f16, by kernels that are faster so: with keys and values of either type, in a
/// cache and without one.
void add_attention_halves(std::vector<OpCase>& cases) {
  for (const DType cache : {DType::F32, DType::F16}) {
    cases.push_back(cached({.rows = 40, .context = 150, .position = 90, .cache = cache, .halves = 1}));
    cases.push_back(cached({.rows = 9, .context = 80, .position = 70, .d = 64, .dv = 48, .cache = cache, .halves = 1}));
    cases.push_back(
        cached({.rows = 12, .position = 5, .rotary = "half", .projected = true, .cache = cache, .halves = 1}));
  }
  cases.push_back(plain({.queries = 40, .keys = 100, .d = 20, .dv = 12, .mask = 3, .halves = 1}));
}

/// The same kernels with caches of f16. States are compared to the bit where a device computes nothing of k and v.
void add_f16_caches(std::vector<OpCase>& cases) {
  const auto add = [&](Cached c) -> OpCase& {
    c.cache = DType::F16;
    return cases.emplace_back(cached(c));
  };
  for (const double position : {0.0, 1.0, 31.0}) {
    for (const std::string rotary : {"", "half", "interleaved"}) {
      add({.position = position, .rotary = rotary});
      add({.position = position, .rotary = rotary, .projected = true});
    }
  }
  add({.rows = 32, .rotary = "half", .projected = true});
  add({.rows = 5, .position = 27, .rotary = "interleaved", .rotary_dims = 6, .bias = true});
  for (const std::int64_t rows : {1, 5}) {
    add({.rows = rows, .position = 20, .rotary = "half", .rotary_dims = 6, .rotary_scale = 1.25, .projected = true});
  }
  // Words of the cache whose two elements are turned with others, each elsewhere.
  for (const std::int64_t rows : {1, 9}) {
    add({.rows = rows, .position = 3, .rotary = "half", .rotary_dims = 6});
    add({.rows = rows, .position = 3, .rotary = "half", .rotary_dims = 2});
  }
  for (const std::int64_t d : {4, 12, 48, 64, 128}) {
    add({.rows = 1, .position = 6, .heads = 2, .d = d, .dv = d, .rotary = "half"});
    add({.rows = 5, .position = 6, .heads = 2, .d = d, .dv = d, .rotary = "half"});
  }
  add({.rows = 2, .position = 6, .heads = 6, .kv_heads = 3, .d = 8, .dv = 12, .projected = true});
  for (const double position : {3.0, 400.0, 799.0}) {
    add({.context = 800, .position = position, .heads = 2, .kv_heads = 2, .d = 8, .dv = 8});
  }
  for (const auto& [heads, kv_heads] : {std::pair{12, 1}, std::pair{24, 2}, std::pair{6, 2}}) {
    for (const double position : {0.0, 16.0, 63.0, 99.0}) {
      Cached c{.context = 100, .position = position, .heads = heads, .kv_heads = kv_heads, .d = 8, .dv = 12};
      add(c);
      c.window = 21;
      add(c);
    }
  }
  add({.context = 4096, .position = 4095, .heads = 2, .kv_heads = 1, .rotary = "half"});
  add({.rows = 3, .context = 4096, .position = 300, .heads = 2, .kv_heads = 1, .projected = true});
  add({.rows = 4, .context = 600, .position = 590, .heads = 2, .kv_heads = 1, .window = 200});
  add({.context = 300, .position = 127, .heads = 2, .kv_heads = 1, .weights = true});
  add({.rows = 4, .position = 20, .window = 3, .weights = true});
  add({.rows = 4, .position = 10, .causal = false, .weights = true});
  add({.rows = 13, .position = 12, .d = 128, .dv = 64, .softcap = 1.5, .mask = 3});
  add({.rows = 6, .position = 10, .mask = 2, .weights = true});
  add({.position = 10, .softcap = 1.5, .mask = 2});
  add({.rows = 70, .context = 80, .position = 7, .heads = 16, .kv_heads = 16, .d = 4, .dv = 4});

  // Numbers half way between two of f16, the smallest and the largest, and what is not there at all. Keys are not
  // looked at by a query of zeros, or the largest would win alone.
  const std::vector<double> edges = {1.0 + 0x1p-11, 1.0 + 0x3p-11, -1.0 - 0x1.004p-11,
                                     0x1p-24,       0x1p-25,       0x1.8p-24,
                                     -0x1.ffep-15,  -0x1.fffp-15,  0x1p-14,
                                     65504.0,       65519.0,       -65519.996,
                                     0x1p-26,       -0.0,          2049.0,
                                     -0x5p-24,      0x1p-30,       1.0 / 3.0};
  for (const std::int64_t rows : {1, 5}) {
    OpCase& c = add({.rows = rows, .position = 2, .heads = 2, .d = 20, .dv = 20});
    c.name += ", edges of f16";
    c.values["q"].assign(static_cast<std::size_t>(rows * 2 * 20), 0.0);
    for (std::int64_t i = 0; i < rows * 2 * 20; ++i) {
      const double edge = edges[static_cast<std::size_t>(i) % edges.size()];
      c.values["k"].push_back(edge);
      c.values["v"].push_back(std::abs(edge));  // or what is left of their sum would be their rounding
    }
  }
  // What f16 cannot hold breaks what is made of it, and nothing else: it is neither the largest number that it can
  // hold, nor infinite, which may mean a score of -infinity and a key that is quietly dropped.
  for (const std::int64_t rows : {1, 5}) {
    for (const char* where : {"k", "v"}) {
      for (const double broken : {65520.0, -70000.0, 1e30, -kInfinity, kNotANumber}) {
        OpCase& c = add({.rows = rows, .position = 3, .heads = 2});
        c.name += fmt::format(", {} of {}", where, broken);
        for (const char* name : {"q", "k", "v"}) {
          std::vector<double>& values = c.values[name];
          for (std::int64_t i = 0; i < rows * 2 * 16; ++i) values.push_back(static_cast<double>(i % 13) / 6.0 + 0.125);
        }
        c.values[where][1] = broken;  // row 0, head 0
      }
    }
  }
}

/// Rows enough for tiles of them (tuned so), of one head or of several that share keys: ragged, and of every width that
/// is cut in another way; keys before, behind and across the tiles that are visited.
void add_tiles(std::vector<OpCase>& cases) {
  for (const std::int64_t d : {4, 20, 44, 64, 80, 96, 128, 256}) {
    cases.push_back(plain({.queries = 37, .keys = 70, .heads = 3, .kv_heads = 1, .d = d, .dv = d}));
    for (const DType cache : {DType::F32, DType::F16}) {
      cases.push_back(cached(
          {.rows = 37, .context = 120, .position = 50, .heads = 6, .kv_heads = 2, .d = d, .dv = d, .cache = cache}));
    }
  }
  cases.push_back(plain({.queries = 70, .keys = 45, .d = 80, .dv = 64}));
  cases.push_back(plain({.queries = 70, .keys = 45, .d = 64, .dv = 256}));
  cases.push_back(plain({.queries = 20, .keys = 1, .heads = 4, .kv_heads = 1, .d = 64, .dv = 4}));
  for (const std::int64_t queries : {63, 64, 65, 130}) {
    cases.push_back(plain({.queries = queries, .keys = queries, .d = 16, .dv = 8, .causal = true}));
    cases.push_back(plain({.queries = queries, .keys = queries, .d = 16, .dv = 8, .window = 40}));
  }
  for (const std::int64_t window : {1, 33, 64, 100}) {
    cases.push_back(cached({.rows = 90, .context = 300, .position = 200, .d = 8, .dv = 8, .window = window}));
    cases.push_back(cached({.rows = 90, .context = 300, .position = 0, .d = 8, .dv = 8, .window = window}));
  }
  cases.push_back(cached({.rows = 70, .context = 300, .position = 130, .d = 32, .dv = 16, .causal = false}));
  cases.push_back(cached({.rows = 40,
                          .context = 100,
                          .position = 60,
                          .heads = 12,
                          .kv_heads = 4,
                          .d = 32,
                          .dv = 32,
                          .softcap = 2.5,
                          .mask = 3}));
  cases.push_back(
      cached({.rows = 33, .context = 80, .position = 40, .d = 64, .dv = 64, .rotary = "half", .projected = true}));
  // What only later rows see: it may not reach earlier ones of the same tile as 0 times infinity, wherever that begins.
  for (const double broken : {kInfinity, -kInfinity, kNotANumber}) {
    for (const std::int64_t key : {56, 57, 62}) {
      OpCase c = plain({.queries = 64, .keys = 64, .heads = 1, .kv_heads = 1, .causal = true});
      c.name += fmt::format(", value {} is {}", key, broken);
      for (std::int64_t i = 0; i < 64 * 16; ++i) {
        c.values["v"].push_back(i == key * 16 + 3 ? broken : static_cast<double>(i % 13) / 6.0 + 0.125);
      }
      cases.push_back(std::move(c));
    }
  }
}

}  // namespace

std::vector<OpCase> cases_attention() {
  std::vector<OpCase> cases;
  cases.push_back(plain({}));
  cases.push_back(plain({.queries = 1, .keys = 1, .heads = 1, .kv_heads = 1, .d = 4, .dv = 4}));
  for (const std::int64_t d : {1, 3, 6, 12, 48, 64, 128, 256}) {
    cases.push_back(plain({.queries = 2, .keys = 9, .d = d, .dv = d}));
  }
  cases.push_back(plain({.d = 8, .dv = 12}));
  cases.push_back(plain({.d = 8, .dv = 3}));
  cases.push_back(plain({.d = 3, .dv = 8}));
  cases.push_back(plain({.heads = 6, .kv_heads = 2}));
  cases.push_back(plain({.heads = 4, .kv_heads = 1, .d = 6, .dv = 6}));
  // Keys in one tile, exactly one, one more, and many.
  for (const std::int64_t keys : {127, 128, 129, 256, 700}) {
    cases.push_back(plain({.queries = 2, .keys = keys, .weights = keys % 2 == 1}));
  }
  cases.push_back(plain({.queries = 200, .keys = 200, .heads = 1, .kv_heads = 1, .d = 4, .dv = 4, .causal = true}));
  // More rounds than old llvmpipe goes through, of loops within a tile of keys that are not unrolled.
  cases.push_back(plain({.queries = 9, .keys = 7000, .heads = 1, .kv_heads = 1, .d = 128, .dv = 128}));
  cases.push_back(plain({.queries = 7, .keys = 7, .causal = true, .weights = true}));
  cases.push_back(plain({.queries = 3, .keys = 9, .causal = true}));
  cases.push_back(plain({.queries = 9, .keys = 3, .causal = true, .window = 2, .weights = true}));
  cases.push_back(plain({.queries = 20, .keys = 20, .causal = true, .window = 1}));
  cases.push_back(plain({.queries = 300, .keys = 300, .heads = 1, .kv_heads = 1, .causal = true, .window = 130}));
  cases.push_back(plain({.queries = 5, .keys = 5, .window = 2, .weights = true}));
  cases.push_back(plain({.queries = 3, .keys = 9, .d = 6, .dv = 6, .weights = true}));
  cases.push_back(plain({.softcap = 5.0}));
  cases.push_back(plain({.softcap = 0.01, .weights = true, .scale = 3.0}));
  for (const int mask : {2, 3}) {
    cases.push_back(plain({.queries = 6, .keys = 11, .heads = 4, .mask = mask, .weights = true}));
    cases.push_back(plain({.queries = 4, .keys = 260, .d = 6, .dv = 6, .mask = mask}));
    cases.push_back(plain({.queries = 6, .keys = 6, .causal = true, .softcap = 2.0, .mask = mask, .weights = true}));
  }
  cases.push_back(plain({.queries = 0}));
  cases.push_back(plain({.queries = 2, .keys = 0, .weights = true}));
  {
    OpCase c = plain({.queries = 1, .keys = 4, .heads = 1, .kv_heads = 1, .d = 4, .dv = 4, .scale = 1.0});
    c.name = "scores of thousands";
    c.values["q"] = {1000.0, 0.0, -1000.0, 5.0};
    cases.push_back(std::move(c));
  }

  // A broken query, key or mask breaks the rows that see it, and no others: nothing quietly becomes zeros.
  for (const std::int64_t d : {16, 6}) {
    for (const std::int64_t queries : {1, 5, 70}) {
      for (const bool weights : {false, true}) {
        const bool causal = queries > 1;
        OpCase c = plain({.queries = queries, .keys = queries + 4, .d = d, .dv = d, .mask = 2, .weights = weights});
        if (causal) c = plain({.queries = queries, .keys = queries, .d = d, .dv = d, .causal = true, .mask = 2});
        if (causal && weights) continue;
        c.name += ", special values";
        std::vector<double>& q = c.values["q"];
        for (std::int64_t i = 0; i < queries * 2 * d; ++i) q.push_back(static_cast<double>(i % 17) / 8.0 - 1.0);
        if (queries > 1) {
          q[static_cast<std::size_t>(2 * d)] = kNotANumber;        // row 1, head 0
          q[static_cast<std::size_t>(2 * 2 * d + d)] = kInfinity;  // row 2, head 1
        }
        c.values["mask"].assign(c.values["mask"].size(), 0.25);
        c.values["mask"][1] = -kInfinity;
        if (queries == 1) c.values["mask"][3] = kNotANumber;
        cases.push_back(std::move(c));
      }
    }
  }
  for (const std::int64_t d : {16, 6}) {
    OpCase c = plain({.queries = 40, .keys = 40, .d = d, .dv = d, .causal = true});
    c.name += ", NaN in a key";
    std::vector<double>& k = c.values["k"];
    for (std::int64_t i = 0; i < 40 * 2 * d; ++i) k.push_back(static_cast<double>(i % 13) / 6.0 - 1.0);
    k[static_cast<std::size_t>(20 * 2 * d + 1)] = kNotANumber;  // of the rows from 20 on
    cases.push_back(std::move(c));
  }
  // A key that the mask drops from a row: nor does its value reach it.
  for (const double broken : {-kInfinity, kNotANumber}) {
    for (const std::int64_t d : {16, 6}) {
      for (const std::int64_t queries : {1, 6, 40}) {
        OpCase c = plain({.queries = queries, .keys = 11, .d = d, .dv = d, .mask = 2});
        c.name += fmt::format(", value 7 is {}", broken);
        std::vector<double>& v = c.values["v"];
        for (std::int64_t i = 0; i < 11 * 2 * d; ++i) v.push_back(static_cast<double>(i % 13) / 6.0 - 1.0);
        v[static_cast<std::size_t>(7 * 2 * d + 1)] = broken;
        cases.push_back(std::move(c));
      }
      for (const std::int64_t rows : {1, 5}) {
        OpCase c = cached({.rows = rows, .position = 10, .heads = 2, .d = d, .dv = d, .mask = 2});
        c.name += fmt::format(", a value of {}", broken);
        std::vector<double>& v = c.values["v"];
        for (std::int64_t i = 0; i < rows * 2 * d; ++i) v.push_back(static_cast<double>(i % 13) / 6.0 - 1.0);
        v[1] = broken;
        std::vector<double>& mask = c.values["mask"];
        mask.assign(static_cast<std::size_t>(rows * 32), 0.25);
        for (std::int64_t t = 0; t < rows; t += 2) mask[static_cast<std::size_t>(t * 32 + 10)] = -kInfinity;
        cases.push_back(std::move(c));
      }
    }
  }
  // Enough keys for many runs (tuned so), most of them empty, some, and all full.
  for (const double position : {3.0, 400.0, 799.0}) {
    cases.push_back(cached({.context = 800, .position = position, .heads = 2, .kv_heads = 2, .d = 8, .dv = 8}));
  }
  // Several workgroups of heads share a key, and lanes are no multiple of heads; runs begin and end anywhere.
  for (const auto& [heads, kv_heads] : {std::pair{12, 1}, std::pair{24, 2}, std::pair{6, 2}}) {
    for (const double position : {0.0, 15.0, 16.0, 62.0, 63.0, 64.0, 99.0}) {
      for (const std::int64_t window : {0, 21}) {
        cases.push_back(cached({.context = 100,
                                .position = position,
                                .heads = heads,
                                .kv_heads = kv_heads,
                                .d = 8,
                                .dv = 12,
                                .rotary = window == 0 ? "half" : "",
                                .window = window}));
        cases.back().name += fmt::format(", window {}", window);
      }
    }
  }
  for (const double position : {0.0, 7.0}) {
    for (const double broken : {kNotANumber, kInfinity}) {
      for (const std::int64_t d : {16, 6}) {
        OpCase c = cached({.position = position, .heads = 2, .d = d, .dv = d});
        c.name += fmt::format(", a query of {}", broken);
        c.values["q"].assign(static_cast<std::size_t>(2 * d), 0.5);
        c.values["q"][1] = broken;
        cases.push_back(std::move(c));
      }
    }
  }

  for (const double position : {0.0, 1.0, 15.0, 31.0}) {
    for (const std::string rotary : {"", "half", "interleaved"}) {
      cases.push_back(cached({.position = position, .rotary = rotary}));
      cases.push_back(cached({.position = position, .rotary = rotary, .projected = true}));
    }
  }
  cases.push_back(cached({.rows = 32, .rotary = "half", .projected = true}));
  cases.push_back(cached({.rows = 5, .position = 27, .rotary = "half", .projected = true, .bias = true}));
  cases.push_back(cached({.rows = 5, .position = 12, .rotary = "interleaved", .rotary_dims = 6, .bias = true}));
  cases.push_back(cached({.rows = 9, .position = 3, .rotary = "half", .rotary_dims = 4, .projected = true}));
  for (const DType dtype : matrix_types()) {
    cases.push_back(
        cached({.rows = 1, .position = 9, .rotary = "half", .projected = true, .bias = true, .dtype = dtype}));
    cases.push_back(cached({.rows = 8, .position = 9, .projected = true, .dtype = dtype}));
  }
  for (const std::int64_t d : {3, 6, 12, 48, 64, 128, 256}) {
    cases.push_back(cached({.rows = 2, .position = 6, .heads = 2, .d = d, .dv = d, .projected = true}));
    if (d % 2 == 0) {
      cases.push_back(cached({.rows = 2, .position = 6, .heads = 2, .d = d, .dv = d, .rotary = "half"}));
    }
  }
  cases.push_back(cached(
      {.rows = 2, .position = 6, .heads = 2, .d = 7, .dv = 5, .rotary = "half", .rotary_dims = 6, .projected = true}));
  cases.push_back(cached({.rows = 2, .position = 6, .heads = 6, .kv_heads = 3, .d = 8, .dv = 12, .projected = true}));
  // Beyond one tile, up to the end of a long context.
  cases.push_back(cached({.context = 4096, .position = 4095, .heads = 2, .kv_heads = 1, .rotary = "half"}));
  // Many products and sums in one workgroup: some drivers stop a loop that runs long.
  cases.push_back(
      plain({.queries = 1, .keys = 20000, .heads = 1, .kv_heads = 1, .d = 128, .dv = 128, .weights = true}));
  cases.push_back(cached({.rows = 3, .context = 4096, .position = 300, .heads = 2, .kv_heads = 1, .projected = true}));
  cases.push_back(cached({.context = 300, .position = 127, .heads = 2, .kv_heads = 1, .weights = true}));
  cases.push_back(cached({.context = 300, .position = 128, .heads = 2, .kv_heads = 1, .d = 6, .dv = 6}));
  cases.push_back(cached({.rows = 4, .context = 600, .position = 590, .heads = 2, .kv_heads = 1, .window = 200}));
  cases.push_back(cached({.rows = 4, .position = 20, .window = 3, .weights = true}));
  cases.push_back(cached({.rows = 4, .position = 10, .causal = false, .weights = true}));
  cases.push_back(cached({.rows = 4, .position = 10, .softcap = 1.5}));
  // Heads of which a part is turned, in whole vec4s and not.
  for (const std::string rotary : {"half", "interleaved"}) {
    for (const std::int64_t dims : {8, 12, 16}) {
      for (const DType cache : {DType::F32, DType::F16}) {
        cases.push_back(cached(
            {.rows = 5, .position = 12, .d = 24, .dv = 8, .rotary = rotary, .rotary_dims = dims, .cache = cache}));
      }
    }
  }
  cases.push_back(cached({.rows = 6, .position = 10, .mask = 2, .weights = true}));
  cases.push_back(cached({.rows = 6, .position = 10, .projected = true, .causal = false, .mask = 3}));
  // Decoder layers' attention halves, which become one dispatch where the device does that.
  for (const DType dtype : matrix_types()) {
    for (const DType cache : {DType::F32, DType::F16}) {
      cases.push_back(
          cached({.position = 5,
                  .heads = dtype_info(dtype).block_elements > 128 ? 8 : 4,  // whole blocks of what they make
                  .d = 32,
                  .dv = 32,
                  .rotary = "half",
                  .projected = true,
                  .dtype = dtype,
                  .norm = true,
                  .out = 32,
                  .cache = cache}));
    }
  }
  cases.push_back(cached({.context = 200,
                          .position = 199,
                          .heads = 6,
                          .kv_heads = 3,
                          .d = 48,
                          .dv = 64,
                          .rotary = "interleaved",
                          .projected = true,
                          .bias = true,
                          .dtype = DType::Q8_0,
                          .out = 300}));
  cases.push_back(cached({.d = 8, .projected = true, .norm = true, .out = 7}));
  cases.push_back(cached({.position = 31, .d = 4, .dv = 12, .projected = true, .bias = true, .norm = true, .out = 33}));
  cases.push_back(cached({.position = 20, .projected = true, .window = 3, .softcap = 2.0, .out = 5}));
  cases.push_back(cached({.rows = 3, .position = 2, .projected = true, .norm = true, .out = 5}));
  // A single row, which is done in one dispatch, and heads for which lanes are query rows.
  cases.push_back(cached({.position = 20, .projected = true, .window = 3}));
  cases.push_back(cached({.position = 10, .softcap = 1.5, .mask = 2}));
  cases.push_back(cached({.position = 10, .rotary = "half", .projected = true, .mask = 3}));
  cases.push_back(
      cached({.position = 9, .heads = 6, .kv_heads = 3, .d = 7, .dv = 5, .rotary = "half", .rotary_dims = 6}));
  cases.push_back(cached({.rows = 13, .position = 12, .rotary = "half", .projected = true, .window = 5}));
  cases.push_back(cached({.rows = 13, .position = 12, .d = 128, .dv = 64, .softcap = 1.5, .mask = 3}));
  cases.push_back(cached({.rows = 0, .position = 3}));
  add_tiles(cases);
  add_f16_caches(cases);
  add_attention_halves(cases);
  // More workgroups than one dimension of the smallest device has.
  cases.push_back(plain({.queries = 65600, .keys = 2, .heads = 1, .kv_heads = 1, .d = 3, .dv = 3}));
  return cases;
}

}  // namespace heed::op_cases
