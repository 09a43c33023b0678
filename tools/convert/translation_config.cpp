#include "tools/convert/translation_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "heed/error.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

struct NamedArchitecture {
  std::string_view name;
  TranslationFamily family;
};
constexpr auto kArchitectures =
    std::to_array<NamedArchitecture>({{"MarianMTModel", TranslationFamily::Marian},
                                      {"M2M100ForConditionalGeneration", TranslationFamily::M2M100},
                                      {"BartForConditionalGeneration", TranslationFamily::Bart},
                                      {"MBartForConditionalGeneration", TranslationFamily::MBart},
                                      {"T5ForConditionalGeneration", TranslationFamily::T5},
                                      {"MT5ForConditionalGeneration", TranslationFamily::T5},
                                      {"UMT5ForConditionalGeneration", TranslationFamily::UMT5}});

std::string architecture_of(const nlohmann::json& config) {
  const auto found = config.is_object() ? config.find("architectures") : config.end();
  if (!config.is_object() || found == config.end() || !found->is_array() || found->size() != 1) return {};
  return found->front().is_string() ? found->front().get<std::string>() : std::string();
}

const NamedArchitecture* find_architecture(const nlohmann::json& config) {
  const std::string name = architecture_of(config);
  for (const NamedArchitecture& known : kArchitectures) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

std::int64_t layers_of(ConfigReader& config, const std::string& key) {
  constexpr std::int64_t kMostLayers = 1000;
  const std::int64_t layers = config.size(key.c_str());
  if (layers > kMostLayers) config.fail(key.c_str(), fmt::format("at most {}", kMostLayers));
  return layers;
}

nlohmann::json read_stack(ConfigReader& config, const std::string& side, std::int64_t width, bool final_norm) {
  const std::string heads_key = side + "_attention_heads";
  const std::int64_t heads = config.size(heads_key.c_str());
  if (width % heads != 0) config.fail(heads_key.c_str(), fmt::format("a divisor of d_model, {}", width));
  return {{"layers", layers_of(config, side + "_layers")},
          {"heads", heads},
          {"head_dim", width / heads},
          {"ffn_width", config.size((side + "_ffn_dim").c_str())},
          {"final_norm", final_norm}};
}

/// Marian, M2M-100, BART and mBART, which differ in where norms stand and in positions.
void read_bart(ConfigReader& config, TranslationConfig& result) {
  const bool marian = result.family == TranslationFamily::Marian;
  const bool mbart = result.family == TranslationFamily::MBart;
  const bool bart = result.family == TranslationFamily::Bart;
  const bool norm_first = mbart || result.family == TranslationFamily::M2M100;
  const std::int64_t width = config.size("d_model");
  const std::int64_t source_vocabulary = config.size("vocab_size");
  const std::int64_t context = config.size("max_position_embeddings");
  std::int64_t vocabulary = source_vocabulary;
  if (marian) {
    result.shared = config.boolean("share_encoder_decoder_embeddings", true);
    const auto own = config.find_size("decoder_vocab_size");
    if (own && result.shared && *own != vocabulary) {
      config.contradict(fmt::format("'vocab_size' is {} and 'decoder_vocab_size' {}", vocabulary, *own),
                        "'share_encoder_decoder_embeddings' is true");
    }
    vocabulary = own.value_or(vocabulary);
    config.expect("static_position_embeddings", true);
    config.skip("extra_pos_embeddings");  // of BART, from which Marian's configurations were copied
  } else {
    config.expect("static_position_embeddings", false);
    config.expect("extra_pos_embeddings", 2);
  }
  result.parameters = {
      {"width", width},
      {"encoder", read_stack(config, "encoder", width, norm_first)},
      {"decoder", read_stack(config, "decoder", width, norm_first)},
      {"source_vocabulary", source_vocabulary},
      {"vocabulary", vocabulary},
      {"source_context", context},
      {"context", context},
      {"norm", "layer"},
      {"norm_eps", 1e-5},
      {"norm_first", norm_first},
      {"embedding_norm", bart || mbart},
      {"biases", true},
      {"positions", "table"},
      {"relative_buckets", 0},
      {"relative_distance", 0},
      {"embedding_scale", config.boolean("scale_embedding", false) ? std::sqrt(static_cast<double>(width)) : 1.0},
      {"scale_attention", true},
      {"activation", config.activation("activation_function", "gelu")},
      {"gated", false}};
  result.tied = config.boolean("tie_word_embeddings", true);
  // What older versions of transformers could vary, and wrote into these files.
  config.expect("normalize_before", norm_first);
  config.expect("normalize_embedding", bart || mbart);
  config.expect("add_final_layer_norm", norm_first);
  for (const char* key :
       {"dropout", "activation_dropout", "encoder_layerdrop", "decoder_layerdrop", "init_std", "num_hidden_layers",
        "add_bias_logits", "classif_dropout", "force_bos_token_to_be_generated", "backbone", "partial_sharing"}) {
    config.skip(key);
  }
}

void read_t5(ConfigReader& config, bool is_mt5, TranslationConfig& result) {
  const std::int64_t width = config.size("d_model");
  const std::int64_t layers = layers_of(config, "num_layers");
  const bool same = config.find("num_decoder_layers") == nullptr;
  const std::int64_t heads = config.size("num_heads");
  const auto stack = [&](std::int64_t count) {
    return nlohmann::json{{"layers", count},
                          {"heads", heads},
                          {"head_dim", config.size("d_kv")},
                          {"ffn_width", config.size("d_ff")},
                          {"final_norm", true}};
  };
  std::string activation = config.find_text("feed_forward_proj").value_or("relu");
  const bool gated = activation.starts_with("gated-");
  if (gated) activation = activation.substr(6);
  // T5 v1.1's "gated-gelu" means the form with tanh; transformers says so.
  if (activation == "gelu" && gated) activation = "gelu_new";
  const nlohmann::json function = {{"feed_forward_proj", activation}};
  const std::string own = ConfigReader(function, config.where()).activation("feed_forward_proj", "");
  const std::string other = config.find_text("dense_act_fn").value_or(activation);
  if (other != activation || config.boolean("is_gated_act", gated) != gated) {
    config.contradict(fmt::format("'feed_forward_proj' means {}{}", gated ? "gated " : "", activation),
                      "'dense_act_fn' and 'is_gated_act' say otherwise");
  }
  const auto vocabulary = config.size("vocab_size");
  // Relative positions have no end of their own; n_positions is the length T5 was trained with.
  const std::int64_t context = config.find_size("n_positions").value_or(512);
  result.parameters = {{"width", width},
                       {"encoder", stack(layers)},
                       {"decoder", stack(same ? layers : layers_of(config, "num_decoder_layers"))},
                       {"source_vocabulary", vocabulary},
                       {"vocabulary", vocabulary},
                       {"source_context", context},
                       {"context", context},
                       {"norm", "rms"},
                       {"norm_eps", config.find_positive("layer_norm_epsilon").value_or(1e-6)},
                       {"norm_first", true},
                       {"embedding_norm", false},
                       {"biases", false},
                       {"positions", result.family == TranslationFamily::UMT5 ? "relative_layers" : "relative"},
                       {"relative_buckets", config.size("relative_attention_num_buckets")},
                       {"relative_distance", config.find_size("relative_attention_max_distance").value_or(128)},
                       {"embedding_scale", 1.0},
                       {"scale_attention", false},
                       {"activation", own},
                       {"gated", gated}};
  const bool says_tied = config.boolean("tie_word_embeddings", !is_mt5);
  // The first T5 is tied and scaled. transformers 5 writes "tie_word_embeddings": true into every file and keeps
  // whether it scales beside it; what is tied is seen from the tensors.
  result.tied = says_tied;
  result.scale_output = !is_mt5 && config.boolean("scale_decoder_outputs", says_tied);
  for (const char* key : {"dropout_rate", "initializer_factor"}) config.skip(key);
}

}  // namespace

bool is_translation_config(const nlohmann::json& config) { return find_architecture(config) != nullptr; }

TranslationConfig read_translation_config(const nlohmann::json& config) {
  ConfigReader reader(config, "config.json");
  const NamedArchitecture* architecture = find_architecture(config);
  if (architecture == nullptr) reader.fail("architectures", "a list of one translation model that heed knows");
  reader.skip("architectures");
  TranslationConfig result;
  result.family = architecture->family;
  if (result.family == TranslationFamily::T5 || result.family == TranslationFamily::UMT5) {
    read_t5(reader, architecture->name == "MT5ForConditionalGeneration", result);
  } else {
    read_bart(reader, result);
  }
  reader.expect("is_decoder", false);
  reader.expect("is_encoder_decoder", true);
  reader.expect("add_cross_attention", false);
  reader.expect("tie_encoder_decoder", false);
  reader.expect("chunk_size_feed_forward", 0);
  reader.expect("pruned_heads", nlohmann::json::object());
  reader.refuse_unread();
  return result;
}

}  // namespace heed::convert
