#include "tools/convert/huggingface_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "file/model_file.h"
#include "graph/dtype.h"
#include "heed/error.h"
#include "tools/convert/convert.h"

namespace heed::convert {

namespace {

struct Renaming {
  std::string_view from;
  std::string_view to;
};
constexpr auto kLlamaLayer = std::to_array<Renaming>({{"input_layernorm", "attn_norm"},
                                                      {"self_attn.q_proj", "attn_q"},
                                                      {"self_attn.k_proj", "attn_k"},
                                                      {"self_attn.v_proj", "attn_v"},
                                                      {"self_attn.o_proj", "attn_output"},
                                                      {"post_attention_layernorm", "ffn_norm"},
                                                      {"mlp.gate_proj", "ffn_gate"},
                                                      {"mlp.up_proj", "ffn_up"},
                                                      {"mlp.down_proj", "ffn_down"}});
constexpr auto kLlamaOuter = std::to_array<Renaming>({{"model.embed_tokens.weight", "token_embd.weight"},
                                                      {"model.norm.weight", "output_norm.weight"},
                                                      {"lm_head.weight", "output.weight"}});
constexpr auto kGpt2Layer = std::to_array<Renaming>({{"ln_1", "attn_norm"},
                                                     {"attn.c_attn", "attn_qkv"},
                                                     {"attn.c_proj", "attn_output"},
                                                     {"ln_2", "ffn_norm"},
                                                     {"mlp.c_fc", "ffn_up"},
                                                     {"mlp.c_proj", "ffn_down"}});
constexpr auto kGpt2Outer = std::to_array<Renaming>({{"wte.weight", "token_embd.weight"},
                                                     {"wpe.weight", "position_embd.weight"},
                                                     {"ln_f.weight", "output_norm.weight"},
                                                     {"ln_f.bias", "output_norm.bias"},
                                                     {"lm_head.weight", "output.weight"}});

template <std::size_t N>
const Renaming* find(const std::array<Renaming, N>& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Renaming::from);
  return found == table.end() ? nullptr : &*found;
}

/// "PREFIX12.rest" -> {12, "rest"}.
struct LayerName {
  int layer;
  std::string_view rest;
};
std::optional<LayerName> layer_name(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(prefix.size());
  LayerName result = {};
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), result.layer);
  if (problem != std::errc() || result.layer < 0 || end == name.data() + name.size() || *end != '.') return {};
  if (name.front() == '0' && end != name.data() + 1) return {};  // "01" would be a second name of layer 1
  result.rest = name.substr(static_cast<std::size_t>(end - name.data()) + 1);
  return result;
}

std::string_view without_prefix(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

/// The name under which a layer's or outer tensor goes into the .heed file; nothing when it is not known.
template <std::size_t N, std::size_t M>
std::optional<std::string> rename(std::string_view name, std::string_view layer_prefix,
                                  const std::array<Renaming, N>& in_layer, const std::array<Renaming, M>& outer) {
  if (const Renaming* known = find(outer, name)) return std::string(known->to);
  const auto layer = layer_name(name, layer_prefix);
  if (!layer) return {};
  const auto dot = layer->rest.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view kind = layer->rest.substr(dot);
  const Renaming* known = find(in_layer, layer->rest.substr(0, dot));
  if (known == nullptr || (kind != ".weight" && kind != ".bias")) return {};
  return fmt::format("blk.{}.{}{}", layer->layer, known->to, kind);
}

/// The inverse, for messages: what the file calls a tensor of the recipe.
template <std::size_t N, std::size_t M>
std::string original_name(const std::string& name, std::string_view layer_prefix,
                          const std::array<Renaming, N>& in_layer, const std::array<Renaming, M>& outer) {
  const auto known = std::ranges::find(outer, name, &Renaming::to);
  if (known != outer.end()) return std::string(known->from);
  const auto layer = layer_name(name, "blk.");
  const auto dot = layer ? layer->rest.rfind('.') : std::string_view::npos;
  if (dot == std::string_view::npos) return name;
  std::string_view part = layer->rest.substr(0, dot);
  const bool has_parts = std::ranges::find(in_layer, part, &Renaming::to) == in_layer.end();
  if (has_parts) part = "attn_qkv";  // of which queries, keys and values are cut
  const auto inner = std::ranges::find(in_layer, part, &Renaming::to);
  if (inner == in_layer.end()) return name;
  return fmt::format("{}{}.{}{}", layer_prefix, layer->layer, inner->from, layer->rest.substr(dot));
}

[[noreturn]] void unknown_tensor(const std::string& name) {
  throw Error(fmt::format("tensor '{}' is not known to heed and may change what the model computes", name));
}

void expect_shape(const SourceTensor& tensor, const Shape& expected) {
  if (tensor.shape != expected) {
    throw Error(fmt::format("tensor '{}' has shape {}, but config.json implies {}", tensor.name,
                            to_string(tensor.shape), to_string(expected)));
  }
}

/// Conv1D: a matrix is [in, out], or three of them beside each other for queries, keys and values.
void add_conv1d(const SourceTensor& tensor, const std::string& name, std::int64_t in, std::int64_t out,
                Checkpoint& checkpoint) {
  const bool is_bias = name.ends_with(".bias");
  const auto split = name.find("attn_qkv");
  const std::int64_t parts = split == std::string::npos ? 1 : 3;
  expect_shape(tensor, is_bias ? Shape{parts * out} : Shape{in, parts * out});
  constexpr std::array<std::string_view, 3> kParts = {"attn_q", "attn_k", "attn_v"};
  for (std::int64_t i = 0; i < parts; ++i) {
    std::string part = name;
    if (parts == 3) part.replace(split, 8, kParts[static_cast<std::size_t>(i)]);
    checkpoint.tensors.push_back(is_bias ? rows_of(tensor, part, i * out, out)
                                         : transposed_columns(tensor, part, i * out, out));
    checkpoint.tensors.back().in_file = tensor.name;
  }
}

void map_gpt2(const HuggingFaceConfig& config, std::vector<SourceTensor> tensors, Checkpoint& checkpoint) {
  const auto width = config.parameters["width"].get<std::int64_t>();
  const auto ffn_width = config.parameters["ffn_width"].get<std::int64_t>();
  const bool has_prefix =
      std::ranges::any_of(tensors, [](const SourceTensor& tensor) { return tensor.name.starts_with("transformer."); });
  checkpoint.name_in_file = [has_prefix](const std::string& name) {
    const std::string original = original_name(name, "h.", kGpt2Layer, kGpt2Outer);
    return has_prefix && original != "lm_head.weight" ? "transformer." + original : original;
  };
  for (SourceTensor& tensor : tensors) {
    const auto name = rename(without_prefix(tensor.name, "transformer."), "h.", kGpt2Layer, kGpt2Outer);
    if (!name) unknown_tensor(tensor.name);
    if (name->find("attn_qkv") != std::string::npos || name->find("attn_output") != std::string::npos) {
      add_conv1d(tensor, *name, width, width, checkpoint);
    } else if (name->find("ffn_up") != std::string::npos) {
      add_conv1d(tensor, *name, width, ffn_width, checkpoint);
    } else if (name->find("ffn_down") != std::string::npos) {
      add_conv1d(tensor, *name, ffn_width, width, checkpoint);
    } else {
      tensor.in_file = tensor.name;
      tensor.name = *name;
      checkpoint.tensors.push_back(std::move(tensor));
    }
  }
}

void map_llama(const HuggingFaceConfig& config, std::vector<SourceTensor> tensors, Checkpoint& checkpoint) {
  std::set<std::string> names;
  checkpoint.name_in_file = [](const std::string& name) {
    return original_name(name, "model.layers.", kLlamaLayer, kLlamaOuter);
  };
  for (SourceTensor& tensor : tensors) {
    auto name = rename(tensor.name, "model.layers.", kLlamaLayer, kLlamaOuter);
    if (!name) unknown_tensor(tensor.name);
    if (name->ends_with(".bias")) {
      const bool expected = name->find(".ffn_") != std::string::npos ? config.ffn_bias : config.attention_bias;
      if (!expected) {
        throw Error(fmt::format("tensor '{}' exists, but config.json says there are no such biases", tensor.name));
      }
    }
    names.insert(*name);
    tensor.in_file = std::exchange(tensor.name, std::move(*name));
    checkpoint.tensors.push_back(std::move(tensor));
  }
  // The recipe takes biases as they come; here config.json says which there must be.
  const auto layers = std::min<std::int64_t>(config.parameters["layers"].get<std::int64_t>(), 10000);
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    for (const Renaming& matrix : kLlamaLayer) {
      if (matrix.to.ends_with("_norm")) continue;
      const bool expected = matrix.to.starts_with("ffn_") ? config.ffn_bias : config.attention_bias;
      if (expected && !names.contains(fmt::format("blk.{}.{}.bias", layer, matrix.to))) {
        throw Error(fmt::format("tensor 'model.layers.{}.{}.bias' is missing, but config.json says there is one", layer,
                                matrix.from));
      }
    }
  }
  if (!config.rope_factors.empty()) {
    checkpoint.tensors.push_back(make_f32_tensor(
        "rope_freqs.weight", {static_cast<std::int64_t>(config.rope_factors.size())}, config.rope_factors));
  }
}

/// A tied output matrix that the file holds all the same repeats the embedding, as a rule. Where it does not,
/// transformers ties nothing and computes with what the file says.
void resolve_tied_output(Checkpoint& checkpoint) {
  const auto output = std::ranges::find(checkpoint.tensors, "output.weight", &SourceTensor::name);
  const auto embedding = std::ranges::find(checkpoint.tensors, "token_embd.weight", &SourceTensor::name);
  if (output == checkpoint.tensors.end() || embedding == checkpoint.tensors.end()) return;
  if (same_values(*output, *embedding)) {
    checkpoint.tensors.erase(output);
    checkpoint.notes.push_back("'lm_head.weight' is left out: it repeats the embedding, to which config.json ties it");
  } else {
    checkpoint.notes.push_back(
        "config.json ties 'lm_head.weight' to the embedding, but 'lm_head.weight' holds other values than the "
        "embedding: they are used, as transformers does");
  }
}

}  // namespace

bool is_huggingface_buffer(std::string_view family, std::string_view name) {
  if (family == "gpt2") {
    const auto layer = layer_name(without_prefix(name, "transformer."), "h.");
    return layer && (layer->rest == "attn.bias" || layer->rest == "attn.masked_bias");
  }
  const auto layer = layer_name(name, "model.layers.");
  return layer && layer->rest == "self_attn.rotary_emb.inv_freq";
}

SourceTensor transposed_columns(const SourceTensor& matrix, std::string name, std::int64_t first, std::int64_t count) {
  const auto rows = static_cast<std::size_t>(matrix.shape.at(0));
  const auto columns = static_cast<std::size_t>(matrix.shape.at(1));
  const std::size_t bytes = dtype_info(matrix.dtype).block_bytes;
  const auto begin = static_cast<std::size_t>(first);
  const auto wanted = static_cast<std::size_t>(count);
  return {std::move(name), matrix.dtype, {count, matrix.shape[0]}, [=, read = matrix.read] {
            const std::vector<std::byte> from = read();
            std::vector<std::byte> to(rows * wanted * bytes);
            // Tiles, so that both sides stay in the cache.
            constexpr std::size_t kTile = 32;
            for (std::size_t r0 = 0; r0 < rows; r0 += kTile) {
              for (std::size_t c0 = 0; c0 < wanted; c0 += kTile) {
                for (std::size_t r = r0; r < std::min(r0 + kTile, rows); ++r) {
                  for (std::size_t c = c0; c < std::min(c0 + kTile, wanted); ++c) {
                    std::memcpy(&to[(c * rows + r) * bytes], &from[(r * columns + begin + c) * bytes], bytes);
                  }
                }
              }
            }
            return to;
          }};
}

void map_huggingface_tensors(const HuggingFaceConfig& config, std::vector<SourceTensor> tensors,
                             Checkpoint& checkpoint) {
  if (config.family == "gpt2") {
    map_gpt2(config, std::move(tensors), checkpoint);
  } else {
    map_llama(config, std::move(tensors), checkpoint);
  }
  if (config.tied) resolve_tied_output(checkpoint);
}

}  // namespace heed::convert
