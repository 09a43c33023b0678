// What ops refuse: each message begins with the op and the node and says what was expected.
#include "planner/infer.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {
namespace {

/// Input "i3" of an op: a state where the op updates it.
ValueId add_input(GraphBuilder& b, const std::string& op, std::size_t i, DType type, const SymbolicShape& shape) {
  const ops::Op* known = ops::find_op(op);
  const std::vector<std::size_t> updated = known == nullptr ? std::vector<std::size_t>() : known->updates;
  const std::string name = fmt::format("i{}", i);
  return std::ranges::find(updated, i) == updated.end() ? b.input(name, type, shape) : b.state(name, type, shape);
}

/// The message of inferring one node "n" over inputs of these shapes; "no error" when it fits.
std::string message(const std::string& op, const std::vector<SymbolicShape>& inputs, const Attributes& attributes = {},
                    const std::vector<DType>& types = {}, const std::vector<std::size_t>& absent = {}) {
  GraphBuilder b("g");
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ids.push_back(add_input(b, op, i, i < types.size() ? types[i] : DType::F32, inputs[i]));
  }
  for (const std::size_t i : absent) ids[i] = kNoValue;
  b.output(b.add(op, "n", ids, attributes), "y");
  try {
    infer_all(std::move(b).finish(), {{"rows", 3}, {"context", 16}});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Shape shape_of(const std::string& op, const std::vector<SymbolicShape>& inputs, const Attributes& attributes = {},
               const std::vector<DType>& types = {}) {
  GraphBuilder b("g");
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ids.push_back(add_input(b, op, i, i < types.size() ? types[i] : DType::F32, inputs[i]));
  }
  const ValueId y = b.add(op, "n", ids, attributes);
  b.output(y, "y");
  return infer_all(std::move(b).finish(), {{"rows", 3}, {"context", 16}})[static_cast<std::size_t>(y)].shape;
}

const Attributes kTwoHeads = {{"heads", std::int64_t{2}}};
const Attributes kTurn = {{"heads", std::int64_t{2}}, {"layout", "half"}, {"base", 10000.0}};

Attributes with(Attributes attributes, const std::string& name, const Attribute& value) {
  attributes.set(name, value);
  return attributes;
}

}  // namespace

TEST_CASE("shapes of results") {
  CHECK(shape_of("linear", {{2, 5, 3}, {4, 3}}) == Shape{2, 5, 4});
  CHECK(shape_of("linear", {{5, 3}, {4, 3}}, {{"gate", "silu"}}) == Shape{5, 2});
  CHECK(shape_of("embedding", {{2, 5}, {9, 3}}, {}, {DType::I32}) == Shape{2, 5, 3});
  CHECK(shape_of("tail", {{7, 2}}, {{"rows", "rows"}}) == Shape{3, 2});
  CHECK(shape_of("positions", {{1}}, {{"rows", "rows"}}, {DType::I32}) == Shape{3});
  CHECK(shape_of("add", {{2, 1, 4}, {3, 1}}) == Shape{2, 3, 4});
  CHECK(shape_of("attention", {{3, 8}, {5, 8}, {5, 6}}, kTwoHeads) == Shape{3, 6});
  CHECK(shape_of("rotary", {{3, 8}, {1}}, kTurn, {DType::F32, DType::I32}) == Shape{3, 8});
}

TEST_CASE("what does not fit is refused with op, node and sizes") {
  CHECK(message("linear", {{2, 3}, {4, 5}}) ==
        "linear 'n': x is [2, 3], but the weight [4, 5] needs a last dimension of 5");
  CHECK(message("linear", {{2, 3}, {4, 3, 1}}) == "linear 'n': weight is [4, 3, 1], expected 2 dimensions");
  CHECK(message("linear", {{2, 3}, {4, 3}, {3}}) == "linear 'n': bias is [3], expected [4]");
  CHECK(message("linear", {{2, 3}, {4, 3}, {4}, {2, 3}}) == "linear 'n': residual is [2, 3], expected [2, 4]");
  CHECK(message("linear", {{2, 3}, {5, 3}}, {{"gate", "silu"}}) ==
        "linear 'n': a gated weight needs an even number of rows");
  CHECK(message("linear", {{2, 3}, {4, 3}}, {{"activation", "swish"}}).find("linear 'n': unknown activation 'swish'") ==
        0);
  CHECK(message("linear", {{2, 3}, {4, 3}}, {}, {}, {1}) == "linear 'n': input 1 is missing");
  CHECK(message("linear", {{}, {4, 3}}).find("linear 'n': ") == 0);
  CHECK(message("rms_norm", {{2, 3}, {4}}, {{"eps", 1e-5}}) == "rms_norm 'n': weight is [4], expected [3]");
  CHECK(message("rms_norm", {{2, 3}, {3}, {3}}, {{"eps", 1e-5}}) == "rms_norm 'n': has no bias");
  CHECK(message("rms_norm", {{2, 3}, {3}}).find("rms_norm 'n': ") == 0);
  CHECK(message("layer_norm", {{}, {3}}, {{"eps", 1e-5}}) == "layer_norm 'n': x is a scalar");
  CHECK(message("softmax", {{2, 3}}, {{"axis", std::int64_t{2}}}) == "softmax 'n': axis 2 is outside [2, 3]");
  CHECK(message("softmax", {{2, 3}}, {{"axis", std::int64_t{-3}}}) == "softmax 'n': axis -3 is outside [2, 3]");
  CHECK(message("softmax", {{}}) == "softmax 'n': axis -1 is outside []");
  CHECK(message("add", {{2, 3}, {2}}) == "add 'n': [2, 3] and [2] do not broadcast");
  CHECK(message("add", {{2, 3}}).find("add 'n': input 1 is missing") == 0);
  CHECK(message("add", {{2, 3}, {3}}, {}, {DType::I32}).find("add 'n': ") == 0);
  CHECK(message("exp", {{2, 3}}, {}, {DType::I32}).find("exp 'n': ") == 0);
  CHECK(message("gate", {{3}, {3}}).find("gate 'n': ") == 0);
  CHECK(message("embedding", {{3}, {9, 3}}) == "embedding 'n': ids must be i32");
  CHECK(message("embedding", {{3}, {std::int64_t{0}, 3}}, {}, {DType::I32}).find("embedding 'n': ") == 0);
  CHECK(message("embedding", {{3}, {3, std::int64_t{0}}}, {}, {DType::I32}).find("embedding 'n': ") == 0);
  CHECK(message("tail", {{2, 3}}, {{"rows", "rows"}}) == "tail 'n': wants the last 3 rows of [2, 3]");
  CHECK(message("tail", {{7, 3}}, {{"rows", "batch"}}) == "tail 'n': dimension 'batch' has no size");
  CHECK(message("positions", {{2}}, {{"rows", "rows"}}, {DType::I32}) ==
        "positions 'n': position is [2], expected [3]");
  CHECK(message("positions", {{1}}, {{"rows", "rows"}}).find("positions 'n': ") == 0);
  CHECK(message("linear", {{1, 4}, {4, 4}, {4}, {1, 4}, {4}, {3, 4}}, {}, {DType::F32, DType::F16}, {2, 3, 4}) ==
        "linear 'n': the weights are f16 and f32, but need one type");
  CHECK(message("nothing", {{2, 3}}) == "nothing 'n': no such op");
}

TEST_CASE("every op refuses inputs and attributes that it does not know, before all else") {
  const std::vector<SymbolicShape> many(12, SymbolicShape{std::int64_t{1}});
  for (const ops::Op* op : ops::all_ops()) {
    for (const std::string_view name : op->names) {
      const std::string start = fmt::format("{} 'n': ", name);
      if (name != "concat") CHECK(message(std::string(name), many).find(start + "has an input ") == 0);
      CHECK(message(std::string(name), {}, {{"nonsense", std::int64_t{1}}}) ==
            start + "attribute 'nonsense' is not known to this version of heed");
    }
  }
  CHECK(message("rotary", {{3, 8}, {1}, {2}}, kTurn, {DType::F32, DType::I32}) ==
        "rotary 'n': has an input 2, but the op knows only the first 2");
  CHECK(message("add", {{3}, {3}, {3}}) == "add 'n': has an input 2, but the op knows only the first 2");
  CHECK(message("neg", {{3}, {3}}) == "neg 'n': has an input 1, but the op knows only the first 1");
  CHECK(message("neg", {{3}, {3}}, {}, {}, {1}) == "no error");  // absent
  CHECK(message("add", {{3}, {3}}, {{"activation", "silu"}}).find("add 'n': attribute 'activation'") == 0);
}

TEST_CASE("integers where an op computes, and floats where it counts, are refused by input") {
  const auto with_integers = [](const std::string& op, const std::vector<SymbolicShape>& inputs,
                                const Attributes& attributes, std::vector<DType> types, std::size_t i) {
    CHECK(message(op, inputs, attributes, types) == "no error");
    types[i] = DType::I32;
    return message(op, inputs, attributes, types);
  };
  using enum DType;
  const std::vector<DType> floats(7, F32);
  const std::string computes = " is i32, but the op computes with floats";
  const char* linear[] = {"x", "the weight", "the bias", "the residual", "the norm weight"};
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(with_integers("linear", {{2, 3}, {4, 3}, {4}, {2, 4}, {3}}, {{"norm_eps", 1e-5}}, floats, i) ==
          "linear 'n': " + (linear[i] + computes));
  }
  const char* norm[] = {"x", "the weight", "the bias"};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(with_integers("layer_norm", {{2, 3}, {3}, {3}}, {{"eps", 1e-5}}, floats, i) ==
          "layer_norm 'n': " + (norm[i] + computes));
  }
  CHECK(with_integers("softmax", {{2, 3}}, {}, floats, 0) == "softmax 'n': x" + computes);
  CHECK(with_integers("embedding", {{2}, {4, 3}}, {}, {I32, F32}, 1) == "embedding 'n': the table" + computes);
  const std::vector<SymbolicShape> cached = {{3, 8}, {3, 8}, {3, 8}, {3, 16}, {16, 8}, {16, 8}, {1}};
  const char* attention[] = {"q", "k", "v", "the mask", "cache_k", "cache_v"};
  std::vector<DType> types = floats;
  types[6] = I32;
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(with_integers("attention", cached, kTwoHeads, types, i) == "attention 'n': " + (attention[i] + computes));
  }
  CHECK(message("attention", cached, kTwoHeads, floats) == "attention 'n': position is f32, expected i32");
  CHECK(with_integers("rotary", {{3, 8}, {1}}, kTurn, {F32, I32}, 0) == "rotary 'n': x" + computes);
  CHECK(message("rotary", {{3, 8}, {1}}, kTurn) == "rotary 'n': position is f32, expected i32");
  const std::vector<SymbolicShape> sample = {{1, 9}, {1}, {1}, {16}, {16}};
  const Attributes rows = {{"rows", "rows"}};
  CHECK(with_integers("sample", sample, rows, {F32, I32, I32, I32, I32}, 0) == "sample 'n': logits" + computes);
  CHECK(message("sample", sample, rows, {F32, I32, I32, F32, I32}) == "sample 'n': history is f32, expected i32");
}

TEST_CASE("ops around the choice of a token refuse what does not fit their sequences") {
  constexpr DType I32 = DType::I32, F32 = DType::F32;
  const std::vector<SymbolicShape> adjust = {{2, 40}, {2}, {2}, {16, 2}, {2, 32}, {2, 8}, {2, 2}};
  const std::vector<DType> types = {F32, I32, I32, I32, I32, I32, I32};
  const auto with_shape = [](std::vector<SymbolicShape> shapes, std::size_t i, SymbolicShape shape) {
    shapes[i] = std::move(shape);
    return shapes;
  };
  CHECK(message("adjust_logits", adjust, {}, types) == "no error");
  CHECK(message("adjust_logits", with_shape(adjust, 0, {1, 40}), {}, types) ==
        "adjust_logits 'n': logits are [1, 40], expected a row or more for each of 2 sequences");
  CHECK(message("adjust_logits", with_shape(adjust, 6, {2, 1}), {}, types).find("mask") != std::string::npos);
  CHECK(message("adjust_logits", with_shape(adjust, 4, {2, 16}), {}, types).find("rules") != std::string::npos);
  CHECK(message("adjust_logits", with_shape(adjust, 3, {16}), {}, types).find("position") != std::string::npos);
  const std::vector<SymbolicShape> filter = {{3, 40}, {1}, {16}, {1, 32}};
  CHECK(message("filter_logits", filter, {}, {F32, I32, I32, I32}) == "no error");
  CHECK(message("filter_logits", with_shape(filter, 2, {1, 8}), {}, {F32, I32, I32, I32}).find("sampler") !=
        std::string::npos);
}

TEST_CASE("attributes of fusion that say nothing, or two things, are refused") {
  const Attributes both = {{"gate", "silu"}, {"activation", "gelu"}};
  CHECK(message("linear", {{2, 3}, {4, 3}}, both) ==
        "linear 'n': has both a gate and an activation; a gate brings its own");
  CHECK(message("linear", {{2, 3}, {4, 3}}, with(both, "activation", "none")) == "no error");
  CHECK(message("linear", {{2, 3}, {4, 3}}, {{"gate", "swish"}}).find("linear 'n': unknown activation 'swish'") == 0);
  const char* together = "linear 'n': a norm weight and norm_eps go together";
  CHECK(message("linear", {{2, 3}, {4, 3}}, {{"norm_eps", 1e-5}}) == together);
  CHECK(message("linear", {{2, 3}, {4, 3}, {4}, {2, 4}, {3}}, {}, {}, {2, 3}) == together);
  const std::vector<SymbolicShape> cached = {{3, 8}, {3, 8}, {3, 8}, {}, {16, 8}, {16, 8}, {1}};
  const std::vector<DType> types = {DType::F32, DType::F32, DType::F32, DType::F32, DType::F32, DType::F32, DType::I32};
  CHECK(message("attention", cached, with(kTwoHeads, "rotary_base", 10000.0), types, {3}) ==
        "attention 'n': attribute 'rotary_layout' (string) is missing");
  CHECK(message("attention", cached, with(kTwoHeads, "packed", std::int64_t{1}), types, {3}) ==
        "attention 'n': packed has k and v in input 0, not beside it");
  CHECK(message("attention", cached, kTwoHeads, types, {3, 4, 5}) ==
        "attention 'n': a cache needs cache_k, cache_v and position together");
}

TEST_CASE("attention and rotary are refused with op, node and sizes") {
  CHECK(message("attention", {{3, 8}, {5, 8}, {5, 8}}).find("attention 'n': ") == 0);
  CHECK(message("attention", {{3, 8}, {5, 8}, {5, 8}}, {{"heads", std::int64_t{3}}, {"kv_heads", std::int64_t{2}}}) ==
        "attention 'n': 3 heads do not share 2 key/value heads evenly");
  CHECK(message("attention", {{3, 8}, {5, 8}, {5, 8}}, {{"heads", std::int64_t{0}}}).find("attention 'n': 0 heads") ==
        0);
  CHECK(message("attention", {{3, 8}, {5, 7}, {5, 8}}, kTwoHeads) ==
        "attention 'n': a width of 7 is not made of 2 heads");
  CHECK(message("attention", {{3, 6}, {5, 8}, {5, 8}}, kTwoHeads) == "attention 'n': q is [3, 6], expected [3, 8]");
  CHECK(message("attention", {{3, 8}, {5, 8}, {4, 8}}, kTwoHeads) == "attention 'n': v is [4, 8], expected [5, 8]");
  CHECK(message("attention", {{3, 8}, {5, 8}, {5, 8}, {3, 4}}, kTwoHeads) ==
        "attention 'n': mask is [3, 4], expected [3, 5] or [2, 3, 5]");
  CHECK(message("attention", {{3, 8}, {5, 8}, {5, 8}}, with(kTwoHeads, "window", std::int64_t{-1})) ==
        "attention 'n': window -1 is negative");
  CHECK(message("attention", {{3, 8}, {5, 8}, {5, 8}}, with(kTwoHeads, "packed", std::int64_t{1})) ==
        "attention 'n': packed needs a cache");
  const std::vector<SymbolicShape> cached = {{3, 8}, {3, 8}, {3, 8}, {}, {16, 8}, {16, 8}, {1}};
  const std::vector<DType> types = {DType::F32, DType::F32, DType::F32, DType::F32, DType::F32, DType::F32, DType::I32};
  CHECK(message("attention", cached, kTwoHeads, types, {3}) == "no error");
  CHECK(message("attention", cached, kTwoHeads, types, {3, 5}) ==
        "attention 'n': a cache needs cache_k, cache_v and position together");
  CHECK(message("attention", {{20, 8}, {20, 8}, {20, 8}, {}, {16, 8}, {16, 8}, {1}}, kTwoHeads, types, {3}) ==
        "attention 'n': 20 rows do not fit a cache of 16");

  CHECK(message("rotary", {{3, 9}, {1}}, kTurn) == "rotary 'n': 2 heads do not divide a width of 9");
  CHECK(message("rotary", {{3, 8}, {1}}, with(kTurn, "layout", "round")) ==
        "rotary 'n': rotary layout 'round' is neither 'half' nor 'interleaved'");
  CHECK(message("rotary", {{3, 8}, {1}}, with(kTurn, "dims", std::int64_t{6})) ==
        "rotary 'n': rotary dims 6 is not an even number up to the head's 4");
  CHECK(message("rotary", {{3, 8}, {1}}, with(kTurn, "dims", std::int64_t{3})).find("rotary 'n': rotary dims 3") == 0);
  CHECK(message("rotary", {{3, 8}, {1}}, with(kTurn, "base", -1.0)) == "rotary 'n': rotary base -1 is not positive");
  CHECK(message("rotary", {{3, 8}, {1}}, with(kTurn, "freq_factors", std::vector<double>{1.0})) ==
        "rotary 'n': rotary has 1 freq_factors, expected 2");
  CHECK(message("rotary", {{3, 8}, {1}}, with(kTurn, "freq_factors", std::vector<double>{1.0, 0.0})) ==
        "rotary 'n': rotary freq_factor 0 is not positive");
}

}  // namespace heed
