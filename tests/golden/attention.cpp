// Systems of attention in small against PyTorch in double: tests/golden/attention.npz, made by make_attention.py. Each
// is built here of ops, as a recipe would, and runs on the device and through the reference.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <set>

#include "tests/golden/attention_system.h"

namespace heed::golden {
namespace {

constexpr std::int64_t kYes = 1;

void softmax_of_scores(System& s, const Attend& how) {
  s.b.output(s.attend(s.input("q"), s.input("k"), s.input("v"), how), "y");
}

/// The sum of all x_j weighed by weights [B, S], which become an output.
void weighted_sum(System& s, ValueId x, ValueId weights) {
  s.b.output(weights, "weights");
  const ValueId columns = s.b.add("unsqueeze", "columns", {weights, s.b.integers("columns.axis", {2})});
  s.b.output(s.sum("pooled", s.b.add("mul", "weighed", {x, columns}), 1), "y");
}

void additive_score(System& s) {
  const ValueId memory = s.input("memory");
  const ValueId q = s.linear("w", s.input("q"));
  const Attend how = {.score_weight = s.weight("score"), .how = {{"score", std::string("additive")}}};
  s.b.output(s.attend(q, s.linear("u", memory), memory, how), "y");
}

void general_score(System& s) {
  const ValueId memory = s.input("memory");
  s.b.output(s.attend(s.input("q"), s.linear("w", memory), memory, {.how = {{"scale", 1.0}}}), "y");
}

/// Scores of a linear layer; dropped ones are low, so that a row without any has no NaN, and their weights 0.
void attention_pooling(System& s) {
  const ValueId x = s.input("x");
  const ValueId scores = s.reshape("scores", s.linear("s", x), {3, 7});
  const ValueId places = s.b.integers("places", {0, 1, 2, 3, 4, 5, 6});
  const ValueId keep = s.b.add("less", "keep",
                               {s.b.add("cast", "places_i32", {places}, {{"to", std::string("i32")}}),
                                s.reshape("lengths_column", s.input("lengths"), {3, 1})});
  const ValueId kept = s.b.add("where", "kept_scores", {keep, scores, s.number("low", -1e30)});
  const ValueId weights = s.b.add("softmax", "softmax", {kept});
  weighted_sum(s, x, s.b.add("where", "kept_weights", {keep, weights, s.number("none", 0.0)}));
}

/// The same by the op: the weight of the layer is what each row of the batch asks for.
void pooling_by_attention(System& s) {
  s.leave("s.bias");  // the same in all scores of a softmax
  const ValueId x = s.input("x");
  const ValueId q = s.b.add("expand", "query", {s.weight("s.weight"), s.b.integers("query.sizes", {3, 10})});
  const Attend how = {.lengths = s.input("lengths"), .how = {{"scale", 1.0}}, .weights_shape = {3, 7}};
  s.b.output(s.attend(q, x, x, how), "y");
}

void summed_self_attention(System& s) {
  const ValueId x = s.input("x");
  const ValueId scores = s.b.add("matmul", "scores", {x, x}, {{"transpose_b", kYes}});
  weighted_sum(s, x, s.b.add("softmax", "softmax", {s.sum("summed", scores, 1)}));
}

/// The same by the op: the sum over i of x_i x_j is the product of the sum of all x_i with x_j.
void summed_by_attention(System& s) {
  const ValueId x = s.input("x");
  s.b.output(s.attend(s.sum("query", x, 1), x, x, {.how = {{"scale", 1.0}}, .weights_shape = {3, 7}}), "y");
}

void projected_self_attention(System& s) {
  const ValueId h = s.linear("w", s.input("x"));
  s.b.output(s.attend(h, h, h, {.how = {{"scale", 1.0 / std::sqrt(2.0 * std::numbers::pi)}}}), "y");
}

/// q, k, v and output projections, whose names begin with `layer`.
ValueId multi_head(System& s, const std::string& layer, ValueId x, ValueId key, ValueId value, const Attend& how,
                   ValueId residual = kNoValue) {
  const ValueId q = s.linear(layer + "q", x);
  const ValueId k = s.linear(layer + "k", key);
  const ValueId v = s.linear(layer + "v", value);
  return s.linear(layer + "out", s.attend(q, k, v, how), residual);
}

void multi_head_self(System& s) {
  const ValueId x = s.input("x");
  s.b.output(multi_head(s, "", x, x, x, {.heads = 3, .lengths = s.input("lengths")}), "y");
}

void multi_head_cross(System& s) {
  s.b.output(multi_head(s, "", s.input("x"), s.input("key"), s.input("value"), {.heads = 3}), "y");
}

/// One memory of both, with both masks side by side.
void joined_memories(System& s) {
  const ValueId text = s.linear("text_in", s.input("text"));
  const ValueId memory = s.concat("memory", text, s.linear("image_in", s.input("image")));
  const ValueId keep = s.concat("keep", s.input("keep_text"), s.input("keep_image"));
  const Attend how = {.heads = 3, .mask = s.additive_rows(keep, {3, 1, 4, 11})};
  s.b.output(multi_head(s, "", s.input("x"), memory, memory, how), "y");
}

/// An attention a memory, one by lengths, one by a mask; summed with what asked.
void memories_apart(System& s) {
  const ValueId x = s.input("x");
  const ValueId text = s.input("text");
  const ValueId image = s.input("image");
  const Attend to_text = {.heads = 3, .lengths = s.input("lengths"), .weights = "weights.text"};
  const ValueId mask = s.additive_rows(s.input("keep_image"), {3, 1, 4, 6});
  const Attend to_image = {.heads = 3, .mask = mask, .weights = "weights.image"};
  const ValueId y = multi_head(s, "text.", x, text, text, to_text, x);
  s.b.output(s.norm("norm", multi_head(s, "image.", x, image, image, to_image, y)), "y");
}

ValueId encoder_layer(System& s, int number, ValueId x, ValueId lengths, bool norm_first,
                      const std::string& activation) {
  const std::string layer = "layer" + std::to_string(number) + ".";
  const Attend how = {.heads = 3, .lengths = lengths, .weights = "weights." + std::to_string(number)};
  const ValueId asks = norm_first ? s.norm(layer + "norm1", x) : x;
  x = multi_head(s, layer, asks, asks, asks, how, x);
  if (!norm_first) x = s.norm(layer + "norm1", x);
  const ValueId h = norm_first ? s.norm(layer + "norm2", x) : x;
  ValueId inner = kNoValue;
  if (activation == "silu_gated") {
    inner = s.b.add("gate", layer + "gated", {s.linear(layer + "gate", h), s.linear(layer + "up", h)},
                    {{"activation", std::string("silu")}});
  } else {
    inner = s.linear(layer + "up", h, kNoValue, activation.c_str());
  }
  x = s.linear(layer + "down", inner, x);
  return norm_first ? x : s.norm(layer + "norm2", x);
}

void encoder(System& s, bool norm_first, const std::string& activation) {
  ValueId x = s.input("x");
  const ValueId lengths = s.input("lengths");
  for (int layer = 0; layer < 2; ++layer) x = encoder_layer(s, layer, x, lengths, norm_first, activation);
  s.b.output(norm_first ? s.norm("norm", x) : x, "y");
}

struct NamedSystem {
  std::string arrays;
  std::function<void(System&)> build;
};

/// With the q, k and v of its row.
NamedSystem scored(const std::string& arrays, std::int64_t heads, const Attributes& how = {}) {
  return {arrays, [=](System& s) { softmax_of_scores(s, {.heads = heads, .how = how}); }};
}
NamedSystem masked(const std::string& arrays) {
  return {arrays, [](System& s) { softmax_of_scores(s, {.heads = 2, .mask = s.additive(s.input("keep"))}); }};
}
NamedSystem shared_heads(const std::string& arrays, std::int64_t kv_heads) {
  return {arrays, [=](System& s) {
            const ValueId x = s.input("x");
            const Attend how = {.heads = 4, .kv_heads = kv_heads, .how = {{"causal", kYes}}};
            s.b.output(multi_head(s, "", x, x, x, how), "y");
          }};
}

std::vector<NamedSystem> systems() {
  const Attributes window = {{"causal", kYes}, {"window", std::int64_t{3}}};
  std::vector<NamedSystem> all = {
      scored("a1", 3),
      masked("a2.boolean"),
      masked("a2.boolean_each"),
      {"a2.additive", [](System& s) { softmax_of_scores(s, {.heads = 2, .mask = s.input("mask")}); }},
      scored("a2.causal", 2, {{"causal", kYes}}),
      {"a2.causal_few",
       [](System& s) {
         const Attend how = {.heads = 2, .how = {{"causal", kYes}}};
         s.b.output(s.attend(s.input("few"), s.input("k"), s.input("v"), how), "y");
       }},
      scored("a2.window", 2, window),
      masked("a2.window_around"),
      {"a2.lengths", [](System& s) { softmax_of_scores(s, {.heads = 2, .lengths = s.input("lengths")}); }},
      {"a2.all",
       [=](System& s) {
         const ValueId mask = s.input("mask");
         softmax_of_scores(s, {.heads = 2, .mask = mask, .lengths = s.input("lengths"), .how = window});
       }},
      scored("a3.scaled_dot", 2),
      scored("a3.dot", 2, {{"scale", 1.0}}),
      {"a3.general", general_score},
      {"a3.additive", additive_score},
      scored("a3.cosine", 2, {{"score", std::string("cosine")}}),
      scored("a3.distance", 2, {{"score", std::string("distance")}}),
      {"a4", attention_pooling},
      {"a4", pooling_by_attention},
      {"a5", summed_self_attention},
      {"a5", summed_by_attention},
      {"a6", projected_self_attention},
      {"a7.self", multi_head_self},
      {"a7.cross", multi_head_cross},
      shared_heads("a7.grouped", 2),
      shared_heads("a7.multi_query", 1),
      {"a8.joined", joined_memories},
      {"a8.apart", memories_apart}};
  for (const bool norm_first : {false, true}) {
    for (const std::string activation : {"relu", "gelu", "silu_gated"}) {
      all.push_back({(norm_first ? "s1.pre_norm_" : "s1.post_norm_") + activation,
                     [=](System& s) { encoder(s, norm_first, activation); }});
    }
  }
  return all;
}

void check_row(const std::string& row) {
  int count = 0;
  for (const NamedSystem& named : systems()) {
    if (named.arrays != row && !named.arrays.starts_with(row + ".")) continue;
    CAPTURE(named.arrays);
    for (const bool with_weights : {true, false}) {
      System system(named.arrays, with_weights);
      named.build(system);
      system.check();
    }
    ++count;
  }
  CHECK(count > 0);
}

}  // namespace

TEST_CASE("attention: A1, scaled dot-product attention and its weights") { check_row("a1"); }
TEST_CASE("attention: A2, masks; what sees nothing gives zeros") { check_row("a2"); }
TEST_CASE("attention: A3, score functions") { check_row("a3"); }
TEST_CASE("attention: A4, pooling") { check_row("a4"); }
TEST_CASE("attention: A5, summed self-attention") { check_row("a5"); }
TEST_CASE("attention: A6, projected self-attention") { check_row("a6"); }
TEST_CASE("attention: A7, several heads, own and shared") { check_row("a7"); }
TEST_CASE("attention: A8, memories of two kinds, joined and apart") { check_row("a8"); }
TEST_CASE("attention: S1, encoder layers") { check_row("s1"); }

TEST_CASE("attention: every system in the file has its graph") {
  std::set<std::string> in_file, built;
  for (const std::string& name : attention_arrays()) {
    if (name.ends_with(".y")) in_file.insert(name.substr(0, name.size() - 2));
  }
  for (const NamedSystem& named : systems()) built.insert(named.arrays);
  CHECK(in_file == built);
}

}  // namespace heed::golden
