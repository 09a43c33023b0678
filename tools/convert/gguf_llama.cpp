// GGUF files of architecture "llama": metadata and tensors to a Checkpoint.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "graph/quantised.h"
#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/gguf.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

/// Keys that describe the file and its making and change nothing that the model computes.
constexpr auto kHarmlessPrefixes = std::to_array<std::string_view>(
    {"general.", "quantize.", "mradermacher.", "llama.tensor_data_layout", "llama.rope.scaling.original_context_length",
     "llama.rope.scaling.finetuned", "tokenizer.chat_template", "tokenizer.huggingface.json", "split.no",
     "split.tensors.count"});

/// Keys that this file reads; those of the tokenizer are checked in gguf_tokenizer.cpp.
constexpr auto kArchitectureKeys = std::to_array<std::string_view>(
    {"llama.context_length", "llama.embedding_length", "llama.block_count", "llama.feed_forward_length",
     "llama.attention.head_count", "llama.attention.head_count_kv", "llama.attention.layer_norm_rms_epsilon",
     "llama.attention.key_length", "llama.attention.value_length", "llama.attention.causal",
     "llama.rope.dimension_count", "llama.rope.freq_base", "llama.rope.scaling.type", "llama.rope.scaling.factor",
     "llama.rope.scale_linear", "llama.vocab_size", "llama.expert_count", "llama.expert_used_count", "split.count"});

/// A type's name as ggml's users know it.
std::string in_capitals(std::string_view name) {
  std::string text(name);
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

struct GgmlType {
  std::uint32_t number;
  std::string_view name;
};
/// For messages about types that heed does not read.
constexpr auto kGgmlTypes = std::to_array<GgmlType>({{9, "Q8_1"},
                                                     {15, "Q8_K"},
                                                     {16, "IQ2_XXS"},
                                                     {17, "IQ2_XS"},
                                                     {18, "IQ3_XXS"},
                                                     {19, "IQ1_S"},
                                                     {21, "IQ3_S"},
                                                     {22, "IQ2_S"},
                                                     {23, "IQ4_XS"},
                                                     {24, "I8"},
                                                     {25, "I16"},
                                                     {26, "I32"},
                                                     {27, "I64"},
                                                     {28, "F64"},
                                                     {29, "IQ1_M"},
                                                     {34, "TQ1_0"},
                                                     {35, "TQ2_0"},
                                                     {39, "MXFP4"}});

DType dtype_of(const SourceFile& file, const GgufTensor& tensor) {
  switch (tensor.type) {
    case 0:
      return DType::F32;
    case 1:
      return DType::F16;
    case 30:
      return DType::BF16;
    default:
      break;
  }
  const auto quantised = std::ranges::find(quantised_types(), tensor.type, &QuantisedType::ggml_type);
  if (quantised != quantised_types().end()) {
    if (tensor.shape.back() % quantised->block_elements != 0) {
      throw Error(fmt::format(
          "{}: tensor '{}' has ggml type {} and rows of {} elements, which is not a multiple of {}; "
          "the file is damaged",
          file.name(), tensor.name, in_capitals(quantised->name), tensor.shape.back(), quantised->block_elements));
    }
    return quantised->dtype;
  }
  const auto* known = std::ranges::find(kGgmlTypes, tensor.type, &GgmlType::number);
  std::string read;
  for (const DType type : matrix_types()) read += (read.empty() ? "" : ", ") + in_capitals(dtype_name(type));
  throw Error(fmt::format("{}: tensor '{}' has ggml type {}; heed reads {}; quantise the model to one of them",
                          file.name(), tensor.name,
                          known == kGgmlTypes.end() ? std::to_string(tensor.type) : std::string(known->name), read));
}

void refuse_unknown_metadata(const Gguf& gguf) {
  for (const auto& [key, value] : gguf.metadata) {
    const auto is_prefix = [&name = key](std::string_view prefix) { return name.starts_with(prefix); };
    if (std::ranges::any_of(kHarmlessPrefixes, is_prefix)) continue;
    if (std::ranges::find(kArchitectureKeys, key) != kArchitectureKeys.end() || key.starts_with("tokenizer.ggml."))
      continue;
    throw Error(fmt::format("GGUF metadata '{}' is not known to heed and may change what the model computes", key));
  }
}

std::int64_t required_size(const Gguf& gguf, std::string_view key) {
  const auto size = gguf.find_size(key);
  if (!size) throw Error(fmt::format("GGUF metadata '{}' is missing", key));
  return *size;
}

/// A number of heads: one for all layers, or an array in which all are equal.
std::optional<std::int64_t> head_count(const Gguf& gguf, std::string_view key) {
  const auto found = gguf.metadata.find(key);
  if (found == gguf.metadata.end() || !std::holds_alternative<std::vector<std::int64_t>>(found->second)) {
    return gguf.find_size(key);
  }
  const auto& counts = std::get<std::vector<std::int64_t>>(found->second);
  if (counts.empty() || std::ranges::any_of(counts, [&](std::int64_t count) { return count != counts.front(); })) {
    throw Error(fmt::format("GGUF metadata '{}' differs from layer to layer, which heed does not support", key));
  }
  return counts.front();
}

void expect_value(std::string_view key, bool fits, std::string_view expected) {
  if (!fits)
    throw Error(fmt::format("GGUF metadata '{}' has a value that heed does not support; expected {}", key, expected));
}

/// The factor by which positions are divided; 1 without scaling.
double linear_scaling(const Gguf& gguf) {
  const std::string* type = gguf.find_text("llama.rope.scaling.type");
  if (type != nullptr && *type != "none" && *type != "linear") {
    throw Error(fmt::format("GGUF metadata 'llama.rope.scaling.type' is {}; heed supports \"none\" and \"linear\"",
                            in_quotes(*type)));
  }
  if (type != nullptr && *type == "none") return 1;
  const auto factor = gguf.find_real("llama.rope.scaling.factor");
  const auto older = gguf.find_real("llama.rope.scale_linear");
  if (factor && older && *factor != *older) {
    throw Error("GGUF metadata 'llama.rope.scaling.factor' and 'llama.rope.scale_linear' contradict each other");
  }
  const double scale = factor.value_or(older.value_or(1));
  // llama.cpp takes 0 for "not set".
  if (scale == 0) return 1;
  if (!std::isfinite(scale) || scale < 1) {
    throw Error(fmt::format("GGUF metadata 'llama.rope.scaling.factor' is {}; expected at least 1", scale));
  }
  return scale;
}

nlohmann::json llama_parameters(const Gguf& gguf, std::int64_t vocabulary) {
  const std::int64_t width = required_size(gguf, "llama.embedding_length");
  const std::int64_t heads = head_count(gguf, "llama.attention.head_count").value_or(0);
  if (heads < 1) throw Error("GGUF metadata 'llama.attention.head_count' is missing or not above 0");
  const std::int64_t kv_heads = head_count(gguf, "llama.attention.head_count_kv").value_or(heads);
  const auto key_length = gguf.find_size("llama.attention.key_length");
  if (!key_length && width % heads != 0) {
    throw Error(fmt::format("GGUF metadata: {} heads do not divide llama.embedding_length, {}", heads, width));
  }
  const std::int64_t head_dim = key_length.value_or(width / heads);
  if (gguf.find_size("llama.attention.value_length").value_or(head_dim) != head_dim) {
    throw Error(
        "GGUF metadata 'llama.attention.value_length' differs from the key length, which heed does not support");
  }
  const auto eps = gguf.find_real("llama.attention.layer_norm_rms_epsilon");
  if (!eps) throw Error("GGUF metadata 'llama.attention.layer_norm_rms_epsilon' is missing");
  expect_value("llama.attention.causal", gguf.find_boolean("llama.attention.causal").value_or(true), "true");
  expect_value("llama.expert_count", gguf.find_size("llama.expert_count").value_or(0) == 0, "0");
  expect_value("llama.expert_used_count", gguf.find_size("llama.expert_used_count").value_or(0) == 0, "0");
  if (gguf.find_size("llama.vocab_size").value_or(vocabulary) != vocabulary) {
    throw Error(fmt::format("tensor 'token_embd.weight' has {} rows, but llama.vocab_size is {}", vocabulary,
                            *gguf.find_size("llama.vocab_size")));
  }
  return {{"width", width},
          {"layers", required_size(gguf, "llama.block_count")},
          {"heads", heads},
          {"kv_heads", kv_heads},
          {"head_dim", head_dim},
          {"ffn_width", required_size(gguf, "llama.feed_forward_length")},
          {"vocabulary", vocabulary},
          {"context", required_size(gguf, "llama.context_length")},
          // Written as f32, meant as decimal: 9.999999747378752e-06 is 1e-05.
          {"norm_eps", std::stod(fmt::format("{}", static_cast<float>(*eps)))},
          {"rope_base", gguf.find_real("llama.rope.freq_base").value_or(10000)},
          {"rope_layout", "interleaved"},
          {"rope_dims", gguf.find_size("llama.rope.dimension_count").value_or(head_dim)},
          {"activation", "silu"}};
}

SourceTensor source_tensor(const std::shared_ptr<const SourceFile>& file, const GgufTensor& tensor) {
  const DType dtype = dtype_of(*file, tensor);
  const std::uint64_t size = byte_size(dtype, tensor.shape);
  if (size > file->size() - tensor.offset) {
    throw Error(fmt::format("{}: tensor '{}' needs {} bytes from offset {}, but the file has only {}; it is truncated",
                            file->name(), tensor.name, size, tensor.offset, file->size()));
  }
  return {tensor.name, dtype, tensor.shape,
          [file, offset = tensor.offset, size] { return file->read_bytes(offset, size); }};
}

}  // namespace

Checkpoint read_gguf(const std::shared_ptr<const SourceFile>& file) {
  const Gguf gguf = Gguf::read(*file);
  const std::string* architecture = gguf.find_text("general.architecture");
  if (architecture == nullptr) throw Error(fmt::format("{}: has no general.architecture", file->name()));
  if (*architecture != "llama") {
    throw Error(fmt::format("{}: general.architecture is {}; heed reads GGUF files of architecture \"llama\"",
                            file->name(), in_quotes(*architecture)));
  }
  if (const std::string* type = gguf.find_text("general.type"); type != nullptr && *type != "model") {
    throw Error(
        fmt::format("{}: general.type is {}; only a \"model\" can be converted", file->name(), in_quotes(*type)));
  }
  if (gguf.find_size("split.count").value_or(1) > 1) {
    throw Error(fmt::format("{}: is one part of a model in several files (split.count); merge them into one first",
                            file->name()));
  }
  refuse_unknown_metadata(gguf);

  Checkpoint checkpoint;
  checkpoint.family = "decoder";
  checkpoint.architecture = "llama";
  checkpoint.source = "gguf";
  if (const std::string* name = gguf.find_text("general.name")) checkpoint.name = valid_utf8(*name);
  std::int64_t vocabulary = 0;
  bool has_factors = false;
  for (const GgufTensor& tensor : gguf.tensors) {
    if (tensor.name == "token_embd.weight") vocabulary = tensor.shape.front();
    if (tensor.name == "rope_freqs.weight") has_factors = true;
    checkpoint.tensors.push_back(source_tensor(file, tensor));
  }
  if (vocabulary == 0) throw Error(fmt::format("{}: has no tensor 'token_embd.weight'", file->name()));
  checkpoint.parameters = llama_parameters(gguf, vocabulary);

  if (const double scale = linear_scaling(gguf); scale != 1) {
    if (has_factors) {
      throw Error(
          "GGUF metadata 'llama.rope.scaling.factor' and tensor 'rope_freqs.weight' together are not supported");
    }
    // Dividing positions by the factor is dividing every angle by it.
    const auto pairs = checkpoint.parameters["rope_dims"].get<std::int64_t>() / 2;
    if (pairs < 1 || pairs > (1 << 20)) throw Error("GGUF metadata 'llama.rope.dimension_count' is out of range");
    const std::vector<float> factors(static_cast<std::size_t>(pairs), static_cast<float>(scale));
    checkpoint.tensors.push_back(make_f32_tensor("rope_freqs.weight", {pairs}, factors));
  }
  read_gguf_tokenizer(gguf, vocabulary, checkpoint);
  return checkpoint;
}

}  // namespace heed::convert
