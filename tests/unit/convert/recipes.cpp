#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "models/decoder.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::models {
namespace {

using convert_test::contains;
using convert_test::error_of;
using Json = nlohmann::json;

Json llama_json() {
  return {{"width", 8},           {"layers", 2},           {"heads", 4},
          {"kv_heads", 2},        {"head_dim", 6},         {"ffn_width", 12},
          {"vocabulary", 10},     {"context", 32},         {"norm_eps", 1e-5},
          {"rope_base", 1e4},     {"rope_layout", "half"}, {"rope_dims", 4},
          {"activation", "gelu"}, {"windows", {7, 7}}};
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

/// The parameters in full: those of `given`, and what others are when they are left out.
Json in_full(const Json& given) {
  Json full = {{"norm", "rms_norm"},
               {"norm_place", "pre"},
               {"query_norm", "none"},
               {"feed_forward", "gated"},
               {"rope_layout", ""},
               {"rope_base", 0.0},
               {"local_rope_base", 0.0},
               {"alibi", false},
               {"embedding_width", 0},
               {"unturned_layers", Json::array()},
               {"clip_qkv", 0.0},
               {"windows", Json::array()},
               {"attention_scale", 0.0},
               {"attention_softcap", 0.0},
               {"logits_softcap", 0.0},
               {"embedding_scale", 1.0},
               {"residual_scale", 1.0},
               {"logits_scale", 1.0},
               {"experts", 0},
               {"experts_used", 0},
               {"expert_width", 0},
               {"expert_softmax", "all"},
               {"expert_scale", 1.0},
               {"expert_threshold", 0.0},
               {"shared_expert_width", 0},
               {"dense_layers", Json::array()},
               {"rope_scale", 1.0}};
  full.update(given);
  return full;
}

TEST_CASE("the llama graph is well formed and says what the hyperparameters say") {
  const DecoderParameters parameters = DecoderParameters::from_json(llama_json());
  CHECK(parameters.to_json() == in_full(llama_json()));
  const Graph graph = decoder_graph(parameters, llama_table());
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
    return decoder_graph(DecoderParameters::from_json(llama_json()), table, [&](const std::string& name) {
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

TEST_CASE("a mixture of experts says what the hyperparameters say, and layers without it are as ever") {
  Json json = llama_json();
  json.update({{"experts", 4},
               {"experts_used", 2},
               {"expert_width", 6},
               {"expert_softmax", "chosen"},
               {"expert_scale", 2.5},
               {"shared_expert_width", 7},
               {"dense_layers", {0}}});
  TensorTable table = llama_table();
  for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
    const std::string block = std::string("blk.1.") + name;
    const bool down = std::string(name) == "ffn_down";
    table.erase(block + ".weight");
    table[block + "_exps.weight"] = {DType::F16, down ? Shape{4, 8, 6} : Shape{4, 6, 8}};
    table[block + "_shexp.weight"] = {DType::F16, down ? Shape{8, 7} : Shape{7, 8}};
  }
  table["blk.1.ffn_gate_inp.weight"] = {DType::F32, {4, 8}};
  table["blk.1.ffn_gate_inp_shexp.weight"] = {DType::F32, {1, 8}};
  const DecoderParameters parameters = DecoderParameters::from_json(json);
  CHECK(parameters.to_json() == in_full(json));
  Graph graph = decoder_graph(parameters, table);
  validate(graph, nullptr);
  CHECK(node(graph, "layer1.route").attributes ==
        Attributes({{"chosen", std::int64_t{2}}, {"normalise", std::int64_t{1}}, {"scale", 2.5}}));
  CHECK(input_name(graph, node(graph, "layer1.ffn_down_exps"), 0) == "layer1.ffn_gated_exps");
  CHECK(input_name(graph, node(graph, "layer1.ffn_up_exps"), 0) == "layer1.ffn_norm");
  CHECK(input_name(graph, node(graph, "layer1.ffn_experts"), 2) == "layer1.shared_added");
  CHECK(node(graph, "layer0.ffn_down").op == "linear");
  table.erase("blk.1.ffn_gate_inp_shexp.weight");  // then it is simply added
  graph = decoder_graph(parameters, table);
  CHECK(input_name(graph, node(graph, "layer1.ffn_experts"), 2) == "layer1.ffn_down_shexp");
  CHECK(input_name(graph, node(graph, "layer1.ffn_down_shexp"), 3) == "layer1.attention_output");
  const auto complaint = [&](const char* key, const Json& value) {
    Json changed = json;
    changed[key] = value;
    return error_of([&] { DecoderParameters::from_json(changed); });
  };
  CHECK(contains(complaint("experts_used", 5), "'experts_used' is 5; expected 1 to 4"));
  CHECK(contains(complaint("experts_used", 0), "'experts_used' is 0"));
  CHECK(contains(complaint("expert_width", 0), "'expert_width' is missing or 0"));
  CHECK(contains(complaint("expert_softmax", "some"), "'expert_softmax' is \"some\""));
  CHECK(contains(complaint("expert_threshold", 0.1), "for an 'expert_softmax' of \"near\""));
  CHECK(contains(complaint("dense_layers", {2}), "'dense_layers' is [2]"));
  CHECK(contains(complaint("dense_layers", {1, 0}), "'dense_layers' is [1,0]"));
  CHECK(contains(complaint("dense_layers", 1), "'dense_layers' is 1"));
  CHECK(contains(complaint("experts", 0), "'experts' is 0"));
  CHECK(contains(complaint("feed_forward", "plain"), "not gated"));
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
      {"windows", {7}, "'windows' is no list of 2 numbers"},
      {"windows", {7, -1}, "'windows' holds -1"},
      {"windows", 7, "'windows' is no list"},
      {"norm", "batch_norm", "'norm' is \"batch_norm\""},
      {"norm_place", "within", "'norm_place' is \"within\""},
      {"query_norm", true, "'query_norm' is true"},
      {"alibi", true, "both rotary positions and ALiBi"},
      {"residual_scale", 0, "'residual_scale' is 0"},
      {"unturned_layers", {1, 0}, "'unturned_layers' is [1,0]"},
      {"unturned_layers", {2}, "'unturned_layers' is [2]"},
      {"embedding_width", -1, "'embedding_width' is -1"},
      {"clip_qkv", -1, "'clip_qkv' is -1"},
      {"activation", "relu2", "for a 'feed_forward' of \"plain\""},
      {"logits_softcap", -1, "'logits_softcap' is -1"},
      {"new", 1, "'new' is not known"},
  };
  for (const auto& [key, value, message] : cases) {
    Json json = llama_json();
    json[key] = value;
    const std::string said = error_of([&] { DecoderParameters::from_json(json); });
    CHECK_MESSAGE(contains(said, message), said);
  }
  const Json good = llama_json();
  for (const auto& [key, value] : good.items()) {
    if (key == "windows") continue;  // may be left out
    Json json = good;
    json.erase(key);
    CHECK(contains(error_of([&] { DecoderParameters::from_json(json); }), fmt::format("'{}' is missing", key)));
  }
  CHECK(contains(error_of([&] { DecoderParameters::from_json(Json::array()); }), "not a JSON object"));
}

TEST_CASE("every tensor of the llama family is required, in its shape, and norms in f32") {
  const DecoderParameters parameters = DecoderParameters::from_json(llama_json());
  const TensorTable good = llama_table();
  for (const auto& [name, type] : good) {
    TensorTable table = good;
    table.erase(name);
    CHECK(contains(error_of([&] { decoder_graph(parameters, table); }), fmt::format("tensor '{}' is missing", name)));
    table = good;
    table[name].shape.back() += 1;
    CHECK(contains(error_of([&] { decoder_graph(parameters, table); }), fmt::format("tensor '{}' has shape", name)));
    table = good;
    table[name].shape.push_back(1);
    CHECK(contains(error_of([&] { decoder_graph(parameters, table); }), fmt::format("tensor '{}' has shape", name)));
  }
  TensorTable table = good;
  table["blk.0.attn_norm.weight"].dtype = DType::F16;
  CHECK(contains(error_of([&] { decoder_graph(parameters, table); }), "is f16; norms and biases must be f32"));
  table = good;
  table["blk.2.attn_norm.weight"] = {DType::F32, {8}};
  CHECK(contains(error_of([&] { decoder_graph(parameters, table); }), "'blk.2.attn_norm.weight' [8] has no place"));
}

TEST_CASE("the gpt2 graph is well formed and says what the hyperparameters say") {
  const Json json = {{"width", 8},
                     {"layers", 1},
                     {"heads", 2},
                     {"kv_heads", 2},
                     {"head_dim", 4},
                     {"ffn_width", 20},
                     {"vocabulary", 10},
                     {"context", 16},
                     {"norm_eps", 1e-5},
                     {"activation", "relu"},
                     {"rope_dims", 0},
                     {"norm", "layer_norm"},
                     {"feed_forward", "plain"}};
  DecoderParameters parameters = DecoderParameters::from_json(json);
  CHECK(parameters.to_json() == in_full(json));
  TensorTable table = {{"token_embd.weight", {DType::F16, {10, 8}}}, {"position_embd.weight", {DType::F32, {16, 8}}}};
  for (const std::string name : {"blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"}) {
    table[name + ".weight"] = table[name + ".bias"] = {DType::F32, {8}};
  }
  for (const std::string name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"}) {
    const std::int64_t rows = name == "ffn_up" ? 20 : 8;
    table["blk.0." + name + ".weight"] = {DType::F16, {rows, name == "ffn_down" ? 20 : 8}};
    table["blk.0." + name + ".bias"] = {DType::F32, {rows}};
  }
  const Graph graph = decoder_graph(parameters, table);
  validate(graph, nullptr);
  CHECK(node(graph, "positions").attributes.text("rows") == "tokens");
  CHECK(node(graph, "layer0.ffn_up").attributes.text("activation") == "relu");
  CHECK(input_name(graph, node(graph, "layer0.attention_output"), 3) == "embedding");
  CHECK(!node(graph, "layer0.attention").attributes.has("scale"));
  CHECK(input_name(graph, node(graph, "output"), 1) == "token_embd.weight");
  parameters.attention_scale = 1;
  CHECK(node(decoder_graph(parameters, table), "layer0.attention").attributes.real("scale") == 1);

  for (const auto& [name, type] : TensorTable(table)) {
    if (name.ends_with(".bias") || name == "position_embd.weight") continue;  // readers say which there must be
    TensorTable without = table;
    without.erase(name);
    CHECK(contains(error_of([&] { decoder_graph(parameters, without); }), fmt::format("tensor '{}' is missing", name)));
  }
  table["blk.0.attn_qkv.weight"] = {DType::F16, {24, 8}};
  CHECK(contains(error_of([&] { decoder_graph(parameters, table); }), "'blk.0.attn_qkv.weight'"));
}

TEST_CASE("what decoders differ in stands in their graphs") {
  Json json = llama_json();
  json.update({{"norm_place", "both"},
               {"query_norm", "head"},
               {"windows", {7, 0}},
               {"local_rope_base", 100.0},
               {"attention_scale", 0.3},
               {"attention_softcap", 50.0},
               {"logits_softcap", 30.0},
               {"embedding_scale", 2.0},
               {"residual_scale", 0.5},
               {"logits_scale", 0.25}});
  TensorTable table = llama_table();
  for (const std::string block : {"blk.0.", "blk.1."}) {
    for (const char* name : {"post_attention_norm.weight", "post_ffw_norm.weight"}) {
      table[block + name] = {DType::F32, {8}};
    }
    for (const char* name : {"attn_q_norm.weight", "attn_k_norm.weight"}) table[block + name] = {DType::F32, {6}};
  }
  const Graph graph = decoder_graph(DecoderParameters::from_json(json), table);
  validate(graph, nullptr);
  CHECK(node(graph, "embedding").attributes.real("scale") == 2);
  CHECK(node(graph, "layer0.q_rotary").attributes.real("base") == 100);
  CHECK(node(graph, "layer1.q_rotary").attributes.real("base") == 1e4);
  CHECK(node(graph, "layer1.attention").attributes.integer("window") == 0);
  CHECK(node(graph, "layer0.attention").attributes.real("scale") == 0.3);
  CHECK(node(graph, "layer0.attention").attributes.real("softcap") == 50);
  CHECK(input_name(graph, node(graph, "layer0.q_rotary"), 0) == "layer0.q_joined");
  CHECK(input_name(graph, node(graph, "layer0.attention_scaled"), 0) == "layer0.post_attention_norm");
  CHECK(input_name(graph, node(graph, "layer0.ffn_added"), 0) == "layer0.attention_added");
  CHECK(graph.nodes.back().name == "output_capped");
  for (const char* name : {"blk.1.attn_q_norm.weight", "blk.0.post_ffw_norm.weight"}) {
    TensorTable without = table;
    without.erase(name);
    CHECK(contains(error_of([&] { decoder_graph(DecoderParameters::from_json(json), without); }),
                   fmt::format("tensor '{}' is missing", name)));
  }
}

}  // namespace
}  // namespace heed::models
