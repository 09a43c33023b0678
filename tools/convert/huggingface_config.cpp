#include "tools/convert/huggingface_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "heed/error.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

/// The numbers that divide the angles of Llama 3.1's rotary positions: long wavelengths are stretched by `factor`,
/// short ones kept, those between blended (transformers, modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<float> llama3_factors(ConfigReader& rope, double base, std::int64_t dims) {
  const double factor = rope.positive("factor");
  const double low = rope.positive("low_freq_factor");
  const double high = rope.positive("high_freq_factor");
  const double context = rope.positive("original_max_position_embeddings");
  if (high <= low) rope.fail("high_freq_factor", "more than low_freq_factor");
  std::vector<float> factors;
  for (std::int64_t i = 0; i < dims / 2; ++i) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
    double divisor = factor;
    if (wavelength < context / high) {
      divisor = 1;
    } else if (wavelength <= context / low) {
      const double smooth = (context / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

/// Rotary positions: transformers 5 keeps all in "rope_parameters"; 4 has "rope_theta" and "rope_scaling".
void read_rope(ConfigReader& config, HuggingFaceConfig& result) {
  const auto outer_base = config.find_positive("rope_theta");
  const nlohmann::json* parameters = config.find("rope_parameters");
  const nlohmann::json* scaling = config.find("rope_scaling");
  if (parameters != nullptr && scaling != nullptr && *parameters != *scaling) {
    config.contradict(fmt::format("'rope_scaling' is {}", shown(*scaling)),
                      fmt::format("'rope_parameters' is {}", shown(*parameters)));
  }
  const std::int64_t dims = result.parameters["head_dim"].get<std::int64_t>();
  if (dims % 2 != 0 || dims > (1 << 20)) config.fail("head_dim", "an even number up to 2^20");
  double base = outer_base.value_or(10000);
  if (parameters != nullptr || scaling != nullptr) {
    const char* name_of_rope = parameters != nullptr ? "rope_parameters" : "rope_scaling";
    ConfigReader rope(parameters != nullptr ? *parameters : *scaling, fmt::format("config.json, {}", name_of_rope));
    const auto inner_base = rope.find_positive("rope_theta");
    if (inner_base && outer_base && *inner_base != *outer_base) {
      config.contradict(fmt::format("'rope_theta' is {}", *outer_base),
                        fmt::format("'rope_theta' inside '{}' is {}", name_of_rope, *inner_base));
    }
    base = inner_base.value_or(base);
    rope.expect("partial_rotary_factor", 1.0);
    const auto type = rope.find_text("rope_type");
    const auto older = rope.find_text("type");
    if (type && older && *type != *older) {
      rope.contradict(fmt::format("'rope_type' is {}", in_quotes(*type)),
                      fmt::format("'type' is {}", in_quotes(*older)));
    }
    const std::string name = type.value_or(older.value_or("default"));
    if (name == "linear") {
      result.rope_factors.assign(static_cast<std::size_t>(dims / 2), static_cast<float>(rope.positive("factor")));
    } else if (name == "llama3") {
      result.rope_factors = llama3_factors(rope, base, dims);
    } else if (name != "default") {
      rope.fail(type ? "rope_type" : "type", "default, linear or llama3");
    }
    rope.refuse_unread(false);
  }
  config.expect("partial_rotary_factor", 1.0);
  result.parameters["rope_base"] = base;
  result.parameters["rope_layout"] = "half";
  result.parameters["rope_dims"] = dims;
}

void read_llama(ConfigReader& config, bool mistral, HuggingFaceConfig& result) {
  const std::int64_t width = config.size("hidden_size");
  const std::int64_t heads = config.size("num_attention_heads");
  const auto head_dim = config.find_size("head_dim");
  if (!head_dim && width % heads != 0)
    config.fail("num_attention_heads", fmt::format("a divisor of hidden_size, {}", width));
  // MistralConfig's own default of 8 is older than most checkpoints: it must be spelled out.
  const auto kv_heads = config.find_size("num_key_value_heads");
  if (mistral && !kv_heads) config.fail("num_key_value_heads", "an integer above zero");
  result.family = "llama";
  result.parameters = {{"width", width},
                       {"layers", config.size("num_hidden_layers")},
                       {"heads", heads},
                       {"kv_heads", kv_heads.value_or(heads)},
                       {"head_dim", head_dim.value_or(width / heads)},
                       {"ffn_width", config.size("intermediate_size")},
                       {"vocabulary", config.size("vocab_size")},
                       {"context", config.size("max_position_embeddings")},
                       {"norm_eps", config.positive("rms_norm_eps")},
                       {"activation", config.activation("hidden_act", "silu")},
                       {"window", 0}};
  if (mistral) {
    if (!config.has("sliding_window")) config.fail("sliding_window", "a number or null");
    result.parameters["window"] = config.find_size("sliding_window").value_or(0);
    config.expect("attention_bias", false);
    config.expect("mlp_bias", false);
  } else {
    config.expect("sliding_window", false);
    config.expect("use_sliding_window", false);
    config.expect("rope_interleaved", false);
    config.boolean("is_llama_config", false);  // of a converter, either way
    result.attention_bias = config.boolean("attention_bias", false);
    result.ffn_bias = config.boolean("mlp_bias", false);
  }
  result.tied = config.boolean("tie_word_embeddings", false);
  read_rope(config, result);
}

void read_gpt2(ConfigReader& config, HuggingFaceConfig& result) {
  const std::int64_t width = config.size("n_embd");
  result.family = "gpt2";
  result.parameters = {{"width", width},
                       {"layers", config.size("n_layer")},
                       {"heads", config.size("n_head")},
                       {"ffn_width", config.find_size("n_inner").value_or(4 * width)},
                       {"vocabulary", config.size("vocab_size")},
                       {"context", config.size("n_positions")},
                       {"norm_eps", config.positive("layer_norm_epsilon")},
                       {"activation", config.activation("activation_function", "gelu_new")},
                       {"scale_attention", config.boolean("scale_attn_weights", true)}};
  config.expect("scale_attn_by_inverse_layer_idx", false);
  result.tied = config.boolean("tie_word_embeddings", true);
}

std::vector<std::int32_t> end_tokens_of(const nlohmann::json& file, const char* name, std::int64_t vocabulary) {
  return file.is_object() ? ConfigReader(file, name).tokens("eos_token_id", vocabulary) : std::vector<std::int32_t>();
}

}  // namespace

HuggingFaceConfig read_huggingface_config(const nlohmann::json& config, const nlohmann::json& generation_config) {
  ConfigReader reader(config, "config.json");
  const nlohmann::json* architectures = reader.find("architectures");
  if (architectures == nullptr || !architectures->is_array() || architectures->size() != 1 ||
      !architectures->front().is_string()) {
    reader.fail("architectures", "a list of one name");
  }
  HuggingFaceConfig result;
  const std::string architecture = architectures->front().get<std::string>();
  if (architecture == "LlamaForCausalLM" || architecture == "MistralForCausalLM") {
    read_llama(reader, architecture == "MistralForCausalLM", result);
  } else if (architecture == "GPT2LMHeadModel") {
    read_gpt2(reader, result);
  } else {
    reader.fail("architectures",
                "LlamaForCausalLM, MistralForCausalLM, GPT2LMHeadModel or a translation model (MarianMTModel, M2M100-, "
                "Bart-, MBart-, T5-, MT5- or UMT5ForConditionalGeneration)");
  }
  reader.expect("is_decoder", false);
  reader.expect("is_encoder_decoder", false);
  reader.expect("add_cross_attention", false);
  reader.expect("tie_encoder_decoder", false);
  reader.expect("chunk_size_feed_forward", 0);
  reader.expect("pruned_heads", nlohmann::json::object());
  reader.refuse_unread();

  const auto vocabulary = result.parameters["vocabulary"].get<std::int64_t>();
  result.end_tokens = end_tokens_of(generation_config, "generation_config.json", vocabulary);
  if (result.end_tokens.empty()) result.end_tokens = end_tokens_of(config, "config.json", vocabulary);
  return result;
}

}  // namespace heed::convert
