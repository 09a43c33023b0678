#include "tools/convert/llama2c.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "graph/shape.h"
#include "heed/error.h"
#include "tokenizer/description.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

constexpr std::uint32_t kMagicNumber = 0x616b3432;  // "ak42"
constexpr std::uint64_t kVersion1HeaderBytes = 256;
constexpr TokenId kUnknown = 0, kBos = 1, kEos = 2;  // llama2.c knows no others

/// The header of both versions, in the file's order. Version 0 marks an output matrix of its own by a negative
/// vocabulary.
struct HeaderSizes {
  std::int64_t width, ffn_width, layers, heads, kv_heads, vocabulary, context;

  std::int64_t head_dim() const { return width / heads; }
  std::int64_t kv_width() const { return kv_heads * head_dim(); }
};

HeaderSizes read_sizes(SourceCursor& cursor) {
  const auto next = [&] { return std::int64_t{cursor.read<std::int32_t>("the header")}; };
  HeaderSizes sizes = {};
  for (std::int64_t* size : {&sizes.width, &sizes.ffn_width, &sizes.layers, &sizes.heads, &sizes.kv_heads,
                             &sizes.vocabulary, &sizes.context}) {
    *size = next();
  }
  return sizes;
}

/// What is wrong with the sizes; empty when they are plausible. `vocabulary` is already without its sign.
std::string complaint(const HeaderSizes& s) {
  constexpr std::int64_t kMostLayers = 10000;
  for (const auto& [name, size] : {std::pair{"dim", s.width},
                                   {"hidden_dim", s.ffn_width},
                                   {"n_layers", s.layers},
                                   {"n_heads", s.heads},
                                   {"n_kv_heads", s.kv_heads},
                                   {"vocab_size", s.vocabulary},
                                   {"seq_len", s.context}}) {
    if (size < 1) return fmt::format("{} is {}", name, size);
  }
  if (s.layers > kMostLayers) return fmt::format("n_layers is {}; expected at most {}", s.layers, kMostLayers);
  if (s.width % s.heads != 0) return fmt::format("dim {} is not a multiple of n_heads {}", s.width, s.heads);
  if (s.heads % s.kv_heads != 0)
    return fmt::format("n_heads {} is not a multiple of n_kv_heads {}", s.heads, s.kv_heads);
  if (s.head_dim() % 2 != 0)
    return fmt::format("dim / n_heads is {}; rotary positions need an even number", s.head_dim());
  return {};
}

/// Lays tensors out one behind the other, as llama2.c wrote them.
class Layout {
 public:
  Layout(std::shared_ptr<const SourceFile> file, std::uint64_t offset) : file_(std::move(file)), offset_(offset) {}

  void add(std::string name, Shape shape) {
    const std::uint64_t size = byte_size(DType::F32, shape);
    // A file that is too short is refused once all is laid out; until then only the offset grows. It cannot overflow:
    // there are at most 90,003 tensors of at most 2^42 bytes.
    if (offset_ + size <= file_->size()) {
      tensors_.push_back({std::move(name), DType::F32, std::move(shape),
                          [file = file_, offset = offset_, size] { return file->read_bytes(offset, size); }});
    }
    offset_ += size;
  }
  void skip(const Shape& shape) { offset_ += byte_size(DType::F32, shape); }

  /// The tensors, when they end where the file ends.
  std::vector<SourceTensor> finish() {
    if (offset_ != file_->size()) {
      throw Error(fmt::format("{}: has {} bytes, but a llama2.c model with the sizes in its header has {}; it is {}",
                              file_->name(), file_->size(), offset_,
                              offset_ > file_->size() ? "truncated" : "not such a model, or damaged"));
    }
    return std::move(tensors_);
  }

 private:
  std::shared_ptr<const SourceFile> file_;
  std::uint64_t offset_;
  std::vector<SourceTensor> tensors_;
};

struct LayerTensor {
  const char* name;
  Shape shape;
};

void add_layers(Layout& layout, const HeaderSizes& s, const LayerTensor& tensor) {
  for (std::int64_t layer = 0; layer < s.layers; ++layer) {
    layout.add(fmt::format("blk.{}.{}.weight", layer, tensor.name), tensor.shape);
  }
}

/// legacy_export and version1_export of llama2.c's export.py.
std::vector<SourceTensor> lay_out(const std::shared_ptr<const SourceFile>& file, std::uint64_t offset,
                                  const HeaderSizes& s, int version, bool tied) {
  const LayerTensor attention_norm = {"attn_norm", {s.width}};
  const LayerTensor ffn_norm = {"ffn_norm", {s.width}};
  const LayerTensor attention[] = {{"attn_q", {s.width, s.width}},
                                   {"attn_k", {s.kv_width(), s.width}},
                                   {"attn_v", {s.kv_width(), s.width}},
                                   {"attn_output", {s.width, s.width}}};
  const LayerTensor ffn[] = {
      {"ffn_gate", {s.ffn_width, s.width}}, {"ffn_down", {s.width, s.ffn_width}}, {"ffn_up", {s.ffn_width, s.width}}};
  Layout layout(file, offset);
  if (version == 0) {
    layout.add("token_embd.weight", {s.vocabulary, s.width});
    add_layers(layout, s, attention_norm);
    for (const LayerTensor& tensor : attention) add_layers(layout, s, tensor);
    add_layers(layout, s, ffn_norm);
    for (const LayerTensor& tensor : ffn) add_layers(layout, s, tensor);
    layout.add("output_norm.weight", {s.width});
    layout.skip({2, s.context, s.head_dim() / 2});  // cosines and sines of the rotary positions, which heed computes
  } else {
    add_layers(layout, s, attention_norm);
    add_layers(layout, s, ffn_norm);
    layout.add("output_norm.weight", {s.width});
    layout.add("token_embd.weight", {s.vocabulary, s.width});
    for (const LayerTensor& tensor : attention) add_layers(layout, s, tensor);
    for (const LayerTensor& tensor : ffn) add_layers(layout, s, tensor);
  }
  if (!tied) layout.add("output.weight", {s.vocabulary, s.width});
  return layout.finish();
}

/// tokenizer.bin: the longest token's length, then score, length and bytes of each token. llama2.c has written "▁" as a
/// space and BOS and EOS with line feeds around them.
TokenizerDescription read_tokenizer(const SourceFile& file, std::int64_t vocabulary) {
  SourceCursor cursor(file);
  cursor.read<std::uint32_t>("the longest token's length");
  cursor.check_count("the vocabulary", static_cast<std::uint64_t>(vocabulary), 8);
  TokenizerDescription description;
  for (std::int64_t id = 0; id < vocabulary; ++id) {
    const auto score = cursor.read<float>("a token's score");
    const auto size = cursor.read<std::uint32_t>("a token's length");
    if (size > 1024)
      throw Error(fmt::format("{}: token {} has {} bytes; expected at most 1024", file.name(), id, size));
    const std::string stored = cursor.text("a token", size);
    std::string piece;
    PieceKind kind = PieceKind::Normal;
    if (id == kUnknown) {
      piece = stored;
      kind = PieceKind::Unknown;
    } else if (id == kBos || id == kEos) {
      std::ranges::remove_copy(stored, std::back_inserter(piece), '\n');
      kind = PieceKind::Control;
    } else {
      for (const char c : stored) piece += c == ' ' ? std::string_view("▁") : std::string_view(&c, 1);
      if (piece.size() == 6 && piece.starts_with("<0x") && piece.ends_with(">")) kind = PieceKind::Byte;
    }
    description.pieces.push_back(std::move(piece));
    description.kinds.push_back(kind);
    description.scores.push_back(score);
  }
  if (cursor.remaining() != 0) {
    throw Error(fmt::format("{}: {} bytes follow token {}, the model's last; it is a tokenizer of another model",
                            file.name(), cursor.remaining(), vocabulary - 1));
  }
  if (vocabulary <= kEos)
    throw Error(fmt::format("{}: a vocabulary of {} has no BOS and EOS", file.name(), vocabulary));
  description.merging = TokenizerDescription::Merging::Scores;
  description.escape_spaces = true;
  description.prefix = TokenizerDescription::Prefix::Always;
  description.strip_prefix = true;
  description.before = {kBos};
  // llama2.c's own models end a story by beginning the next one; Llama 2's end with EOS.
  description.end = {kBos, kEos};
  return description;
}

}  // namespace

bool is_llama2c(const SourceFile& file) {
  if (file.size() < 28) return false;
  SourceCursor cursor(file);
  if (cursor.read<std::uint32_t>("the magic") == kMagicNumber) return true;
  SourceCursor header(file);
  HeaderSizes sizes = read_sizes(header);
  sizes.vocabulary = std::abs(sizes.vocabulary);
  return complaint(sizes).empty();
}

Checkpoint read_llama2c(const std::shared_ptr<const SourceFile>& file, const SourceFile* tokenizer) {
  SourceCursor cursor(*file);
  int version = 0;
  if (file->size() >= 8 && cursor.read<std::uint32_t>("the magic") == kMagicNumber) {
    version = cursor.read<std::int32_t>("the version");
    if (version != 1) {
      throw Error(fmt::format("{}: is a llama2.c model of version {}{}; heed reads versions 0 and 1 (f32)",
                              file->name(), version, version == 2 ? " (int8)" : ""));
    }
  } else {
    cursor = SourceCursor(*file);
  }
  HeaderSizes sizes = read_sizes(cursor);
  bool tied = sizes.vocabulary > 0;
  if (version == 0) {
    sizes.vocabulary = std::abs(sizes.vocabulary);
  } else {
    const auto flag = cursor.read<std::uint8_t>("the header");
    if (flag > 1) throw Error(fmt::format("{}: shared_classifier is {}; expected 0 or 1", file->name(), flag));
    tied = flag == 1;
  }
  if (const std::string problem = complaint(sizes); !problem.empty()) {
    throw Error(fmt::format("{}: the header of a llama2.c model says {}", file->name(), problem));
  }
  if (tokenizer == nullptr) {
    throw Error(
        fmt::format("{}: a llama2.c model keeps its tokenizer in a file of its own; name it with --tokenizer "
                    "(tokenizer.bin, or tok512.bin beside stories260K.bin)",
                    file->name()));
  }

  Checkpoint checkpoint;
  checkpoint.family = "decoder";
  checkpoint.architecture = "llama";
  checkpoint.source = "llama2.c";
  checkpoint.tensors = lay_out(file, version == 0 ? cursor.offset() : kVersion1HeaderBytes, sizes, version, tied);
  checkpoint.parameters = {{"width", sizes.width},
                           {"layers", sizes.layers},
                           {"heads", sizes.heads},
                           {"kv_heads", sizes.kv_heads},
                           {"head_dim", sizes.head_dim()},
                           {"ffn_width", sizes.ffn_width},
                           {"vocabulary", sizes.vocabulary},
                           {"context", sizes.context},
                           {"norm_eps", 1e-5},
                           {"rope_base", 10000.0},
                           {"rope_layout", "interleaved"},
                           {"rope_dims", sizes.head_dim()},
                           {"activation", "silu"}};
  const TokenizerDescription description = read_tokenizer(*tokenizer, sizes.vocabulary);
  checkpoint.end_tokens = description.end;
  checkpoint.tokenizer = description.to_json();
  return checkpoint;
}

}  // namespace heed::convert
