#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "models/gpt2.h"
#include "models/llama.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::models {
namespace {

using convert_test::contains;
using convert_test::error_of;
using Json = nlohmann::json;

Json llama_json() {
  return {{"width", 8},
          {"layers", 2},
          {"heads", 4},
          {"kv_heads", 2},
          {"head_dim", 6},
          {"ffn_width", 12},
          {"vocabulary", 10},
          {"context", 32},
          {"norm_eps", 1e-5},
          {"rope_base", 1e4},
          {"rope_layout", "half"},
          {"rope_dims", 4},
          {"activation", "gelu"},
          {"window", 7}};
}

TensorTable llama_table() {
  TensorTable table = {{"token_embd.weight", {DType::Q8_0, {10, 8}}}, {"output_norm.weight", {DType::F32, {8}}}};
  for (const std::string block : {"blk.0.", "blk.1."}) {
    table[block + "attn_norm.weight"] = {DType::F32, {8}};
    table[block + "attn_q.weight"] = {DType::F16, {24, 8}};
    table[block + "attn_k.weight"] = {DType::F16, {12, 8}};
    table[block + "attn_v.weight"] = {DType::F16, {12, 8}};
    table[block + "attn_output.weight"] = {DType::F16, {8, 24}};
    table[block + "ffn_norm.weight"] = {DType::F32, {8}};
    table[block + "ffn_gate.weight"] = {DType::F16, {12, 8}};
    table[block + "ffn_up.weight"] = {DType::F16, {12, 8}};
    table[block + "ffn_down.weight"] = {DType::F16, {8, 12}};
  }
  return table;
}

const Node& node(const Graph& graph, const std::string& name) {
  const auto found = std::ranges::find(graph.nodes, name, &Node::name);
  REQUIRE_MESSAGE(found != graph.nodes.end(), name);
  return *found;
}
std::string input_name(const Graph& graph, const Node& node, std::size_t index) {
  return node.inputs.at(index) == kNoValue ? "" : graph.value(node.inputs[index]).name;
}

TEST_CASE("the llama graph is well formed and says what the hyperparameters say") {
  const LlamaParameters parameters = LlamaParameters::from_json(llama_json());
  CHECK(parameters.to_json() == llama_json());
  const Graph graph = llama_decode_graph(parameters, llama_table());
  validate(graph, nullptr);
  CHECK(graph.name == "decode");
  CHECK(graph.inputs == std::vector<ValueId>{graph.find("tokens"), graph.find("position")});
  CHECK(graph.outputs == std::vector<ValueId>{graph.find("logits")});
  CHECK(graph.value(graph.find("tokens")).shape == SymbolicShape{"tokens"});
  CHECK(graph.value(graph.find("cache.v.1")).kind == ValueKind::State);
  CHECK(graph.value(graph.find("cache.v.1")).shape == SymbolicShape{"context", 12});
  CHECK(graph.value(graph.find("token_embd.weight")).dtype == DType::Q8_0);

  const Node attention = node(graph, "layer1.attention");
  CHECK(attention.attributes == Attributes({{"heads", std::int64_t{4}},
                                            {"kv_heads", std::int64_t{2}},
                                            {"causal", std::int64_t{1}},
                                            {"window", std::int64_t{7}}}));
  CHECK(input_name(graph, attention, 0) == "layer1.q_rotary");
  CHECK(input_name(graph, attention, 2) == "layer1.v");
  CHECK(input_name(graph, attention, 4) == "cache.k.1");
  CHECK(input_name(graph, attention, 6) == "position");
  const Node rotary = node(graph, "layer0.k_rotary");
  CHECK(rotary.inputs.size() == 2);
  CHECK(rotary.attributes ==
        Attributes(
            {{"heads", std::int64_t{2}}, {"layout", std::string("half")}, {"base", 1e4}, {"dims", std::int64_t{4}}}));
  CHECK(node(graph, "layer0.ffn_gated").attributes.text("activation") == "gelu");
  CHECK(input_name(graph, node(graph, "layer0.ffn_down"), 3) == "layer0.attention_output");
  CHECK(input_name(graph, node(graph, "output_norm"), 0) == "tail");
  CHECK(input_name(graph, node(graph, "output"), 1) == "token_embd.weight");
  CHECK(graph.nodes.back().name == "output");
}

TEST_CASE("optional tensors of the llama family") {
  TensorTable table = llama_table();
  table["output.weight"] = {DType::F16, {10, 8}};
  table["rope_freqs.weight"] = {DType::F32, {2}};
  table["blk.1.attn_q.bias"] = {DType::F32, {24}};
  table["blk.1.ffn_down.bias"] = {DType::F32, {8}};
  const auto with_factors = [&](const std::vector<float>& factors) {
    return llama_decode_graph(LlamaParameters::from_json(llama_json()), table, [&](const std::string& name) {
      CHECK(name == "rope_freqs.weight");
      return factors;
    });
  };
  const Graph graph = with_factors({1, 2.5f});
  validate(graph, nullptr);
  CHECK(input_name(graph, node(graph, "output"), 1) == "output.weight");
  for (const char* rotary : {"layer0.q_rotary", "layer1.k_rotary"}) {
    CHECK(node(graph, rotary).inputs.size() == 2);
    CHECK(node(graph, rotary).attributes.reals("freq_factors") == std::vector<double>{1, 2.5});
  }
  CHECK(graph.find("rope_freqs.weight") == kNoValue);
  CHECK(contains(error_of([&] { with_factors({1, 0}); }), "'rope_freqs.weight': element 1 is 0"));
  CHECK(contains(error_of([&] { with_factors({-1, 1}); }), "'rope_freqs.weight': element 0 is -1"));
  CHECK(input_name(graph, node(graph, "layer1.q"), 2) == "blk.1.attn_q.bias");
  CHECK(node(graph, "layer0.q").inputs.size() == 2);
  CHECK(input_name(graph, node(graph, "layer1.ffn_down"), 2) == "blk.1.ffn_down.bias");
  CHECK(input_name(graph, node(graph, "layer0.ffn_down"), 2).empty());
}

TEST_CASE("hyperparameters out of range are refused by key") {
  const std::tuple<const char*, Json, const char*> cases[] = {
      {"width", 0, "'width' is 0"},
      {"width", -1, "'width' is -1"},
      {"width", std::int64_t{1} << 31, "'width' is 2147483648"},
      {"width", UINT64_MAX, "'width' is 18446744073709551615"},
      {"width", 8.0, "'width' is 8.0"},
      {"width", nullptr, "'width' is null"},
      {"layers", 10001, "'layers' is 10001"},
      {"kv_heads", 3, "4 heads cannot share 3"},
      {"norm_eps", 0, "'norm_eps' is 0"},
      {"norm_eps", "x", "'norm_eps' is \"x\""},
      {"rope_layout", "spiral", "'rope_layout' is \"spiral\""},
      {"rope_dims", 3, "rope_dims is 3"},
      {"rope_dims", 8, "rope_dims is 8"},
      {"activation", "tanh", "'activation' is \"tanh\""},
      {"window", -1, "'window' is -1"},
      {"new", 1, "'new' is not known"},
  };
  for (const auto& [key, value, message] : cases) {
    Json json = llama_json();
    json[key] = value;
    const std::string said = error_of([&] { LlamaParameters::from_json(json); });
    CHECK_MESSAGE(contains(said, message), said);
  }
  const Json good = llama_json();
  for (const auto& [key, value] : good.items()) {
    Json json = good;
    json.erase(key);
    CHECK(contains(error_of([&] { LlamaParameters::from_json(json); }), fmt::format("'{}' is missing", key)));
  }
  CHECK(contains(error_of([&] { LlamaParameters::from_json(Json::array()); }), "not a JSON object"));
}

TEST_CASE("every tensor of the llama family is required, in its shape, and norms in f32") {
  const LlamaParameters parameters = LlamaParameters::from_json(llama_json());
  const TensorTable good = llama_table();
  for (const auto& [name, type] : good) {
    TensorTable table = good;
    table.erase(name);
    CHECK(contains(error_of([&] { llama_decode_graph(parameters, table); }),
                   fmt::format("tensor '{}' is missing", name)));
    table = good;
    table[name].shape.back() += 1;
    CHECK(
        contains(error_of([&] { llama_decode_graph(parameters, table); }), fmt::format("tensor '{}' has shape", name)));
    table = good;
    table[name].shape.push_back(1);
    CHECK(
        contains(error_of([&] { llama_decode_graph(parameters, table); }), fmt::format("tensor '{}' has shape", name)));
  }
  TensorTable table = good;
  table["blk.0.attn_norm.weight"].dtype = DType::F16;
  CHECK(contains(error_of([&] { llama_decode_graph(parameters, table); }), "is f16; norms and biases must be f32"));
  table = good;
  table["blk.2.attn_norm.weight"] = {DType::F32, {8}};
  CHECK(
      contains(error_of([&] { llama_decode_graph(parameters, table); }), "'blk.2.attn_norm.weight' [8] has no place"));
}

TEST_CASE("the gpt2 graph is well formed and says what the hyperparameters say") {
  const Json json = {{"width", 8},       {"layers", 1},          {"heads", 2},
                     {"ffn_width", 20},  {"vocabulary", 10},     {"context", 16},
                     {"norm_eps", 1e-5}, {"activation", "relu"}, {"scale_attention", true}};
  Gpt2Parameters parameters = Gpt2Parameters::from_json(json);
  CHECK(parameters.to_json() == json);
  TensorTable table = {{"token_embd.weight", {DType::F16, {10, 8}}}, {"position_embd.weight", {DType::F32, {16, 8}}}};
  for (const std::string name : {"blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"}) {
    table[name + ".weight"] = table[name + ".bias"] = {DType::F32, {8}};
  }
  for (const std::string name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"}) {
    const std::int64_t rows = name == "ffn_up" ? 20 : 8;
    table["blk.0." + name + ".weight"] = {DType::F16, {rows, name == "ffn_down" ? 20 : 8}};
    table["blk.0." + name + ".bias"] = {DType::F32, {rows}};
  }
  const Graph graph = gpt2_decode_graph(parameters, table);
  validate(graph, nullptr);
  CHECK(node(graph, "positions").attributes.text("rows") == "tokens");
  CHECK(node(graph, "layer0.ffn_up").attributes.text("activation") == "relu");
  CHECK(input_name(graph, node(graph, "layer0.attention_output"), 3) == "embedding");
  CHECK(!node(graph, "layer0.attention").attributes.has("scale"));
  CHECK(input_name(graph, node(graph, "output"), 1) == "token_embd.weight");
  parameters.scale_attention = false;
  CHECK(node(gpt2_decode_graph(parameters, table), "layer0.attention").attributes.real("scale") == 1);

  for (const auto& [name, type] : TensorTable(table)) {
    TensorTable without = table;
    without.erase(name);
    CHECK(contains(error_of([&] { gpt2_decode_graph(parameters, without); }),
                   fmt::format("tensor '{}' is missing", name)));
  }
  table["blk.0.attn_qkv.weight"] = {DType::F16, {24, 8}};
  CHECK(contains(error_of([&] { gpt2_decode_graph(parameters, table); }), "'blk.0.attn_qkv.weight'"));
  for (const auto& [key, value, message] : {std::tuple{"heads", Json(3), "3 heads do not divide"},
                                            {"scale_attention", Json(1), "expected true or false"},
                                            {"activation", Json("none"), "'activation' is \"none\""}}) {
    Json wrong = json;
    wrong[key] = value;
    CHECK(contains(error_of([&] { Gpt2Parameters::from_json(wrong); }), message));
  }
}

}  // namespace
}  // namespace heed::models
