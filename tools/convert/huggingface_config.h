#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace heed::convert {

/// What config.json (of transformers 4 or 5) and generation_config.json of a Hugging Face folder say, in heed's terms.
struct HuggingFaceConfig {
  std::string family;                                    // "llama", "gpt2"
  nlohmann::json parameters = nlohmann::json::object();  // models/llama.h, models/gpt2.h
  bool tied = false;                                     // the embedding serves as output matrix
  bool attention_bias = false;                           // Llama only: q, k, v and output have biases
  bool ffn_bias = false;                                 // Llama only: gate, up and down have biases
  std::vector<float> rope_factors;                       // [rope_dims/2]; empty without scaling
  std::vector<std::int32_t> end_tokens;
};

/// Architectures LlamaForCausalLM, MistralForCausalLM and GPT2LMHeadModel. `generation_config` may be null. Throws
/// Error naming the key of config.json that is missing, out of range or not known to leave the computation as it is.
HuggingFaceConfig read_huggingface_config(const nlohmann::json& config, const nlohmann::json& generation_config);

}  // namespace heed::convert
