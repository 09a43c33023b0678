#include "tools/convert/translation_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "heed/error.h"
#include "tools/convert/convert.h"

namespace heed::convert {

namespace {

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

bool is_t5(TranslationFamily family) { return family == TranslationFamily::T5 || family == TranslationFamily::UMT5; }

const Pairs kBartLayer = {{"self_attn_layer_norm", "attn_norm"},
                          {"self_attn.q_proj", "attn_q"},
                          {"self_attn.k_proj", "attn_k"},
                          {"self_attn.v_proj", "attn_v"},
                          {"self_attn.out_proj", "attn_output"},
                          {"final_layer_norm", "ffn_norm"},
                          {"fc1", "ffn_up"},
                          {"fc2", "ffn_down"}};
const Pairs kBartCross = {{"encoder_attn_layer_norm", "cross_norm"},
                          {"encoder_attn.q_proj", "cross_q"},
                          {"encoder_attn.k_proj", "cross_k"},
                          {"encoder_attn.v_proj", "cross_v"},
                          {"encoder_attn.out_proj", "cross_output"}};

void add_bart_names(const TranslationConfig& config, const std::string& prefix, NameTable& names) {
  const auto add = [&](const std::string& in_file, const std::string& name) { names.add(prefix + in_file, name); };
  for (const std::string side : {"encoder", "decoder"}) {
    const auto layers = config.parameters[side]["layers"].get<std::int64_t>();
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const auto add_layer = [&](const Pairs& pairs) {
        for (const auto& pair : pairs) {
          for (const char* part : {"weight", "bias"}) {
            add(fmt::format("{}.layers.{}.{}.{}", side, layer, pair.first, part),
                fmt::format("{}.blk.{}.{}.{}", side, layer, pair.second, part));
          }
        }
      };
      add_layer(kBartLayer);
      if (side == "decoder") add_layer(kBartCross);
    }
    for (const char* part : {".weight", ".bias"}) {
      if (config.parameters["embedding_norm"].get<bool>()) {
        add(side + ".layernorm_embedding" + part, side + ".embd_norm" + part);
      }
      if (config.parameters[side]["final_norm"].get<bool>()) {
        add(side + ".layer_norm" + part, side + ".output_norm" + part);
      }
    }
    const std::string role = side == "encoder" ? "source" : "target";
    add(side + ".embed_tokens.weight", role + "_embd.weight");
    if (config.family != TranslationFamily::M2M100) {
      add(side + ".embed_positions.weight", role + "_position.weight");
    }
  }
  add("shared.weight", "token_embd.weight");
  names.add("lm_head.weight", "output.weight");
  names.add("final_logits_bias", "output.bias");
}

void add_t5_names(const TranslationConfig& config, NameTable& names) {
  const bool gated = config.parameters["gated"].get<bool>();
  for (const std::string side : {"encoder", "decoder"}) {
    const bool decoder = side == "decoder";
    const auto layers = config.parameters[side]["layers"].get<std::int64_t>();
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const auto add = [&](int part, const std::string& in_file, const std::string& name) {
        names.add(fmt::format("{}.block.{}.layer.{}.{}.weight", side, layer, part, in_file),
                  fmt::format("{}.blk.{}.{}.weight", side, layer, name));
      };
      const auto add_attention = [&](int part, const std::string& in_file, const std::string& name) {
        add(part, "layer_norm", name + "_norm");
        for (const std::string matrix : {"q", "k", "v"}) add(part, in_file + "." + matrix, name + "_" + matrix);
        add(part, in_file + ".o", name + "_output");
      };
      add_attention(0, "SelfAttention", "attn");
      if (decoder) add_attention(1, "EncDecAttention", "cross");
      const int last = decoder ? 2 : 1;
      add(last, "layer_norm", "ffn_norm");
      if (gated) add(last, "DenseReluDense.wi_0", "ffn_gate");
      add(last, gated ? "DenseReluDense.wi_1" : "DenseReluDense.wi", "ffn_up");
      add(last, "DenseReluDense.wo", "ffn_down");
      if (config.family == TranslationFamily::UMT5) {
        add(0, "SelfAttention.relative_attention_bias", "relative");
      } else if (layer == 0) {
        names.add(fmt::format("{}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", side),
                  side + ".relative.weight");
      }
    }
    names.add(side + ".final_layer_norm.weight", side + ".output_norm.weight");
    names.add(side + ".embed_tokens.weight", (decoder ? "target" : "source") + std::string("_embd.weight"));
  }
  names.add("shared.weight", "token_embd.weight");
  names.add("lm_head.weight", "output.weight");
}

bool all_zero(const SourceTensor& tensor) {
  return std::ranges::all_of(tensor_values(tensor), [](float value) { return value == 0; });
}

/// Positions that stand in the file; BART's and mBART's begin with two rows that no position has.
void cut_learned_positions(const TranslationConfig& config, Checkpoint& checkpoint) {
  const bool cut = config.family == TranslationFamily::Bart || config.family == TranslationFamily::MBart;
  if (!cut) return;
  const auto context = config.parameters["context"].get<std::int64_t>();
  const Shape expected = {context + 2, config.parameters["width"].get<std::int64_t>()};
  for (SourceTensor& tensor : checkpoint.tensors) {
    if (tensor.name != "source_position.weight" && tensor.name != "target_position.weight") continue;
    if (tensor.shape != expected) {
      throw Error(fmt::format("tensor '{}' has shape {}, but config.json implies {}", tensor.shown_name(),
                              to_string(tensor.shape), to_string(expected)));
    }
    tensor = rows_of(tensor, tensor.name, 2, context);
  }
}

/// Positions that the model computes, unless the file holds them.
void add_computed_positions(const TranslationConfig& config, Checkpoint& checkpoint) {
  const bool marian = config.family == TranslationFamily::Marian;
  if (!marian && config.family != TranslationFamily::M2M100) return;
  const bool has_own = std::ranges::any_of(checkpoint.tensors, [](const SourceTensor& tensor) {
    return tensor.name == "source_position.weight" || tensor.name == "target_position.weight";
  });
  if (has_own) return;
  // fairseq counts positions from the padding token's id, 1, which has none, on.
  checkpoint.tensors.push_back(sinusoidal_positions("position_embd.weight",
                                                    marian ? SinusoidLayout::Halves : SinusoidLayout::HalvesM2M,
                                                    config.parameters["context"].get<std::int64_t>(),
                                                    config.parameters["width"].get<std::int64_t>(), marian ? 0 : 2));
}

}  // namespace

bool is_translation_buffer(TranslationFamily family, std::string_view name) {
  if (name.starts_with("model.")) name.remove_prefix(6);
  if (is_t5(family)) {
    // Read by early versions, used by none.
    return name == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
  }
  for (const std::string side : {"encoder", "decoder"}) {
    if (name == side + ".version" || name == side + ".embed_positions._float_tensor") return true;
    if (family == TranslationFamily::M2M100 && name.starts_with(side + ".embed_positions.weight")) return true;
  }
  return false;
}

void map_translation_tensors(const TranslationConfig& config, std::vector<SourceTensor> tensors,
                             Checkpoint& checkpoint) {
  const auto names = std::make_shared<NameTable>();
  if (is_t5(config.family)) {
    add_t5_names(config, *names);
  } else {
    const bool has_prefix =
        std::ranges::any_of(tensors, [](const SourceTensor& tensor) { return tensor.name.starts_with("model."); });
    add_bart_names(config, has_prefix ? "model." : "", *names);
  }
  checkpoint.name_in_file = [names](const std::string& name) { return names->in_file(name); };
  for (SourceTensor& tensor : tensors) {
    const std::string* name = names->find(tensor.name);
    if (name == nullptr) {
      throw Error(fmt::format("tensor '{}' is not known to heed and may change what the model computes", tensor.name));
    }
    tensor.in_file = std::exchange(tensor.name, *name);
    if (tensor.name == "output.bias") {
      const Shape expected = {1, config.parameters["vocabulary"].get<std::int64_t>()};
      if (tensor.shape != expected) {
        throw Error(fmt::format("tensor '{}' has shape {}, but config.json implies {}", tensor.in_file,
                                to_string(tensor.shape), to_string(expected)));
      }
      if (all_zero(tensor)) continue;
      tensor.shape = {expected[1]};
    }
    if (tensor.name == "decoder.output_norm.weight" && config.scale_output) {
      const double factor = 1 / std::sqrt(config.parameters["width"].get<double>());
      SourceTensor scaled = make_scaled_tensor(tensor.name, tensor, {factor});
      scaled.in_file = tensor.in_file;
      tensor = std::move(scaled);
    }
    checkpoint.tensors.push_back(std::move(tensor));
  }
  cut_learned_positions(config, checkpoint);
  add_computed_positions(config, checkpoint);
  resolve_embeddings({config.shared, config.tied}, checkpoint);
}

}  // namespace heed::convert
