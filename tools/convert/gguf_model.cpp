// GGUF files of text models: metadata and tensors to a Checkpoint.
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
#include "tools/convert/gguf_architectures.h"
#include "tools/convert/gguf_rope.h"
#include "tools/convert/name_table.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

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

/// Gives the tensors of a model the names that the recipe has for them (models/decoder.h), which are llama.cpp's but
/// for those that hold several matrices in one.
class GgufTensorMapper {
 public:
  GgufTensorMapper(const GgufArchitecture& architecture, Checkpoint& checkpoint)
      : architecture_(architecture), checkpoint_(checkpoint) {}

  void map() {
    std::vector<SourceTensor> tensors = std::move(checkpoint_.tensors);
    checkpoint_.tensors.clear();
    for (const SourceTensor& tensor : tensors) {
      if (tensor.name.ends_with(".attn_norm_2.weight")) has_second_norm_ = true;
    }
    for (SourceTensor& tensor : tensors) add(std::move(tensor));
    checkpoint_.name_in_file = [names = std::make_shared<NameTable>(std::move(names_))](const std::string& name) {
      return names->in_file(name);
    };
  }

 private:
  std::int64_t size(const char* key) const { return checkpoint_.parameters[key].get<std::int64_t>(); }

  void push(SourceTensor tensor, const std::string& in_file) {
    names_.add(in_file, tensor.name);
    tensor.in_file = in_file;
    checkpoint_.tensors.push_back(std::move(tensor));
  }

  void add(SourceTensor tensor) {
    const std::string in_file = tensor.name;
    const auto dot = in_file.rfind('.');
    const std::string stem = in_file.substr(0, dot);
    const std::string kind = dot == std::string::npos ? "" : in_file.substr(dot);
    const auto renamed = [&](std::string_view from, std::string_view to) {
      return fmt::format("{}{}{}", stem.substr(0, stem.size() - from.size()), to, kind);
    };
    if (stem.ends_with(".attn_qkv")) {
      const std::int64_t queries = size("heads") * size("head_dim");
      const std::int64_t keys = size("kv_heads") * size("head_dim");
      return cut(tensor, {{renamed("attn_qkv", "attn_q"), queries},
                          {renamed("attn_qkv", "attn_k"), keys},
                          {renamed("attn_qkv", "attn_v"), keys}});
    }
    if (architecture_.gate_in_up && stem.ends_with(".ffn_up")) {
      const std::int64_t width = size("ffn_width");
      return cut(tensor, {{renamed("ffn_up", "ffn_gate"), width}, {renamed("ffn_up", "ffn_up"), width}});
    }
    // The sigmoid gate of a shared expert is a matrix of one row.
    if (stem.ends_with(".ffn_gate_inp_shexp") && tensor.shape.size() == 1) {
      tensor.shape.insert(tensor.shape.begin(), 1);
    }
    // Falcon with two norms calls attn_norm the one before the feed-forward.
    if (has_second_norm_ && stem.ends_with(".attn_norm")) {
      tensor.name = renamed("attn_norm", "ffn_norm");
    } else if (has_second_norm_ && stem.ends_with(".attn_norm_2")) {
      tensor.name = renamed("attn_norm_2", "attn_norm");
    }
    push(std::move(tensor), in_file);
  }

  struct RowPart {
    std::string name;
    std::int64_t rows;
  };
  void cut(const SourceTensor& tensor, const std::vector<RowPart>& parts) {
    std::int64_t rows = 0;
    for (const RowPart& part : parts) rows += part.rows;
    if (tensor.shape.front() != rows) {
      throw Error(fmt::format("tensor '{}' has {} rows, but the hyperparameters imply {}", tensor.name,
                              tensor.shape.front(), rows));
    }
    std::int64_t first = 0;
    for (const RowPart& part : parts) {
      push(rows_of(tensor, part.name, first, part.rows), tensor.name);
      first += part.rows;
    }
  }

  const GgufArchitecture& architecture_;
  Checkpoint& checkpoint_;
  NameTable names_;
  bool has_second_norm_ = false;
};

const GgufArchitecture& gguf_architecture_of(const SourceFile& file, const Gguf& gguf) {
  const std::string* name = gguf.find_text("general.architecture");
  if (name == nullptr) throw Error(fmt::format("{}: has no general.architecture", file.name()));
  const GgufArchitecture* architecture = find_gguf_architecture(*name);
  if (architecture == nullptr) {
    throw Error(fmt::format("{}: general.architecture is {}; heed reads GGUF files of {}", file.name(),
                            in_quotes(*name), known_gguf_architectures()));
  }
  if (const std::string* type = gguf.find_text("general.type"); type != nullptr && *type != "model") {
    throw Error(
        fmt::format("{}: general.type is {}; only a \"model\" can be converted", file.name(), in_quotes(*type)));
  }
  return *architecture;
}

}  // namespace

Checkpoint read_gguf(const std::shared_ptr<const SourceFile>& file, std::int64_t context) {
  const std::vector<GgufPart> parts = read_gguf_parts(file);
  const Gguf& gguf = parts.front().gguf;
  const GgufArchitecture& architecture = gguf_architecture_of(*parts.front().file, gguf);

  Checkpoint checkpoint;
  checkpoint.family = "decoder";
  checkpoint.architecture = architecture.name;
  checkpoint.source = "gguf";
  if (const std::string* name = gguf.find_text("general.name")) checkpoint.name = valid_utf8(*name);
  std::int64_t vocabulary = 0;
  for (const GgufPart& part : parts) {
    for (const GgufTensor& tensor : part.gguf.tensors) {
      if (tensor.name == "token_embd.weight") vocabulary = tensor.shape.front();
      checkpoint.tensors.push_back(source_tensor(part.file, tensor));
    }
  }
  if (vocabulary == 0) throw Error(fmt::format("{}: has no tensor 'token_embd.weight'", file->name()));
  const auto has = [&](std::string_view name) {
    return std::ranges::find(checkpoint.tensors, name, &SourceTensor::name) != checkpoint.tensors.end();
  };
  GgufKeys keys(gguf, std::string(architecture.name));
  checkpoint.parameters = gguf_parameters(architecture, keys, has, vocabulary);
  read_gguf_rope(keys, architecture.rope_layout, context, checkpoint);
  if (architecture.longrope_scale > 0 && has("rope_freqs.weight"))
    checkpoint.parameters["rope_scale"] = architecture.longrope_scale;
  keys.refuse_unread();
  GgufTensorMapper(architecture, checkpoint).map();
  read_gguf_tokenizer(gguf, vocabulary, checkpoint);
  return checkpoint;
}

}  // namespace heed::convert
