#include "tests/unit/convert/sample_files.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "graph/shape.h"
#include "heed/error.h"

namespace heed::convert_test {

namespace fs = std::filesystem;

fs::path TempFolder::write(const std::string& name, std::string_view content) const {
  const fs::path path = this->path(name);
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  REQUIRE(file.good());
  return path;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path.string());
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

fs::path golden_folder() { return fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "hf"; }

std::optional<fs::path> shared_file(const std::string& name) {
  const char* given = ::getenv("HEED_SHARED");
  const fs::path path = (given != nullptr ? fs::path(given) : fs::path(HEED_SOURCE_DIR) / ".." / "shared") / name;
  if (fs::exists(path)) return path;
  std::cout << "SKIPPED: shared/" << name << " is not here; HEED_SHARED may name the folder\n";
  return {};
}

std::vector<float> ramp(std::size_t count, int seed) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>((static_cast<int>(i) * 5 + seed * 3) % 32 - 16) / 8.0f;
  }
  return values;
}

std::string f32_bytes(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

std::vector<float> f32_values(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

const convert::SourceTensor& tensor(const convert::Checkpoint& checkpoint, std::string_view name) {
  const auto found = std::ranges::find(checkpoint.tensors, name, &convert::SourceTensor::name);
  REQUIRE_MESSAGE(found != checkpoint.tensors.end(), std::string(name));
  return *found;
}

namespace {

std::string gguf_text(const std::string& text) { return bytes_of(std::uint64_t{text.size()}) + text; }

std::string array_head(std::uint32_t type, std::size_t count) {
  return bytes_of(type) + bytes_of(std::uint64_t{count});
}

}  // namespace

GgufFile& GgufFile::text(const std::string& key, const std::string& value) { return add(key, 8, gguf_text(value)); }

GgufFile& GgufFile::texts(const std::string& key, const std::vector<std::string>& values) {
  std::string bytes = array_head(8, values.size());
  for (const std::string& value : values) bytes += gguf_text(value);
  return add(key, 9, std::move(bytes));
}

GgufFile& GgufFile::f32s(const std::string& key, const std::vector<float>& values) {
  return add(key, 9, array_head(6, values.size()) + f32_bytes(values));
}

GgufFile& GgufFile::i32s(const std::string& key, const std::vector<std::int32_t>& values) {
  std::string bytes = array_head(5, values.size());
  for (const std::int32_t value : values) bytes += bytes_of(value);
  return add(key, 9, std::move(bytes));
}

GgufFile& GgufFile::add(const std::string& key, std::uint32_t type, std::string bytes) {
  remove(key);
  entries_.push_back({key, type, std::move(bytes)});
  return *this;
}

GgufFile& GgufFile::remove(const std::string& key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
  return *this;
}

GgufFile& GgufFile::tensor(const std::string& name, const Shape& shape, std::uint32_t type, std::string bytes) {
  remove_tensor(name);
  tensors_.push_back({name, shape, type, std::move(bytes)});
  return *this;
}

GgufFile& GgufFile::remove_tensor(const std::string& name) {
  std::erase_if(tensors_, [&](const Tensor& tensor) { return tensor.name == name; });
  return *this;
}

std::string GgufFile::bytes() const {
  std::string file =
      "GGUF" + bytes_of(version) + bytes_of(std::uint64_t{tensors_.size()}) + bytes_of(std::uint64_t{entries_.size()});
  for (const Entry& entry : entries_) file += gguf_text(entry.key) + bytes_of(entry.type) + entry.bytes;
  std::string data;
  for (const Tensor& tensor : tensors_) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    file += gguf_text(tensor.name) + bytes_of(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) file += bytes_of(*size);
    file += bytes_of(tensor.type) + bytes_of(std::uint64_t{data.size()});
    data += tensor.bytes;
  }
  file.resize((file.size() + alignment - 1) / alignment * alignment);
  return file + data;
}

namespace {

/// Tensors of the one-layer llama, in llama2.c's version 0 order; seeds tell them apart.
struct TinyTensor {
  const char* name;
  Shape shape;
};
const std::vector<TinyTensor>& tiny_tensors() {
  static const std::vector<TinyTensor> kTensors = {
      {"token_embd.weight", {6, 8}},    {"blk.0.attn_norm.weight", {8}},    {"blk.0.attn_q.weight", {8, 8}},
      {"blk.0.attn_k.weight", {4, 8}},  {"blk.0.attn_v.weight", {4, 8}},    {"blk.0.attn_output.weight", {8, 8}},
      {"blk.0.ffn_norm.weight", {8}},   {"blk.0.ffn_gate.weight", {12, 8}}, {"blk.0.ffn_down.weight", {8, 12}},
      {"blk.0.ffn_up.weight", {12, 8}}, {"output_norm.weight", {8}},        {"output.weight", {6, 8}}};
  return kTensors;
}
std::string tiny_bytes(std::size_t index) {
  return f32_bytes(ramp(static_cast<std::size_t>(element_count(tiny_tensors()[index].shape)), static_cast<int>(index)));
}

}  // namespace

GgufFile tiny_gguf() {
  GgufFile file;
  file.text("general.architecture", "llama")
      .text("general.name", "tiny")
      .u32("llama.context_length", 16)
      .u32("llama.embedding_length", 8)
      .u32("llama.block_count", 1)
      .u32("llama.feed_forward_length", 12)
      .u32("llama.attention.head_count", 2)
      .u32("llama.attention.head_count_kv", 1)
      .f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .u32("llama.rope.dimension_count", 4)
      .text("tokenizer.ggml.model", "llama")
      .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0x0A>", "▁a", "a"})
      .f32s("tokenizer.ggml.scores", {0, 0, 0, 0, -1, -2})
      .i32s("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1});
  for (std::size_t i = 0; i + 1 < tiny_tensors().size(); ++i) {
    file.tensor(tiny_tensors()[i].name, tiny_tensors()[i].shape, 0, tiny_bytes(i));
  }
  return file;
}

std::vector<double> tiny_gguf_logits(const std::vector<std::int32_t>& tokens, const std::vector<double>& freq_factors) {
  using Row = std::vector<double>;
  const auto weight = [](std::size_t index) {
    const Shape& shape = tiny_tensors()[index].shape;
    const std::vector<float> values = ramp(static_cast<std::size_t>(element_count(shape)), static_cast<int>(index));
    return Row(values.begin(), values.end());
  };
  const auto times = [&](const Row& x, std::size_t index) {
    const Row w = weight(index);
    Row y(w.size() / x.size());
    for (std::size_t i = 0; i < w.size(); ++i) y[i / x.size()] += w[i] * x[i % x.size()];
    return y;
  };
  const auto norm = [&](const Row& x, std::size_t index) {
    double squares = 0;
    for (const double v : x) squares += v * v;
    Row y = weight(index);
    for (std::size_t i = 0; i < x.size(); ++i) y[i] *= x[i] / std::sqrt(squares / 8 + 1e-5);
    return y;
  };
  const auto add = [](Row& x, const Row& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  };
  // Neighbours are the parts of a complex number, turned by position / 10000^(2i / 4) / factor i.
  const auto turn = [&](Row& x, std::size_t position) {
    for (std::size_t i = 0; i < x.size(); i += 2) {
      const double turns = i % 4 == 0 ? 1 : 0.01;
      const auto z = std::complex(x[i], x[i + 1]) *
                     std::polar(1.0, static_cast<double>(position) * turns / freq_factors[i % 4 / 2]);
      x[i] = z.real();
      x[i + 1] = z.imag();
    }
  };
  std::vector<Row> keys, values;
  Row logits;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const Row embedding = weight(0);
    Row x(embedding.begin() + tokens[t] * 8, embedding.begin() + tokens[t] * 8 + 8);
    const Row h = norm(x, 1);
    Row q = times(h, 2);
    turn(q, t);
    keys.push_back(times(h, 3));
    turn(keys.back(), t);
    values.push_back(times(h, 4));
    Row heads(8);
    for (std::size_t head = 0; head < 8; head += 4) {
      double total = 0;
      Row sum(4);
      for (std::size_t s = 0; s <= t; ++s) {
        double score = 0;
        for (std::size_t i = 0; i < 4; ++i) score += q[head + i] * keys[s][i];
        const double e = std::exp(score / 2);
        total += e;
        for (std::size_t i = 0; i < 4; ++i) sum[i] += e * values[s][i];
      }
      for (std::size_t i = 0; i < 4; ++i) heads[head + i] = sum[i] / total;
    }
    add(x, times(heads, 5));
    const Row f = norm(x, 6);
    Row gate = times(f, 7);
    const Row up = times(f, 9);
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    add(x, times(gate, 8));
    const Row row = times(norm(x, 10), 0);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

std::string safetensors(const std::vector<SafetensorsItem>& items) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const SafetensorsItem& item : items) {
    header[item.name] = {
        {"dtype", item.dtype}, {"shape", item.shape}, {"data_offsets", {data.size(), data.size() + item.bytes.size()}}};
    data += item.bytes;
  }
  const std::string text = header.dump();
  return bytes_of(std::uint64_t{text.size()}) + text + data;
}

std::string tiny_llama2c(int version, bool tied) {
  const auto sizes = [&](std::int32_t vocabulary) {
    std::string bytes;
    for (const std::int32_t size : {8, 12, 1, 2, 1, vocabulary, 16}) bytes += bytes_of(size);
    return bytes;
  };
  std::string file;
  std::vector<std::size_t> order;
  if (version == 0) {
    file = sizes(tied ? 6 : -6);
    order = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  } else {
    file = bytes_of(std::uint32_t{0x616b3432}) + bytes_of(std::int32_t{version}) + sizes(6) + (tied ? '\1' : '\0');
    file.resize(256);
    order = {1, 6, 10, 0, 2, 3, 4, 5, 7, 8, 9};
  }
  for (const std::size_t index : order) file += tiny_bytes(index);
  if (version == 0) file += std::string(2 * 16 * 2 * sizeof(float), '\0');  // cosines and sines
  if (!tied) file += tiny_bytes(11);
  return file;
}

std::string tiny_tokenizer_bin() {
  std::string file = bytes_of(std::uint32_t{8});
  float score = 0;
  for (const std::string token : {"<unk>", "\n<s>\n", "\n</s>\n", "<0x0A>", " a", "a"}) {
    file += bytes_of(score) + bytes_of(static_cast<std::uint32_t>(token.size())) + token;
    if (token == "<0x0A>" || token == " a") score -= 1;
  }
  return file;
}

nlohmann::json tiny_llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 8},
          {"intermediate_size", 12},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 2},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 16},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"vocab_size", 6},
          {"torch_dtype", "float32"},
          {"eos_token_id", 2}};
}

namespace {

std::vector<SafetensorsItem> items_of(const std::vector<std::pair<std::string, Shape>>& tensors) {
  std::vector<SafetensorsItem> items;
  for (const auto& [name, shape] : tensors) {
    const auto count = static_cast<std::size_t>(element_count(shape));
    items.push_back({name, "F32", shape, f32_bytes(ramp(count, static_cast<int>(items.size())))});
  }
  return items;
}

}  // namespace

std::vector<SafetensorsItem> tiny_llama_tensors() {
  const std::string layer = "model.layers.0.";
  return items_of({{"model.embed_tokens.weight", {6, 8}},
                   {layer + "input_layernorm.weight", {8}},
                   {layer + "self_attn.q_proj.weight", {8, 8}},
                   {layer + "self_attn.k_proj.weight", {8, 8}},
                   {layer + "self_attn.v_proj.weight", {8, 8}},
                   {layer + "self_attn.o_proj.weight", {8, 8}},
                   {layer + "post_attention_layernorm.weight", {8}},
                   {layer + "mlp.gate_proj.weight", {12, 8}},
                   {layer + "mlp.up_proj.weight", {12, 8}},
                   {layer + "mlp.down_proj.weight", {8, 12}},
                   {"model.norm.weight", {8}},
                   {"lm_head.weight", {6, 8}}});
}

nlohmann::json tiny_gpt2_config() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_embd", 8},
          {"n_head", 2},
          {"n_layer", 1},
          {"n_positions", 16},
          {"n_inner", nullptr},
          {"vocab_size", 6},
          {"layer_norm_epsilon", 1e-5},
          {"activation_function", "gelu_new"},
          {"eos_token_id", 5}};
}

std::vector<SafetensorsItem> tiny_gpt2_tensors() {
  const std::string layer = "transformer.h.0.";
  return items_of({{"transformer.wte.weight", {6, 8}},
                   {"transformer.wpe.weight", {16, 8}},
                   {layer + "ln_1.weight", {8}},
                   {layer + "ln_1.bias", {8}},
                   {layer + "attn.c_attn.weight", {8, 24}},
                   {layer + "attn.c_attn.bias", {24}},
                   {layer + "attn.c_proj.weight", {8, 8}},
                   {layer + "attn.c_proj.bias", {8}},
                   {layer + "ln_2.weight", {8}},
                   {layer + "ln_2.bias", {8}},
                   {layer + "mlp.c_fc.weight", {8, 32}},
                   {layer + "mlp.c_fc.bias", {32}},
                   {layer + "mlp.c_proj.weight", {32, 8}},
                   {layer + "mlp.c_proj.bias", {8}},
                   {"transformer.ln_f.weight", {8}},
                   {"transformer.ln_f.bias", {8}}});
}

}  // namespace heed::convert_test
