#include "tools/convert/huggingface.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/description.h"
#include "tools/convert/convert.h"
#include "tools/convert/huggingface_config.h"

namespace heed::convert {
namespace {

using namespace convert_test;
namespace fs = std::filesystem;
using Json = nlohmann::json;
using Items = std::vector<SafetensorsItem>;

/// Reads a folder of this config and these tensors, and makes the header of the .heed file from it.
Checkpoint read(const Json& config, const Items& items, const Json& generation_config = {}) {
  TempFolder folder;
  folder.write("config.json", config.dump());
  if (!generation_config.is_null()) folder.write("generation_config.json", generation_config.dump());
  folder.write("model.safetensors", safetensors(items));
  Checkpoint checkpoint = read_huggingface(folder.path());
  make_header(checkpoint, {});
  return checkpoint;
}
std::string complaint(const Json& config, const Items& items) {
  return error_of([&] { read(config, items); });
}
HuggingFaceConfig llama_config(const Json& changes) {
  Json config = tiny_llama_config();
  config.update(changes);
  return read_huggingface_config(config, {});
}
SafetensorsItem& item(Items& items, const std::string& name) {
  return *std::ranges::find(items, name, &SafetensorsItem::name);
}

TEST_CASE("a Llama folder: names, rotary layout, end tokens, a note for the missing tokenizer") {
  Checkpoint checkpoint = read(tiny_llama_config(), tiny_llama_tensors());
  CHECK(checkpoint.architecture == "llama");
  CHECK(checkpoint.source == "safetensors");
  CHECK(checkpoint.parameters["rope_layout"] == "half");
  CHECK(checkpoint.parameters["head_dim"] == 4);
  CHECK(checkpoint.tensors.size() == 12);
  CHECK(f32_values(tensor(checkpoint, "blk.0.ffn_norm.weight").read()) == ramp(8, 6));
  CHECK(f32_values(tensor(checkpoint, "blk.0.ffn_up.weight").read()) == ramp(96, 8));
  CHECK(f32_values(tensor(checkpoint, "output.weight").read()) == ramp(48, 11));
  CHECK(checkpoint.end_tokens == std::vector<std::int32_t>{2});
  CHECK(checkpoint.tokenizer.empty());
  CHECK(contains(checkpoint.notes.at(0), "the folder holds no tokenizer.json"));
  CHECK(make_header(checkpoint, {}).metadata["end_tokens"] == Json({2}));

  const Json generation = {{"eos_token_id", {3, 1, 3}}};
  CHECK(read(tiny_llama_config(), tiny_llama_tensors(), generation).end_tokens == std::vector<std::int32_t>{3, 1});
  CHECK(contains(error_of([&] {
                   read(tiny_llama_config(), tiny_llama_tensors(), {{"eos_token_id", 6}});
                 }),
                 "'eos_token_id' holds 6"));
}

TEST_CASE("GPT-2: Conv1D weights are transposed, c_attn is split, masks are dropped") {
  Items items = tiny_gpt2_tensors();
  items.push_back({"transformer.h.0.attn.bias", "BOOL", {1, 1, 16, 16}, std::string(256, '\1')});
  items.push_back({"transformer.h.0.attn.masked_bias", "F32", {}, f32_bytes({-1e4f})});
  Checkpoint checkpoint = read(tiny_gpt2_config(), items);
  CHECK(checkpoint.architecture == "gpt2");
  const std::vector<float> qkv = ramp(8 * 24, 4);
  const std::vector<float> bias = ramp(24, 5);
  const char* names[] = {"blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v"};
  for (std::size_t part = 0; part < 3; ++part) {
    const SourceTensor& weight = tensor(checkpoint, std::string(names[part]) + ".weight");
    REQUIRE(weight.shape == Shape{8, 8});
    const std::vector<float> values = f32_values(weight.read());
    for (std::size_t n = 0; n < 8; ++n) {
      for (std::size_t k = 0; k < 8; ++k) CHECK(values[n * 8 + k] == qkv[k * 24 + part * 8 + n]);
    }
    const std::vector<float> rows = f32_values(tensor(checkpoint, std::string(names[part]) + ".bias").read());
    CHECK(rows ==
          std::vector<float>(bias.begin() + static_cast<int>(part) * 8, bias.begin() + static_cast<int>(part + 1) * 8));
  }
  CHECK(tensor(checkpoint, "blk.0.ffn_up.weight").shape == Shape{32, 8});
  CHECK(tensor(checkpoint, "blk.0.ffn_down.weight").shape == Shape{8, 32});
  const std::vector<float> down = f32_values(tensor(checkpoint, "blk.0.ffn_down.weight").read());
  CHECK(down[7 * 32 + 31] == ramp(256, 12)[31 * 8 + 7]);
  CHECK(down[1 * 32 + 2] == ramp(256, 12)[2 * 8 + 1]);
  CHECK(f32_values(tensor(checkpoint, "position_embd.weight").read()) == ramp(128, 1));
  CHECK(checkpoint.parameters["activation"] == "gelu_tanh");
  CHECK(checkpoint.parameters["ffn_width"] == 32);

  Items without_prefix = tiny_gpt2_tensors();
  for (SafetensorsItem& i : without_prefix) i.name = i.name.substr(std::string("transformer.").size());
  CHECK(tensor(read(tiny_gpt2_config(), without_prefix), "blk.0.attn_q.weight").read() ==
        tensor(checkpoint, "blk.0.attn_q.weight").read());
}

TEST_CASE("f16 Conv1D weights are transposed by elements of two bytes") {
  Items items = tiny_gpt2_tensors();
  std::string halves;
  for (std::uint16_t i = 0; i < 64; ++i) halves += bytes_of(i);
  item(items, "transformer.h.0.attn.c_proj.weight").dtype = "F16";
  item(items, "transformer.h.0.attn.c_proj.weight").bytes = halves;
  const auto bytes = tensor(read(tiny_gpt2_config(), items), "blk.0.attn_output.weight").read();
  REQUIRE(bytes.size() == 128);
  CHECK(bytes[(3 * 8 + 5) * 2] == std::byte{5 * 8 + 3});
}

TEST_CASE("a tied output matrix is left out where it repeats the embedding, and used where it does not, with a note") {
  Json config = tiny_llama_config();
  config["tie_word_embeddings"] = true;
  Items same = tiny_llama_tensors();
  item(same, "lm_head.weight").bytes = item(same, "model.embed_tokens.weight").bytes;
  const Checkpoint checkpoint = read(config, same);
  CHECK(checkpoint.tensors.size() == 11);
  CHECK(contains(checkpoint.notes.at(0), "'lm_head.weight' is left out"));

  const Checkpoint other = read(config, tiny_llama_tensors());
  CHECK(other.tensors.size() == 12);
  CHECK(f32_values(tensor(other, "output.weight").read()) == ramp(48, 11));
  CHECK(contains(other.notes.at(0), "'lm_head.weight' holds other values than the embedding"));
  // The last element alone, and the same values in another type.
  same = tiny_llama_tensors();
  std::vector<float> values = f32_values(tensor(checkpoint, "token_embd.weight").read());
  std::string halves;
  for (const float value : values) halves += bytes_of(std::bit_cast<std::uint32_t>(value)).substr(2);
  item(same, "lm_head.weight").dtype = "BF16";
  item(same, "lm_head.weight").bytes = halves;  // ramps have few enough bits
  CHECK(read(config, same).tensors.size() == 11);
  values.back() += 1;
  item(same, "lm_head.weight") = {"lm_head.weight", "F32", {6, 8}, f32_bytes(values)};
  CHECK(read(config, same).tensors.size() == 12);
  item(same, "lm_head.weight") = {"lm_head.weight", "F32", {8, 6}, item(same, "model.embed_tokens.weight").bytes};
  CHECK(contains(complaint(config, same), "lm_head.weight"));

  Items gpt2 = tiny_gpt2_tensors();
  gpt2.push_back({"lm_head.weight", "F32", {6, 8}, item(gpt2, "transformer.wte.weight").bytes});
  CHECK(contains(read(tiny_gpt2_config(), gpt2).notes.at(0), "is left out"));
  gpt2.back().bytes = f32_bytes(ramp(48, 5));
  CHECK(f32_values(tensor(read(tiny_gpt2_config(), gpt2), "output.weight").read()) == ramp(48, 5));

  Items without = tiny_llama_tensors();
  without.pop_back();
  CHECK(complaint(config, without).empty());
  CHECK(contains(complaint(tiny_llama_config(), without), "'lm_head.weight' is missing"));
}

TEST_CASE("tensors that do not belong are refused by name") {
  const Json config = tiny_llama_config();
  const auto with = [&](const SafetensorsItem& extra) {
    Items items = tiny_llama_tensors();
    items.push_back(extra);
    return complaint(config, items);
  };
  CHECK(contains(with({"model.layers.0.self_attn.q_norm.weight", "F32", {4}, std::string(16, '\0')}), "q_norm"));
  CHECK(contains(with({"model.layers.1.input_layernorm.weight", "F32", {8}, f32_bytes(ramp(8, 0))}),
                 "'model.layers.1.input_layernorm.weight' [8] has no place"));
  CHECK(contains(with({"model.layers.00.input_layernorm.weight", "F32", {8}, f32_bytes(ramp(8, 0))}), "layers.00"));
  CHECK(contains(with({"model.layers.0.mlp.up_proj.bias", "F32", {12}, f32_bytes(ramp(12, 0))}),
                 "there are no such biases"));
  CHECK(contains(with({"x", "I64", {1}, std::string(8, '\0')}), "'x' is of type \"I64\""));
  CHECK(with({"model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {2}, f32_bytes({1, 1})}).empty());
  CHECK(contains(with({"model.layers.0.self_attn.my_rotary_emb.inv_freq", "F32", {2}, f32_bytes({1, 1})}),
                 "'model.layers.0.self_attn.my_rotary_emb.inv_freq' is not known"));
  Json biased = config;
  biased["mlp_bias"] = true;
  CHECK(contains(complaint(biased, tiny_llama_tensors()), "'model.layers.0.mlp.down_proj.bias' is missing"));
  biased["attention_bias"] = true;
  CHECK(contains(complaint(biased, tiny_llama_tensors()), "'model.layers.0.self_attn.k_proj.bias' is missing"));

  Items missing = tiny_llama_tensors();
  missing.erase(missing.begin() + 3);
  CHECK(contains(complaint(config, missing),
                 "'model.layers.0.self_attn.k_proj.weight' is missing; expected shape [8, 8]"));
  Items twice = tiny_gpt2_tensors();
  twice.push_back({"wte.weight", "F32", {6, 8}, f32_bytes(ramp(48, 0))});
  CHECK(contains(complaint(tiny_gpt2_config(), twice),
                 "tensors 'transformer.wte.weight' and 'wte.weight' are the same one"));
  Items reshaped = tiny_gpt2_tensors();
  item(reshaped, "transformer.h.0.mlp.c_fc.weight").shape = {32, 8};
  CHECK(contains(complaint(tiny_gpt2_config(), reshaped), "has shape [32, 8], but config.json implies [8, 32]"));
}

TEST_CASE("messages name tensors as the file does") {
  Json fewer = tiny_llama_config();
  fewer["num_key_value_heads"] = 1;
  CHECK(contains(complaint(fewer, tiny_llama_tensors()),
                 "tensor 'model.layers.0.self_attn.k_proj.weight' has shape [8, 8], but the hyperparameters imply"));
  fewer = tiny_llama_config();
  fewer["vocab_size"] = 5;
  CHECK(contains(complaint(fewer, tiny_llama_tensors()), "tensor 'model.embed_tokens.weight' has shape [6, 8]"));
  fewer = tiny_gpt2_config();
  fewer["n_positions"] = 5;
  CHECK(contains(complaint(fewer, tiny_gpt2_tensors()), "tensor 'transformer.wpe.weight' has shape [16, 8]"));
  fewer = tiny_gpt2_config();
  fewer["n_layer"] = 2;
  CHECK(contains(complaint(fewer, tiny_gpt2_tensors()), "tensor 'transformer.h.1.ln_1.weight' is missing"));
  Items without = tiny_gpt2_tensors();
  std::erase_if(without, [](const SafetensorsItem& one) { return one.name == "transformer.h.0.attn.c_attn.bias"; });
  CHECK(contains(complaint(tiny_gpt2_config(), without), "tensor 'transformer.h.0.attn.c_attn.bias' is missing"));
  for (Items items : {tiny_llama_tensors(), tiny_gpt2_tensors()}) {
    const bool is_llama = items.front().name.starts_with("model.");
    const std::string name = is_llama ? "model.layers.0.mlp.down_proj.weight" : "transformer.h.0.attn.c_attn.weight";
    SafetensorsItem& damaged = item(items, name);
    damaged.bytes.replace(0, 4, f32_bytes({std::nanf("")}));
    const Checkpoint checkpoint = read(is_llama ? tiny_llama_config() : tiny_gpt2_config(), items);
    const std::string said = error_of([&] {
      for (const SourceTensor& one : checkpoint.tensors) convert_tensor(one, DType::F16, [](auto) {});
    });
    CHECK_MESSAGE(contains(said, "tensor '" + name + "'"), said);
  }
}

TEST_CASE("what contradicts itself in config.json is said with both values") {
  const auto complain = [](const Json& changes) { return error_of([&] { llama_config(changes); }); };
  CHECK(complain({{"rope_theta", 10000.0}, {"rope_parameters", {{"rope_theta", 50000.0}}}}) ==
        "config.json: 'rope_theta' is 10000, but 'rope_theta' inside 'rope_parameters' is 50000; they contradict each "
        "other");
  CHECK(complain({{"rope_scaling", {{"rope_type", "linear"}, {"type", "default"}, {"factor", 2}}}}) ==
        "config.json, rope_scaling: 'rope_type' is \"linear\", but 'type' is \"default\"; they contradict each other");
  CHECK(contains(complain({{"rope_scaling", {{"type", "default"}}}, {"rope_parameters", {{"type", "linear"}}}}),
                 "but 'rope_parameters' is {\"type\":\"linear\"}; they contradict each other"));
}

TEST_CASE("config.json: versions 4 and 5 of transformers say the same") {
  Json newer = tiny_llama_config();
  newer.erase("rope_theta");
  newer.erase("torch_dtype");
  newer["dtype"] = "float32";
  newer["rope_parameters"] = {{"rope_theta", 50000.0}, {"rope_type", "default"}};
  const HuggingFaceConfig five = read_huggingface_config(newer, {});
  const HuggingFaceConfig four = llama_config({{"rope_theta", 50000.0}, {"rope_scaling", nullptr}});
  CHECK(five.parameters == four.parameters);
  CHECK(five.parameters["rope_base"] == 50000.0);
  CHECK(five.rope_factors.empty());
  const Json folder = Json::parse(read_whole(golden_folder() / "llama_gqa_tied" / "config.json"));
  const Json folder_v4 = Json::parse(read_whole(golden_folder() / "llama_gqa_tied" / "config_v4.json"));
  CHECK(read_huggingface_config(folder, {}).parameters == read_huggingface_config(folder_v4, {}).parameters);
}

TEST_CASE("rotary scaling: linear and llama3") {
  const Json linear = {{"type", "linear"}, {"factor", 4.0}};
  CHECK(llama_config({{"rope_scaling", linear}}).rope_factors == std::vector<float>{4, 4});

  // Llama 3.1's own numbers; expected values from the definition: kept below a wavelength of 8192 / 4, divided by 8
  // above one of 8192 / 1, blended between.
  Json scaling = {{"rope_type", "llama3"},
                  {"factor", 8.0},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 8192}};
  const std::vector<float> factors =
      llama_config({{"rope_scaling", scaling}, {"rope_theta", 500000.0}, {"head_dim", 128}}).rope_factors;
  REQUIRE(factors.size() == 64);
  int kept = 0, blended = 0, divided = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    const double wavelength = 2 * 3.14159265358979323846 * std::pow(500000.0, static_cast<double>(i) / 64.0);
    if (wavelength < 2048) {
      CHECK(factors[i] == 1.0f);
      ++kept;
    } else if (wavelength > 8192) {
      CHECK(factors[i] == 8.0f);
      ++divided;
    } else {
      const double smooth = (8192 / wavelength - 1) / 3;
      CHECK(factors[i] == doctest::Approx(1 / ((1 - smooth) / 8 + smooth)));
      CHECK(factors[i] > factors[i - 1]);
      ++blended;
    }
  }
  CHECK(kept == 29);
  CHECK(blended == 6);
  CHECK(divided == 29);
  const Checkpoint checkpoint = read(
      [&] {
        Json config = tiny_llama_config();
        config["rope_scaling"] = scaling;
        return config;
      }(),
      tiny_llama_tensors());
  CHECK(tensor(checkpoint, "rope_freqs.weight").shape == Shape{2});

  const auto complain = [&](const Json& changes) { return error_of([&] { llama_config(changes); }); };
  CHECK(contains(complain({{"rope_scaling", {{"rope_type", "ntk"}, {"factor", 4.0}}}}), "'rope_type' is \"ntk\""));
  CHECK(contains(complain({{"rope_scaling", {{"type", "dynamic"}}}}), "'factor' is missing"));
  CHECK(contains(complain({{"rope_scaling", {{"type", "yarn"}, {"factor", 0.5}}}}), "'factor' is 0.5"));
  CHECK(contains(complain({{"rope_scaling", {{"type", "yarn"}, {"factor", 2}, {"x", 1}}}}), "\"x\""));
  CHECK(
      contains(complain({{"rope_theta", 1.0}, {"rope_scaling", {{"type", "yarn"}, {"factor", 2}}}}), "a base above 1"));
  CHECK(contains(complain({{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1}}}}}), "'short_factor'"));
  CHECK(
      contains(complain({{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1, 2}}, {"long_factor", {1, 0}}}}}),
               "'long_factor'"));
  CHECK(contains(complain({{"rope_scaling", {{"type", "linear"}}}}), "'factor' is missing"));
  CHECK(contains(complain({{"rope_scaling", {{"type", "linear"}, {"factor", 2}, {"x", 1}}}}), "\"x\""));
  CHECK(contains(complain({{"rope_scaling", 3}}), "rope_scaling is not a JSON object"));
  CHECK(contains(complain({{"rope_parameters", {{"rope_theta", 1.0}}}}), "'rope_parameters' is 1;"));
  scaling["high_freq_factor"] = 1.0;
  CHECK(contains(complain({{"rope_scaling", scaling}}), "more than low_freq_factor"));
}

TEST_CASE("Mistral has a window that must be spelled out") {
  Json config = tiny_llama_config();
  config["architectures"] = {"MistralForCausalLM"};
  CHECK(contains(error_of([&] { read_huggingface_config(config, {}); }), "'sliding_window' is missing"));
  config["sliding_window"] = 5;
  CHECK(read_huggingface_config(config, {}).parameters["windows"] == Json::array({5}));
  config["sliding_window"] = nullptr;
  CHECK(!read_huggingface_config(config, {}).parameters.contains("windows"));
  config["attention_bias"] = false;
  config["mlp_bias"] = false;
  CHECK(!read_huggingface_config(config, {}).parameters.contains("windows"));
  config["attention_bias"] = true;
  CHECK(contains(error_of([&] { read_huggingface_config(config, {}); }), "'attention_bias' is true"));
  config.erase("attention_bias");
  config.erase("num_key_value_heads");
  CHECK(contains(error_of([&] { read_huggingface_config(config, {}); }), "'num_key_value_heads' is missing"));
}

/// A config of tests/golden/hf without some keys and with others; null stays null.
Json family_config(const char* folder, const std::vector<const char*>& without, const Json& with = Json::object()) {
  Json config = Json::parse(read_whole(golden_folder() / folder / "config.json"));
  for (const char* key : without) config.erase(key);
  for (const auto& [key, value] : with.items()) config[key] = value;
  return config;
}

TEST_CASE("where a config is silent, a family takes what transformers takes") {
  const auto parameters = [](const Json& config) { return read_huggingface_config(config, {}).parameters; };
  const auto complain = [&](const Json& config) { return error_of([&] { parameters(config); }); };
  const Json gemma2 = parameters(family_config("gemma2", {"attn_logit_softcapping", "final_logit_softcapping"}));
  CHECK(gemma2["attention_softcap"] == 50);
  CHECK(gemma2["logits_softcap"] == 30);
  CHECK(parameters(family_config("gemma2", {}, {{"attn_logit_softcapping", nullptr}}))["attention_softcap"] == 0);
  CHECK(parameters(family_config("gemma3", {"attn_logit_softcapping"}))["attention_softcap"] == 0);
  CHECK(parameters(family_config("gemma3", {"rope_parameters"}))["rope_base"] == 1e6);
  CHECK(parameters(family_config("gemma3", {"rope_parameters"}))["local_rope_base"] == 1e4);
  CHECK(contains(complain(family_config("gemma", {}, {{"hidden_act", "gelu"}})), "'hidden_act' is \"gelu\""));
  CHECK(parameters(family_config("gemma", {},
                                 {{"hidden_act", "gelu"}, {"hidden_activation", "gelu_pytorch_tanh"}}))["activation"] ==
        "gelu_tanh");
  CHECK(contains(complain(family_config("gptj", {"rotary_dim"})), "'rotary_dim' is missing"));
  CHECK(parameters(family_config("gptj", {"rotary_dim"}, {{"n_embd", 512}}))["rope_dims"] == 64);
  CHECK(contains(complain(family_config("gptj", {}, {{"rotary_dim", nullptr}})), "'rotary_dim' is null"));
  const Json older = {{"rotary_emb_base", 1e6},
                      {"rotary_pct", 1},
                      {"rope_scaling",
                       {{"rope_type", "llama3"},
                        {"factor", 8},
                        {"low_freq_factor", 1},
                        {"high_freq_factor", 4},
                        {"original_max_position_embeddings", 32}}}};
  Json newer = older;
  newer.erase("rotary_emb_base");
  newer["rope_theta"] = 1e6;
  const auto neox = [](const Json& changes) {
    return read_huggingface_config(family_config("gpt_neox", {"rope_parameters"}, changes), {});
  };
  CHECK(neox(older).parameters["rope_base"] == 1e6);
  CHECK(neox(older).rope_factors == neox(newer).rope_factors);
  for (const char* folder : {"mistral", "phi3", "starcoder2"}) {
    const Json mixed = {{"layer_types", {"full_attention", "sliding_attention"}}};
    CHECK(contains(complain(family_config(folder, {}, mixed)), "'layer_types' is"));
  }
  CHECK(parameters(family_config("opt", {}, {{"activation_dropout", 0.0}})).is_object());
  CHECK(parameters(family_config("gptj", {}, {{"rotary", true}, {"scale_attn_weights", true}})).is_object());
  CHECK(parameters(family_config("gpt_neox", {}, {{"is_decoder", true}})).is_object());
  // build_alibi_tensor of transformers has 212 there, head 8 (of slope 1 / sqrt 2) and position 301.
  const std::vector<float> slopes =
      read_huggingface_config(family_config("falcon_alibi", {}, {{"max_position_embeddings", 512}}), {}).alibi;
  CHECK(slopes.size() == 512 * 12);
  CHECK(slopes.at(301 * 12 + 8) == 212.0F / 2);
  // Configs of transformers 4 have no layer_types.
  const auto qwen = [&](const Json& changes) { return family_config("qwen2_windows", {"layer_types"}, changes); };
  CHECK(parameters(qwen({}))["windows"] == Json({0, 6, 6}));
  CHECK(parameters(qwen({{"max_window_layers", 0}}))["windows"] == Json({6, 6, 6}));
  CHECK(!parameters(qwen({{"max_window_layers", 3}})).contains("windows"));
  CHECK(!parameters(qwen({{"max_window_layers", nullptr}})).contains("windows"));
  CHECK(!parameters(qwen({{"sliding_window", nullptr}})).contains("windows"));
  CHECK(!parameters(qwen({{"use_sliding_window", false}})).contains("windows"));
  CHECK(contains(complain(qwen({{"max_window_layers", -1}})), "'max_window_layers' is -1"));
  CHECK(contains(
      complain(family_config("qwen2_moe", {"layer_types"}, {{"use_sliding_window", true}, {"sliding_window", 5}})),
      "'use_sliding_window' is true"));
  CHECK(contains(complain(family_config("olmo3", {}, {{"layer_types", {"full_attention", "none"}}})), "'layer_types'"));
  const Json stretched = {{"rope_parameters", {{"rope_type", "linear"}, {"rope_theta", 1e4}, {"factor", 4.0}}}};
  CHECK(parameters(family_config("olmo3", {}, stretched))["local_rope_base"] == 1e4);
  CHECK(!parameters(family_config("olmo3", {})).contains("local_rope_base"));
  CHECK(parameters(family_config("olmo", {"clip_qkv"}))["clip_qkv"] == 0);
  CHECK(parameters(family_config("smollm3", {"no_rope_layers"}))["unturned_layers"] == Json::array());
  CHECK(parameters(family_config("smollm3", {"no_rope_layers"}, {{"no_rope_layer_interval", 2}}))["unturned_layers"] ==
        Json({1}));
  CHECK(contains(complain(family_config("smollm3", {}, {{"no_rope_layers", {1, 0}}})), "'no_rope_layers' is [1,0]"));
  CHECK(parameters(family_config("smollm3", {"layer_types"},
                                 {{"use_sliding_window", true}, {"sliding_window", 5}}))["windows"] == Json({0, 5, 0}));
  CHECK(contains(complain(family_config("cohere", {}, {{"use_qk_norm", true}})), "'use_qk_norm' is true"));
  CHECK(contains(complain(family_config("cohere", {"rope_parameters"})), "'rope_theta' is missing"));
  CHECK(parameters(family_config("cohere", {"logit_scale"}))["logits_scale"] == 0.0625);
  CHECK(contains(complain(family_config("glm4", {"attention_bias"})), "'attention_bias' is missing"));
  CHECK(contains(complain(family_config("nemotron", {}, {{"hidden_act", "silu"}})), "'hidden_act' is \"silu\""));
  CHECK(contains(complain(family_config("mpt", {}, {{"attn_config", {{"qk_ln", true}}}})), "'qk_ln' is true"));
  CHECK(contains(complain(family_config("mpt", {}, {{"attn_config", {{"alibi", false}}}})), "'alibi' is false"));
}

TEST_CASE("keys of config.json that change the computation are refused by name, harmless ones passed over") {
  const auto complain = [](const Json& changes) { return error_of([&] { llama_config(changes); }); };
  const std::pair<Json, const char*> refused[] = {
      {{{"architectures", {"MambaForCausalLM"}}}, "MambaForCausalLM"},
      {{{"architectures", Json::array()}}, "'architectures' is []"},
      {{{"architectures", nullptr}}, "'architectures' is null"},
      {{{"quantization_config", {{"bits", 4}}}}, "\"quantization_config\""},
      {{{"logit_scale", 0.5}}, "\"logit_scale\""},
      {{{"quantization", {{"bits", 4}}}}, "\"quantization\""},
      {{{"rope_interleaved", true}}, "'rope_interleaved' is true"},
      {{{"is_llama_config", 1}}, "'is_llama_config' is 1"},
      {{{"sliding_window", 5}}, "'sliding_window' is 5"},
      {{{"sliding_window", true}}, "'sliding_window' is true"},
      {{{"use_sliding_window", true}}, "'use_sliding_window' is true"},
      {{{"add_cross_attention", true}}, "'add_cross_attention' is true"},
      {{{"pruned_heads", {{"0", {1}}}}}, "'pruned_heads'"},
      {{{"partial_rotary_factor", 0.5}}, "'partial_rotary_factor' is 0.5"},
      {{{"hidden_act", "tanh"}}, "'hidden_act' is \"tanh\""},
      {{{"hidden_size", 0}}, "'hidden_size' is 0"},
      {{{"hidden_size", -8}}, "'hidden_size' is -8"},
      {{{"hidden_size", 8.5}}, "'hidden_size' is 8.5"},
      {{{"hidden_size", 9}}, "'num_attention_heads' is 2"},
      {{{"head_dim", 3}}, "3 of the 3 elements of a head turn"},
      {{{"vocab_size", 1ull << 31}}, "'vocab_size' is 2147483648"},
      {{{"num_hidden_layers", "1"}}, "'num_hidden_layers' is \"1\""},
      {{{"rms_norm_eps", nullptr}}, "'rms_norm_eps' is null"},
      {{{"rope_theta", -1}}, "'rope_theta' is -1"},
      {{{"attention_bias", 1}}, "'attention_bias' is 1"},
      {{{"eos_token_id", -1}}, "'eos_token_id' holds -1"},
  };
  for (const auto& [changes, message] : refused) {
    const std::string said = complain(changes);
    CHECK_MESSAGE(contains(said, message), said);
    CHECK(!contains(said, "\n"));
  }
  CHECK(complain({{"transformers_version", "4.1"},
                  {"use_cache", true},
                  {"pretraining_tp", 1},
                  {"id2label", {{"0", "x"}}},
                  {"something_unset", nullptr},
                  {"is_llama_config", true},  // SmolLM2
                  {"rope_interleaved", false},
                  {"transformers.js_config", {{"dtype", "q4"}}},
                  {"unsloth_version", "2024.9"},
                  {"unsloth_fixed", true},
                  {"auto_map", {{"AutoConfig", "configuration_llama.LlamaConfig"}}},
                  {"sliding_window", false},
                  {"use_sliding_window", false},
                  {"problem_type", "single_label_classification"},
                  {"_attn_implementation", "eager"},
                  {"num_labels", 2},
                  {"max_new_tokens", 20},
                  {"quantization_config", nullptr},
                  {"is_encoder_decoder", false},
                  {"chunk_size_feed_forward", 0}})
            .empty());
  Json missing = tiny_llama_config();
  missing.erase("intermediate_size");
  CHECK(contains(error_of([&] { read_huggingface_config(missing, {}); }), "'intermediate_size' is missing"));

  const auto gpt2 = [](const Json& changes) {
    Json config = tiny_gpt2_config();
    config.update(changes);
    return read_huggingface_config(config, {}).parameters;
  };
  CHECK(gpt2({{"n_inner", 20}})["ffn_width"] == 20);
  CHECK(gpt2({{"_num_labels", 1}, {"output_past", true}})["ffn_width"] == 32);  // distilgpt2
  CHECK(gpt2({{"scale_attn_weights", false}})["attention_scale"] == 1);
  CHECK(gpt2({{"activation_function", "relu"}, {"summary_type", "cls_index"}, {"n_ctx", 16}})["activation"] == "relu");
  CHECK(contains(error_of([&] {
                   gpt2({{"scale_attn_by_inverse_layer_idx", true}});
                 }),
                 "scale_attn_by_inverse_layer_idx"));
  CHECK(contains(error_of([&] { gpt2({{"rope_theta", 1.0}}); }), "\"rope_theta\""));
}

TEST_CASE("shards: the index and the files must agree") {
  TempFolder folder;
  folder.write("config.json", tiny_llama_config().dump());
  const Items items = tiny_llama_tensors();
  const Items first(items.begin(), items.begin() + 5), second(items.begin() + 5, items.end());
  folder.write("a.safetensors", safetensors(first));
  folder.write("b.safetensors", safetensors(second));
  Json map = Json::object();
  for (const SafetensorsItem& i : first) map[i.name] = "a.safetensors";
  for (const SafetensorsItem& i : second) map[i.name] = "b.safetensors";
  const auto complain = [&](const Json& index) {
    folder.write("model.safetensors.index.json", index.dump());
    return error_of([&] { read_huggingface(folder.path()); });
  };
  CHECK(complain({{"weight_map", map}}).empty());
  CHECK(read_huggingface(folder.path()).tensors.size() == 12);

  CHECK(contains(complain({{"metadata", 1}}), "no object 'weight_map'"));
  Json moved = map;
  moved["model.norm.weight"] = "a.safetensors";
  CHECK(contains(complain({{"weight_map", moved}}), "\"model.norm.weight\" is missing"));
  Json unlisted = map;
  unlisted.erase("model.norm.weight");
  CHECK(contains(complain({{"weight_map", unlisted}}), "'model.norm.weight' is there, but"));
  for (const char* path : {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "a.bin", ""}) {
    Json outside = map;
    outside["model.norm.weight"] = path;
    CHECK(contains(complain({{"weight_map", outside}}), "not a .safetensors file beside it"));
  }
  Json absent = map;
  absent["model.norm.weight"] = "0.safetensors";
  CHECK(contains(complain({{"weight_map", absent}}), "0.safetensors: cannot be opened"));
}

TEST_CASE("pytorch_model.bin is read where there is no model.safetensors, and shards of it by their index") {
  const fs::path golden = golden_folder().parent_path() / "pytorch";
  const auto expected = nlohmann::json::parse(read_whole(golden / "expected.json"))["gpt2.bin"];
  for (const bool sharded : {false, true}) {
    TempFolder folder;
    folder.write("config.json", tiny_gpt2_config().dump());
    fs::copy_file(golden / "gpt2.bin", folder.path() / (sharded ? "pytorch_model-1-of-1.bin" : "pytorch_model.bin"));
    if (sharded) {
      nlohmann::json map;
      for (const auto& [name, described] : expected.items()) map[name] = "pytorch_model-1-of-1.bin";
      folder.write("pytorch_model.bin.index.json", nlohmann::json({{"weight_map", map}}).dump());
    }
    const Checkpoint checkpoint = read_huggingface(folder.path());
    const auto values = expected["transformer.wte.weight"]["values"].get<std::vector<float>>();
    CHECK(f32_values(tensor(checkpoint, "token_embd.weight").read()) == values);
  }
}

TEST_CASE("a folder without weights says which formats there are") {
  TempFolder folder;
  folder.write("config.json", tiny_llama_config().dump());
  CHECK(
      contains(error_of([&] { read_huggingface(folder.path()); }), "neither model.safetensors nor pytorch_model.bin"));
  folder.write("config.json", "{\"a\": ");
  CHECK(contains(error_of([&] { read_huggingface(folder.path()); }), "not valid JSON"));
}

}  // namespace
}  // namespace heed::convert
