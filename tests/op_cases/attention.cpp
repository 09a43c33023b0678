// cases attention: heads shared and not, causal, windows, masks, soft caps, heads of odd sizes, keys in several tiles;
// with a cache at its beginning, middle and end; q, k and v packed and turned by fusion; the weights themselves.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/op_cases/attention_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

/// What is multiplied may be rounded to f16, by kernels that are faster so: with keys and values of either type, in a
/// cache and without one.
void add_attention_halves(std::vector<OpCase>& cases) {
  for (const DType cache : {DType::F32, DType::F16}) {
    cases.push_back(cached_attention({.rows = 40, .context = 150, .position = 90, .cache = cache, .halves = 1}));
    cases.push_back(
        cached_attention({.rows = 9, .context = 80, .position = 70, .d = 64, .dv = 48, .cache = cache, .halves = 1}));
    cases.push_back(cached_attention(
        {.rows = 12, .position = 5, .rotary = "half", .projected = true, .cache = cache, .halves = 1}));
  }
  cases.push_back(plain_attention({.queries = 40, .keys = 100, .d = 20, .dv = 12, .mask = 3, .halves = 1}));
}

/// The same kernels with caches of f16. States are compared to the bit where a device computes nothing of k and v.
void add_f16_caches(std::vector<OpCase>& cases) {
  const auto add = [&](CachedAttention c) -> OpCase& {
    c.cache = DType::F16;
    return cases.emplace_back(cached_attention(c));
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
      CachedAttention c{.context = 100, .position = position, .heads = heads, .kv_heads = kv_heads, .d = 8, .dv = 12};
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
}

/// Rows enough for tiles of them (tuned so), of one head or of several that share keys: ragged, and of every width that
/// is cut in another way; keys before, behind and across the tiles that are visited.
void add_tiles(std::vector<OpCase>& cases) {
  for (const std::int64_t d : {4, 20, 44, 64, 80, 96, 128, 256}) {
    cases.push_back(plain_attention({.queries = 37, .keys = 70, .heads = 3, .kv_heads = 1, .d = d, .dv = d}));
    for (const DType cache : {DType::F32, DType::F16}) {
      cases.push_back(cached_attention(
          {.rows = 37, .context = 120, .position = 50, .heads = 6, .kv_heads = 2, .d = d, .dv = d, .cache = cache}));
    }
  }
  cases.push_back(plain_attention({.queries = 70, .keys = 45, .d = 80, .dv = 64}));
  cases.push_back(plain_attention({.queries = 70, .keys = 45, .d = 64, .dv = 256}));
  cases.push_back(plain_attention({.queries = 20, .keys = 1, .heads = 4, .kv_heads = 1, .d = 64, .dv = 4}));
  for (const std::int64_t queries : {63, 64, 65, 130}) {
    cases.push_back(plain_attention({.queries = queries, .keys = queries, .d = 16, .dv = 8, .causal = true}));
    cases.push_back(plain_attention({.queries = queries, .keys = queries, .d = 16, .dv = 8, .window = 40}));
  }
  for (const std::int64_t window : {1, 33, 64, 100}) {
    cases.push_back(cached_attention({.rows = 90, .context = 300, .position = 200, .d = 8, .dv = 8, .window = window}));
    cases.push_back(cached_attention({.rows = 90, .context = 300, .position = 0, .d = 8, .dv = 8, .window = window}));
  }
  cases.push_back(cached_attention({.rows = 70, .context = 300, .position = 130, .d = 32, .dv = 16, .causal = false}));
  cases.push_back(cached_attention({.rows = 40,
                                    .context = 100,
                                    .position = 60,
                                    .heads = 12,
                                    .kv_heads = 4,
                                    .d = 32,
                                    .dv = 32,
                                    .softcap = 2.5,
                                    .mask = 3}));
  cases.push_back(cached_attention(
      {.rows = 33, .context = 80, .position = 40, .d = 64, .dv = 64, .rotary = "half", .projected = true}));
}

}  // namespace

std::vector<OpCase> cases_attention() {
  std::vector<OpCase> cases;
  cases.push_back(plain_attention({}));
  cases.push_back(plain_attention({.queries = 1, .keys = 1, .heads = 1, .kv_heads = 1, .d = 4, .dv = 4}));
  for (const std::int64_t d : {1, 3, 6, 12, 48, 64, 128, 256}) {
    cases.push_back(plain_attention({.queries = 2, .keys = 9, .d = d, .dv = d}));
  }
  cases.push_back(plain_attention({.d = 8, .dv = 12}));
  cases.push_back(plain_attention({.d = 8, .dv = 3}));
  cases.push_back(plain_attention({.d = 3, .dv = 8}));
  cases.push_back(plain_attention({.heads = 6, .kv_heads = 2}));
  cases.push_back(plain_attention({.heads = 4, .kv_heads = 1, .d = 6, .dv = 6}));
  // Keys in one tile, exactly one, one more, and many.
  for (const std::int64_t keys : {127, 128, 129, 256, 700}) {
    cases.push_back(plain_attention({.queries = 2, .keys = keys, .weights = keys % 2 == 1}));
  }
  cases.push_back(
      plain_attention({.queries = 200, .keys = 200, .heads = 1, .kv_heads = 1, .d = 4, .dv = 4, .causal = true}));
  // More rounds than old llvmpipe goes through, of loops within a tile of keys that are not unrolled.
  cases.push_back(plain_attention({.queries = 9, .keys = 7000, .heads = 1, .kv_heads = 1, .d = 128, .dv = 128}));
  cases.push_back(plain_attention({.queries = 7, .keys = 7, .causal = true, .weights = true}));
  cases.push_back(plain_attention({.queries = 3, .keys = 9, .causal = true}));
  cases.push_back(plain_attention({.queries = 9, .keys = 3, .causal = true, .window = 2, .weights = true}));
  cases.push_back(plain_attention({.queries = 20, .keys = 20, .causal = true, .window = 1}));
  cases.push_back(
      plain_attention({.queries = 300, .keys = 300, .heads = 1, .kv_heads = 1, .causal = true, .window = 130}));
  cases.push_back(plain_attention({.queries = 5, .keys = 5, .window = 2, .weights = true}));
  cases.push_back(plain_attention({.queries = 3, .keys = 9, .d = 6, .dv = 6, .weights = true}));
  cases.push_back(plain_attention({.softcap = 5.0}));
  cases.push_back(plain_attention({.softcap = 0.01, .weights = true, .scale = 3.0}));
  for (const int mask : {2, 3}) {
    cases.push_back(plain_attention({.queries = 6, .keys = 11, .heads = 4, .mask = mask, .weights = true}));
    cases.push_back(plain_attention({.queries = 4, .keys = 260, .d = 6, .dv = 6, .mask = mask}));
    cases.push_back(
        plain_attention({.queries = 6, .keys = 6, .causal = true, .softcap = 2.0, .mask = mask, .weights = true}));
  }
  cases.push_back(plain_attention({.queries = 0}));
  cases.push_back(plain_attention({.queries = 2, .keys = 0, .weights = true}));
  {
    OpCase c = plain_attention({.queries = 1, .keys = 4, .heads = 1, .kv_heads = 1, .d = 4, .dv = 4, .scale = 1.0});
    c.name = "scores of thousands";
    c.values["q"] = {1000.0, 0.0, -1000.0, 5.0};
    cases.push_back(std::move(c));
  }

  // Enough keys for many runs (tuned so), most of them empty, some, and all full.
  for (const double position : {3.0, 400.0, 799.0}) {
    cases.push_back(
        cached_attention({.context = 800, .position = position, .heads = 2, .kv_heads = 2, .d = 8, .dv = 8}));
  }
  // Several workgroups of heads share a key, and lanes are no multiple of heads; runs begin and end anywhere.
  for (const auto& [heads, kv_heads] : {std::pair{12, 1}, std::pair{24, 2}, std::pair{6, 2}}) {
    for (const double position : {0.0, 15.0, 16.0, 62.0, 63.0, 64.0, 99.0}) {
      for (const std::int64_t window : {0, 21}) {
        cases.push_back(cached_attention({.context = 100,
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

  for (const double position : {0.0, 1.0, 15.0, 31.0}) {
    for (const std::string rotary : {"", "half", "interleaved"}) {
      cases.push_back(cached_attention({.position = position, .rotary = rotary}));
      cases.push_back(cached_attention({.position = position, .rotary = rotary, .projected = true}));
    }
  }
  cases.push_back(cached_attention({.rows = 32, .rotary = "half", .projected = true}));
  cases.push_back(cached_attention({.rows = 5, .position = 27, .rotary = "half", .projected = true, .bias = true}));
  cases.push_back(
      cached_attention({.rows = 5, .position = 12, .rotary = "interleaved", .rotary_dims = 6, .bias = true}));
  cases.push_back(cached_attention({.rows = 9, .position = 3, .rotary = "half", .rotary_dims = 4, .projected = true}));
  for (const DType dtype : matrix_types()) {
    cases.push_back(cached_attention(
        {.rows = 1, .position = 9, .rotary = "half", .projected = true, .bias = true, .dtype = dtype}));
    cases.push_back(cached_attention({.rows = 8, .position = 9, .projected = true, .dtype = dtype}));
  }
  for (const std::int64_t d : {3, 6, 12, 48, 64, 128, 256}) {
    cases.push_back(cached_attention({.rows = 2, .position = 6, .heads = 2, .d = d, .dv = d, .projected = true}));
    if (d % 2 == 0) {
      cases.push_back(cached_attention({.rows = 2, .position = 6, .heads = 2, .d = d, .dv = d, .rotary = "half"}));
    }
  }
  cases.push_back(cached_attention(
      {.rows = 2, .position = 6, .heads = 2, .d = 7, .dv = 5, .rotary = "half", .rotary_dims = 6, .projected = true}));
  cases.push_back(
      cached_attention({.rows = 2, .position = 6, .heads = 6, .kv_heads = 3, .d = 8, .dv = 12, .projected = true}));
  // Beyond one tile, up to the end of a long context.
  cases.push_back(cached_attention({.context = 4096, .position = 4095, .heads = 2, .kv_heads = 1, .rotary = "half"}));
  // Many products and sums in one workgroup: some drivers stop a loop that runs long.
  cases.push_back(
      plain_attention({.queries = 1, .keys = 20000, .heads = 1, .kv_heads = 1, .d = 128, .dv = 128, .weights = true}));
  cases.push_back(
      cached_attention({.rows = 3, .context = 4096, .position = 300, .heads = 2, .kv_heads = 1, .projected = true}));
  cases.push_back(cached_attention({.context = 300, .position = 127, .heads = 2, .kv_heads = 1, .weights = true}));
  cases.push_back(cached_attention({.context = 300, .position = 128, .heads = 2, .kv_heads = 1, .d = 6, .dv = 6}));
  cases.push_back(
      cached_attention({.rows = 4, .context = 600, .position = 590, .heads = 2, .kv_heads = 1, .window = 200}));
  cases.push_back(cached_attention({.rows = 4, .position = 20, .window = 3, .weights = true}));
  cases.push_back(cached_attention({.rows = 4, .position = 10, .causal = false, .weights = true}));
  cases.push_back(cached_attention({.rows = 4, .position = 10, .softcap = 1.5}));
  // Positions of which the coarse part turns, too (ops::Rotary).
  for (const std::string rotary : {"half", "interleaved"}) {
    for (const std::int64_t d : {16, 12}) {
      cases.push_back(
          cached_attention({.rows = 5, .context = 600, .position = 590, .d = d, .dv = d, .rotary = rotary}));
    }
  }
  // Heads of which a part is turned, in whole vec4s and not.
  for (const std::string rotary : {"half", "interleaved"}) {
    for (const std::int64_t dims : {8, 12, 16}) {
      for (const DType cache : {DType::F32, DType::F16}) {
        cases.push_back(cached_attention(
            {.rows = 5, .position = 12, .d = 24, .dv = 8, .rotary = rotary, .rotary_dims = dims, .cache = cache}));
      }
    }
  }
  cases.push_back(cached_attention({.rows = 6, .position = 10, .mask = 2, .weights = true}));
  cases.push_back(cached_attention({.rows = 6, .position = 10, .projected = true, .causal = false, .mask = 3}));
  // Decoder layers' attention halves, which become one dispatch where the device does that.
  for (const DType dtype : matrix_types()) {
    for (const DType cache : {DType::F32, DType::F16}) {
      cases.push_back(
          cached_attention({.position = 5,
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
  cases.push_back(cached_attention({.context = 200,
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
  cases.push_back(cached_attention({.d = 8, .projected = true, .norm = true, .out = 7}));
  cases.push_back(
      cached_attention({.position = 31, .d = 4, .dv = 12, .projected = true, .bias = true, .norm = true, .out = 33}));
  cases.push_back(cached_attention({.position = 20, .projected = true, .window = 3, .softcap = 2.0, .out = 5}));
  cases.push_back(cached_attention({.rows = 3, .position = 2, .projected = true, .norm = true, .out = 5}));
  // A single row, which is done in one dispatch, and heads for which lanes are query rows.
  cases.push_back(cached_attention({.position = 20, .projected = true, .window = 3}));
  cases.push_back(cached_attention({.position = 10, .softcap = 1.5, .mask = 2}));
  cases.push_back(cached_attention({.position = 10, .rotary = "half", .projected = true, .mask = 3}));
  cases.push_back(cached_attention(
      {.position = 9, .heads = 6, .kv_heads = 3, .d = 7, .dv = 5, .rotary = "half", .rotary_dims = 6}));
  cases.push_back(cached_attention({.rows = 13, .position = 12, .rotary = "half", .projected = true, .window = 5}));
  cases.push_back(cached_attention({.rows = 13, .position = 12, .d = 128, .dv = 64, .softcap = 1.5, .mask = 3}));
  cases.push_back(cached_attention({.rows = 0, .position = 3}));
  add_tiles(cases);
  add_f16_caches(cases);
  add_attention_halves(cases);
  // More workgroups than one dimension of the smallest device has.
  cases.push_back(plain_attention({.queries = 65600, .keys = 2, .heads = 1, .kv_heads = 1, .d = 3, .dv = 3}));
  return cases;
}

}  // namespace heed::op_cases
