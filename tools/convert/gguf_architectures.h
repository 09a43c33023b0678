#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "tools/convert/gguf_keys.h"

namespace heed::convert {

/// Whether the file has a tensor of this name.
using HasTensor = std::function<bool(std::string_view name)>;

/// What a model of one of llama.cpp's architectures computes: what its files do not say stands here. A row of the table
/// in gguf_architectures.cpp; the words are those of models/decoder.h.
struct GgufArchitecture {
  std::string_view name;  // general.architecture
  std::string_view norm = "rms_norm";
  bool epsilon_of_rms_norm = false;  // layer norms whose epsilon the file calls one of RMS norms
  std::string_view norm_place = "pre";
  std::string_view query_norm = "none";
  std::string_view feed_forward = "gated";
  std::string_view activation = "silu";
  std::string_view rope_layout = "half";  // empty: no rotary positions
  bool gate_in_up = false;                // ffn_up holds the rows of the gate before its own
  /// How the chosen experts' weights are made (DecoderParameters::expert_softmax); empty: it has no experts.
  std::string_view expert_softmax = "";
  double expert_threshold = 0;  // with "near"
  /// The factor of what turns where rotary frequencies are those of longrope and the file says another; 0: the file's.
  double longrope_scale = 0;
  /// Changes and adds what only this architecture has; may be null.
  void (*read)(GgufKeys& keys, const HasTensor& has, nlohmann::json& parameters) = nullptr;
};

/// nullptr for one that heed does not know; `known_gguf_architectures` lists those it knows, for messages.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
std::string known_gguf_architectures();

/// The hyperparameters that the file names, as models/decoder.h has them, but for those of rotary positions.
/// `vocabulary`: rows of the embedding.
nlohmann::json gguf_parameters(const GgufArchitecture& architecture, GgufKeys& keys, const HasTensor& has,
                               std::int64_t vocabulary);

}  // namespace heed::convert
