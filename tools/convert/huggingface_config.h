#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed::convert {

/// How a tensor of a Hugging Face model holds what the recipe has under one name, or several.
enum class Packing : std::uint8_t {
  One,
  Transposed,       // a matrix as [in, out]: GPT-2's Conv1D
  TransposedThree,  // three such beside each other: queries, keys and values
  Three,            // rows of all queries, then of all keys, then of all values
  ThreeByGroup,     // for each key/value head the rows of its queries, of its key and of its value
  GateUp,           // rows of the gate, then of what it opens
  SharedGateUp,     // the same of a shared expert
  Expert,           // of one expert, whose number stands in the name at "*"
  Experts,          // of all experts, one after the other; may lack ".weight"
  ExpertsGateUp,    // likewise, of each expert what GateUp has
};

/// A name in a Hugging Face model, without .weight and .bias in a layer, and the recipe's (models/decoder.h). Packed
/// ones stand for "attn_qkv", for "ffn_gate_up", and for
/// "ffn_gate_up_exps".
struct TensorName {
  std::string_view from;
  std::string_view to;
  Packing packing = Packing::One;
};

struct HuggingFaceFamily;

/// What config.json (of transformers 4 or 5) and generation_config.json of a Hugging Face folder say, in heed's terms.
struct HuggingFaceConfig {
  const HuggingFaceFamily* family = nullptr;
  nlohmann::json parameters = nlohmann::json::object();  // models/decoder.h
  bool tied = false;                                     // the embedding serves as output matrix
  std::set<std::string, std::less<>> biased;             // matrices of a layer that have biases, in the recipe's names
  std::optional<bool> output_biased{};                   // whether the output matrix has one; nothing: as it comes
  double norm_offset = 0;                                // added to the weights of norms
  bool norms_have_biases = true;                         // where they are layer norms
  bool norms_have_weights = true;                        // those before attention, feed-forward and output; else ones
  std::int64_t skipped_positions = 0;                    // first rows of the position table that no token has
  std::vector<float> alibi;         // [context, heads], where slopes alone do not say what a key's position adds
  std::vector<float> rope_factors;  // [rope_dims/2]; empty without scaling
  /// The longest text that the user asks for; 0: none is asked for. Set before it is read, and for models alone whose
  /// rotary positions depend on it.
  std::int64_t wanted_context = 0;
  bool context_matters = false;    // whether `wanted_context` was looked at
  std::vector<std::string> notes;  // for the user
  std::vector<std::int32_t> end_tokens;
};

class ConfigReader;

/// Models whose config.json and tensors are read alike. A family is a row of the table in huggingface_families.cpp.
struct HuggingFaceFamily {
  std::string_view architecture;  // in config.json
  std::string_view name;          // heed's, for people
  bool tied;                      // the output matrix to the embedding, where config.json does not say it
  std::string_view prefix;        // before all names but the output's; may be missing as a whole
  std::string_view layers;        // what stands before a layer's number
  std::span<const TensorName> layer;
  std::span<const TensorName> outer;
  /// Names of buffers of a layer that transformers computes itself: causal masks, rotary frequencies.
  std::span<const std::string_view> buffers;
  void (*read)(ConfigReader& config, HuggingFaceConfig& result);
};

std::span<const HuggingFaceFamily> huggingface_families();

/// Throws Error naming the key of config.json that is missing, out of range or not known to leave the computation as it
/// is, and the architectures that there are. `generation_config` may be null; `context`:
/// HuggingFaceConfig::wanted_context.
HuggingFaceConfig read_huggingface_config(const nlohmann::json& config, const nlohmann::json& generation_config,
                                          std::int64_t context = 0);

// What the families share.

/// The keys of config.json that say sizes; null where a family has none.
struct SizeKeys {
  const char* width = "hidden_size";
  const char* layers = "num_hidden_layers";
  const char* heads = "num_attention_heads";
  const char* kv_heads = "num_key_value_heads";
  const char* ffn_width = "intermediate_size";
  bool ffn_is_named = true;  // or four times the width, where it is not
  const char* context = "max_position_embeddings";
  const char* norm_eps = "rms_norm_eps";
  const char* activation = "hidden_act";
  const char* activation_if_missing = "silu";
};
void read_sizes(ConfigReader& config, const SizeKeys& keys, HuggingFaceConfig& result);

/// The keys of config.json that say what experts there are.
struct ExpertKeys {
  const char* experts = "num_experts";
  const char* used = "num_experts_per_tok";
  const char* width = "moe_intermediate_size";
  const char* shared_width = nullptr;
  /// Whether weights are normalised is said by "norm_topk_prob", which is false where it is missing; else they are.
  bool may_normalise = true;
  bool jitter_is_threshold = false;  // a SparseMixer chooses, and "router_jitter_noise" says what is near
  bool some_layers = false;          // "decoder_sparse_step" and "mlp_only_layers" say which layers have experts
};
void read_experts(ConfigReader& config, const ExpertKeys& keys, HuggingFaceConfig& result);

/// What transformers takes where a config does not say it.
struct RopeDefaults {
  /// The share of a head that turns; without it whole heads turn, and no config may say else.
  std::optional<double> partial{};
  double base = 10000;
  const char* older_base_key = nullptr;  // another name of rope_theta
  bool has_scales = false;            // "longrope" has factors of its own of what turns, short_mscale and long_mscale
  std::int64_t original_context = 0;  // where "original_max_position_embeddings" of the config itself counts
};

/// Rotary positions: transformers 5 keeps all in "rope_parameters"; 4 has "rope_theta" and "rope_scaling".
void read_rope(ConfigReader& config, HuggingFaceConfig& result, const RopeDefaults& defaults = {});

/// The window of each layer, as "layer_types" says or, where it is missing, `slides(layer)`.
void read_windows(ConfigReader& config, HuggingFaceConfig& result, std::int64_t window,
                  const std::function<bool(std::int64_t)>& slides);
/// The same window in all layers, "sliding_window", or none. A "layer_types" that says else is refused: transformers
/// does not look at it in such families.
void read_one_window(ConfigReader& config, HuggingFaceConfig& result);

}  // namespace heed::convert
