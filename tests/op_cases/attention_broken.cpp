// cases attention_broken: NaN and infinity in queries, keys, values and masks, and what f16 cannot hold. They break
// what sees them, and nothing else: nothing quietly becomes zeros, and nothing reaches a row that does not see it. A
// key whose weight is too small for a float counts as not seen.
#include <fmt/format.h>

#include <utility>

#include "tests/op_cases/attention_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

void add_f16(std::vector<OpCase>& cases) {
  // What f16 cannot hold breaks what is made of it, and nothing else: it is neither the largest number that it can
  // hold, nor infinite, which may mean a score of -infinity and a key that is quietly dropped.
  for (const std::int64_t rows : {1, 5}) {
    for (const char* where : {"k", "v"}) {
      for (const double broken : {65520.0, -70000.0, 1e30, -kInfinity, kNotANumber}) {
        OpCase& c =
            cases.emplace_back(cached_attention({.rows = rows, .position = 3, .heads = 2, .cache = DType::F16}));
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

void add_hidden(std::vector<OpCase>& cases) {
  // What only later rows see: it may not reach earlier ones of the same tile as 0 times infinity, wherever that begins.
  for (const double broken : {kInfinity, -kInfinity, kNotANumber}) {
    for (const std::int64_t key : {56, 57, 62}) {
      OpCase c = plain_attention({.queries = 64, .keys = 64, .heads = 1, .kv_heads = 1, .causal = true});
      c.name += fmt::format(", value {} is {}", key, broken);
      for (std::int64_t i = 0; i < 64 * 16; ++i) {
        c.values["v"].push_back(i == key * 16 + 3 ? broken : static_cast<double>(i % 13) / 6.0 + 0.125);
      }
      cases.push_back(std::move(c));
    }
  }
  // A key that the mask drops from a row: nor does its value reach it.
  for (const double broken : {kInfinity, -kInfinity, kNotANumber}) {
    for (const std::int64_t d : {16, 6}) {
      for (const std::int64_t queries : {1, 6, 40}) {
        OpCase c = plain_attention({.queries = queries, .keys = 11, .d = d, .dv = d, .mask = 2});
        c.name += fmt::format(", value 7 is {}", broken);
        std::vector<double>& v = c.values["v"];
        for (std::int64_t i = 0; i < 11 * 2 * d; ++i) v.push_back(static_cast<double>(i % 13) / 6.0 - 1.0);
        v[static_cast<std::size_t>(7 * 2 * d + 1)] = broken;
        cases.push_back(std::move(c));
      }
      for (const std::int64_t rows : {1, 5}) {
        OpCase c = cached_attention({.rows = rows, .position = 10, .heads = 2, .d = d, .dv = d, .mask = 2});
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
  // Of two heads that share it, one sees it.
  for (const std::int64_t rows : {1, 12}) {
    OpCase c = cached_attention({.rows = rows, .position = 10, .heads = 4, .kv_heads = 2, .mask = 3});
    c.name += ", a value of inf that one head sees";
    std::vector<double>& v = c.values["v"];
    for (std::int64_t i = 0; i < rows * 2 * 16; ++i) v.push_back(static_cast<double>(i % 13) / 6.0 - 1.0);
    v[1] = kInfinity;
    std::vector<double>& mask = c.values["mask"];
    mask.assign(static_cast<std::size_t>(4 * rows * 32), 0.25);
    for (std::int64_t t = 0; t < rows; ++t)
      mask[static_cast<std::size_t>((rows + t) * 32 + 10)] = -kInfinity;  // head 1
    cases.push_back(std::move(c));
  }
}

}  // namespace

std::vector<OpCase> cases_attention_broken() {
  std::vector<OpCase> cases;
  // A broken query, key or mask breaks the rows that see it, and no others: nothing quietly becomes zeros.
  for (const std::int64_t d : {16, 6}) {
    for (const std::int64_t queries : {1, 5, 70}) {
      for (const bool weights : {false, true}) {
        const bool causal = queries > 1;
        OpCase c =
            plain_attention({.queries = queries, .keys = queries + 4, .d = d, .dv = d, .mask = 2, .weights = weights});
        if (causal)
          c = plain_attention({.queries = queries, .keys = queries, .d = d, .dv = d, .causal = true, .mask = 2});
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
    OpCase c = plain_attention({.queries = 40, .keys = 40, .d = d, .dv = d, .causal = true});
    c.name += ", NaN in a key";
    std::vector<double>& k = c.values["k"];
    for (std::int64_t i = 0; i < 40 * 2 * d; ++i) k.push_back(static_cast<double>(i % 13) / 6.0 - 1.0);
    k[static_cast<std::size_t>(20 * 2 * d + 1)] = kNotANumber;  // of the rows from 20 on
    cases.push_back(std::move(c));
  }
  for (const double position : {0.0, 7.0}) {
    for (const double broken : {kNotANumber, kInfinity}) {
      for (const std::int64_t d : {16, 6}) {
        OpCase c = cached_attention({.position = position, .heads = 2, .d = d, .dv = d});
        c.name += fmt::format(", a query of {}", broken);
        c.values["q"].assign(static_cast<std::size_t>(2 * d), 0.5);
        c.values["q"][1] = broken;
        cases.push_back(std::move(c));
      }
    }
  }
  add_f16(cases);
  add_hidden(cases);
  return cases;
}

}  // namespace heed::op_cases
