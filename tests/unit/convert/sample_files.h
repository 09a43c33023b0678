#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/temporary_folder.h"
#include "tools/convert/checkpoint.h"

/// Small files made by hand, and what the tests of the converter share.
namespace heed::convert_test {

/// A folder that files are written into.
class TempFolder : public testing::TemporaryFolder {
 public:
  /// Writes a file into it and returns its path.
  std::filesystem::path write(const std::string& name, std::string_view content) const;
};

/// The message of the Error that `action` throws; "" when it throws none. Any other exception escapes.
std::string error_of(const std::function<void()>& action);
bool contains(std::string_view text, std::string_view part);

std::string read_whole(const std::filesystem::path& path);
/// tests/golden/hf.
std::filesystem::path golden_folder();
/// A file of the material that is shared between projects; nothing, and a visible message, when it is not here.
std::optional<std::filesystem::path> shared_file(const std::string& name);

/// The little-endian bytes of a number.
template <typename T>
std::string bytes_of(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
/// `count` f32 values that differ: seed, seed + 1/8, ... in [-2, 2).
std::vector<float> ramp(std::size_t count, int seed);
std::string f32_bytes(const std::vector<float>& values);
std::vector<float> f32_values(const std::vector<std::byte>& bytes);
/// The tensor of this name; fails the test when there is none.
const convert::SourceTensor& tensor(const convert::Checkpoint& checkpoint, std::string_view name);

/// Puts a GGUF file together.
class GgufFile {
 public:
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;

  GgufFile& u32(const std::string& key, std::uint32_t value) { return add(key, 4, bytes_of(value)); }
  GgufFile& f32(const std::string& key, float value) { return add(key, 6, bytes_of(value)); }
  GgufFile& boolean(const std::string& key, bool value) { return add(key, 7, std::string(1, value ? '\1' : '\0')); }
  GgufFile& text(const std::string& key, const std::string& value);
  GgufFile& texts(const std::string& key, const std::vector<std::string>& values);
  GgufFile& f32s(const std::string& key, const std::vector<float>& values);
  GgufFile& i32s(const std::string& key, const std::vector<std::int32_t>& values);
  /// A value given by GGUF's type number and bytes; replaces one of the same key.
  GgufFile& add(const std::string& key, std::uint32_t type, std::string bytes);
  GgufFile& remove(const std::string& key);
  /// `shape` outermost first. Replaces a tensor of the same name.
  GgufFile& tensor(const std::string& name, const Shape& shape, std::uint32_t type, std::string bytes);
  GgufFile& remove_tensor(const std::string& name);
  std::string bytes() const;

 private:
  struct Entry {
    std::string key;
    std::uint32_t type;
    std::string bytes;
  };
  struct Tensor {
    std::string name;
    Shape shape;
    std::uint32_t type;
    std::string bytes;
  };
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
};

/// A complete one-layer llama of width 8, 2 heads over 1, feed-forward 12, vocabulary 6, context 16, with a
/// SentencePiece tokenizer.
GgufFile tiny_gguf();
/// Its logits for all of `tokens`, [tokens, 6], in double and written out from the papers; `freq_factors` are two
/// numbers that divide the angles of the rotary positions.
std::vector<double> tiny_gguf_logits(const std::vector<std::int32_t>& tokens, const std::vector<double>& freq_factors);

/// The bytes of a safetensors file; every tensor is {name, dtype, shape, bytes}.
struct SafetensorsItem {
  std::string name;
  std::string dtype;
  Shape shape;
  std::string bytes;
};
std::string safetensors(const std::vector<SafetensorsItem>& items);

/// The same model as llama2.c's version 0 or 1, tied or not, and a tokenizer.bin for it.
std::string tiny_llama2c(int version, bool tied);
std::string tiny_tokenizer_bin();

/// config.json of a llama like the above with 2 heads of 4 over 2, and its tensors.
nlohmann::json tiny_llama_config();
std::vector<SafetensorsItem> tiny_llama_tensors();
/// The same for GPT-2: width 8, 2 heads, 1 layer, feed-forward 32, vocabulary 6, context 16.
nlohmann::json tiny_gpt2_config();
std::vector<SafetensorsItem> tiny_gpt2_tensors();

}  // namespace heed::convert_test
