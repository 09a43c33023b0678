#include "tools/convert/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

/// Keys that change nothing of what the model computes, whatever their value: names, training, defaults of generate(),
/// classification heads, the kernel that attention runs in, code for those who trust it (transformers has its own for
/// the architectures that are read here).
constexpr auto kHarmless = std::to_array<std::string_view>({"_attn_implementation",
                                                            "_attn_implementation_autoset",
                                                            "_attn_implementation_internal",
                                                            "_commit_hash",
                                                            "_flash_attn_2_enabled",
                                                            "_from_model_config",
                                                            "_name_or_path",
                                                            "_num_labels",
                                                            "attention_dropout",
                                                            "attention_softmax_in_fp32",
                                                            "attn_implementation",
                                                            "attn_pdrop",
                                                            "auto_map",
                                                            "bad_words_ids",
                                                            "begin_suppress_tokens",
                                                            "bias_dropout_fusion",
                                                            "bos_token_id",
                                                            "cache_implementation",
                                                            "classifier_dropout",
                                                            "cls_token_id",
                                                            "decoder_start_token_id",
                                                            "diversity_penalty",
                                                            "do_sample",
                                                            "dropout",
                                                            "dtype",
                                                            "early_stopping",
                                                            "embd_pdrop",
                                                            "embedding_dropout",
                                                            "encoder_no_repeat_ngram_size",
                                                            "eos_token_id",
                                                            "epsilon_cutoff",
                                                            "eta_cutoff",
                                                            "exponential_decay_length_penalty",
                                                            "finetuning_task",
                                                            "forced_bos_token_id",
                                                            "forced_eos_token_id",
                                                            "gradient_checkpointing",
                                                            "guidance_scale",
                                                            "hidden_dropout",
                                                            "id2label",
                                                            "init_std",
                                                            "initializer_range",
                                                            "label2id",
                                                            "layerdrop",
                                                            "length_penalty",
                                                            "low_memory",
                                                            "mask_token_id",
                                                            "masked_softmax_fusion",
                                                            "max_length",
                                                            "max_new_tokens",
                                                            "max_sequence_length",
                                                            "max_time",
                                                            "min_length",
                                                            "min_new_tokens",
                                                            "min_p",
                                                            "model_max_length",
                                                            "model_type",
                                                            "n_ctx",
                                                            "n_special",
                                                            "neftune_noise_alpha",
                                                            "no_repeat_ngram_size",
                                                            "num_beam_groups",
                                                            "num_beams",
                                                            "num_labels",
                                                            "num_return_sequences",
                                                            "output_attentions",
                                                            "output_hidden_states",
                                                            "output_logits",
                                                            "output_past",
                                                            "output_scores",
                                                            "pad_token_id",
                                                            "penalty_alpha",
                                                            "predict_special_tokens",
                                                            "prefix",
                                                            "pretraining_tp",
                                                            "problem_type",
                                                            "remove_invalid_values",
                                                            "renormalize_logits",
                                                            "reorder_and_upcast_attn",
                                                            "repetition_penalty",
                                                            "resid_pdrop",
                                                            "residual_dropout",
                                                            "return_dict",
                                                            "return_dict_in_generate",
                                                            "sep_token_id",
                                                            "skip_bias_add",
                                                            "skip_bias_add_qkv",
                                                            "summary_activation",
                                                            "summary_first_dropout",
                                                            "summary_proj_to_labels",
                                                            "summary_type",
                                                            "summary_use_proj",
                                                            "suppress_tokens",
                                                            "task_specific_params",
                                                            "temperature",
                                                            "tf_legacy_loss",
                                                            "token_healing",
                                                            "tokenizer_class",
                                                            "tokenizer_padding_side",
                                                            "top_k",
                                                            "top_p",
                                                            "torch_dtype",
                                                            "torchscript",
                                                            "transformers.js_config",
                                                            "transformers_version",
                                                            "typical_p",
                                                            "unk_token_id",
                                                            "unsloth_fixed",
                                                            "unsloth_version",
                                                            "use_bfloat16",
                                                            "use_cache",
                                                            "use_flash_attention_2",
                                                            "use_return_dict",
                                                            "xla_device"});

}  // namespace

ConfigReader::ConfigReader(const nlohmann::json& config, std::string where)
    : config_(config), where_(std::move(where)) {
  if (!config.is_object()) throw Error(fmt::format("{} is not a JSON object", where_));
}

void ConfigReader::fail(const char* key, const std::string& expected) const {
  const auto found = config_.find(key);
  if (found == config_.end()) throw Error(fmt::format("{}: '{}' is missing; expected {}", where_, key, expected));
  throw Error(
      fmt::format("{}: '{}' is {}, which heed does not support; expected {}", where_, key, shown(*found), expected));
}

void ConfigReader::contradict(const std::string& first, const std::string& second) const {
  throw Error(fmt::format("{}: {}, but {}; they contradict each other", where_, first, second));
}

const nlohmann::json* ConfigReader::find(const char* key) {
  read_.insert(key);
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> ConfigReader::find_size(const char* key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const auto size = natural(*value);
  if (!size || *size == 0 || *size > INT32_MAX) fail(key, fmt::format("an integer from 1 to {}", INT32_MAX));
  return static_cast<std::int64_t>(*size);
}

std::int64_t ConfigReader::size(const char* key) {
  const auto value = find_size(key);
  if (!value) fail(key, "an integer above zero");
  return *value;
}

std::optional<double> ConfigReader::find_positive(const char* key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() <= 0) {
    fail(key, "a finite number above zero");
  }
  return value->get<double>();
}

double ConfigReader::positive(const char* key) {
  const auto value = find_positive(key);
  if (!value) fail(key, "a finite number above zero");
  return *value;
}

bool ConfigReader::boolean(const char* key, bool otherwise) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) fail(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> ConfigReader::find_text(const char* key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_string()) fail(key, "a string");
  return value->get<std::string>();
}

std::string ConfigReader::activation(const char* key, const char* otherwise) {
  const std::string name = find_text(key).value_or(otherwise);
  if (name == "silu" || name == "swish") return "silu";
  if (name == "gelu") return "gelu";
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return "gelu_tanh";
  if (name == "relu") return "relu";
  fail(key, "silu, gelu, gelu_new, gelu_pytorch_tanh or relu");
}

std::optional<std::int32_t> ConfigReader::find_token(const char* key, std::int64_t vocabulary) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  if (natural(*value).value_or(UINT64_MAX) >= static_cast<std::uint64_t>(vocabulary)) {
    fail(key, fmt::format("the id of a token below {}, the size of the vocabulary", vocabulary));
  }
  return value->get<std::int32_t>();
}

std::vector<std::int32_t> ConfigReader::tokens(const char* key, std::int64_t vocabulary) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return {};
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  std::vector<std::int32_t> ids;
  for (const nlohmann::json& id : list) {
    if (natural(id).value_or(UINT64_MAX) >= static_cast<std::uint64_t>(vocabulary)) {
      throw Error(
          fmt::format("{}: '{}' holds {}; expected ids below vocab_size, {}", where_, key, shown(id), vocabulary));
    }
    const auto token = id.get<std::int32_t>();
    if (std::ranges::find(ids, token) == ids.end()) ids.push_back(token);
  }
  return ids;
}

void ConfigReader::expect(const char* key, const nlohmann::json& value) {
  const nlohmann::json* found = find(key);
  if (found != nullptr && *found != value) fail(key, value.dump());
}

void ConfigReader::refuse_unread(bool harmless_too) const {
  for (const auto& [key, value] : config_.items()) {
    if (read_.contains(key) || value.is_null()) continue;
    if (harmless_too && std::ranges::find(kHarmless, key) != kHarmless.end()) continue;
    throw Error(
        fmt::format("{}: {} is not known to heed and may change what the model computes", where_, in_quotes(key)));
  }
}

}  // namespace heed::convert
