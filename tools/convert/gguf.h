#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/source_file.h"

namespace heed::convert {

/// A metadata value: GGUF's integers widened to 64 bits, its floats to double, its arrays by kind of element.
using GgufValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  std::uint32_t type = 0;    // ggml's number
  Shape shape;               // outermost first, the reverse of the file's order
  std::uint64_t offset = 0;  // in the file
};

/// The structure of a GGUF file, version 2 or 3, little-endian; nothing of any model.
/// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
struct Gguf {
  std::uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensor> tensors;

  /// Throws Error for anything that is not such a file; sizes are compared with the file's before memory is taken.
  /// Does not look at the tensors' types.
  static Gguf read(const SourceFile& file);

  /// Typed access. `find_*` return nullptr or nothing when the key is absent; all throw Error naming the key when its
  /// value has another type or, for `find_size`, does not lie in [0, 2^31 - 1].
  bool has(std::string_view key) const { return metadata.find(key) != metadata.end(); }
  const std::string* find_text(std::string_view key) const;
  const std::vector<std::string>* find_texts(std::string_view key) const;
  std::optional<std::int64_t> find_size(std::string_view key) const;
  std::optional<double> find_real(std::string_view key) const;
  std::optional<bool> find_boolean(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> find_integers(std::string_view key) const;
  std::optional<std::vector<double>> find_reals(std::string_view key) const;
};

bool is_gguf(const SourceFile& file);

struct GgufPart {
  std::shared_ptr<const SourceFile> file;
  Gguf gguf;
};
/// The files of the model of which `file` is one, in order; the first has all metadata. Others are looked for beside
/// it, by its name. Throws Error naming the one that is missing, or does not belong to the others.
std::vector<GgufPart> read_gguf_parts(const std::shared_ptr<const SourceFile>& file);

/// A GGUF file of one of the architectures in gguf_architectures.cpp, or any of several that hold such a model. Tensor
/// types F32, F16, BF16 and those of graph/quantised.h. `context`: the longest text that the user asks for
/// (rope_scaling.h), 0: none is asked for. Throws Error naming the metadata key, tensor or type that heed does not
/// understand; only keys known not to change what the model computes are passed over.
Checkpoint read_gguf(const std::shared_ptr<const SourceFile>& file, std::int64_t context = 0);

/// The tokenizer of a GGUF file: "llama" (SentencePiece BPE by score), "gpt2" (byte-level BPE by merges), "t5"
/// (SentencePiece's unigram) and "bert" (WordPiece). Sets `checkpoint.tokenizer`, `end_tokens` and `notes`.
/// `vocabulary` is the number of rows of the embedding.
void read_gguf_tokenizer(const Gguf& gguf, std::int64_t vocabulary, Checkpoint& checkpoint);

}  // namespace heed::convert
