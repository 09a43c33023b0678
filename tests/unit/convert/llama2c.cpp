#include "tools/convert/llama2c.h"

#include <doctest/doctest.h>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/description.h"
#include "tools/convert/convert.h"
#include "tools/convert/gguf.h"

namespace heed::convert {
namespace {

using namespace convert_test;

std::shared_ptr<const SourceFile> file(const std::string& bytes) { return SourceFile::from_bytes("test.bin", bytes); }
Checkpoint read(const std::string& model, const std::string& tokenizer = tiny_tokenizer_bin()) {
  return read_llama2c(file(model), file(tokenizer).get());
}
std::string complaint(const std::string& model, const std::string& tokenizer = tiny_tokenizer_bin()) {
  return error_of([&] {
    Checkpoint checkpoint = read(model, tokenizer);
    make_header(checkpoint, {});
  });
}
std::string with_size(std::string bytes, std::size_t index, std::int32_t value) {
  return bytes.replace(index * 4, 4, bytes_of(value));
}

TEST_CASE("versions 0 and 1, tied and not, hold the same tensors as the GGUF file of the model") {
  const Checkpoint expected = read_gguf(file(tiny_gguf().bytes()));
  for (const int version : {0, 1}) {
    for (const bool tied : {true, false}) {
      CAPTURE(version);
      CAPTURE(tied);
      const std::string bytes = tiny_llama2c(version, tied);
      CHECK(is_llama2c(*file(bytes)));
      Checkpoint checkpoint = read(bytes);
      CHECK(checkpoint.architecture == "llama");
      CHECK(checkpoint.parameters == expected.parameters);
      for (const SourceTensor& tensor : expected.tensors) {
        CHECK(convert_test::tensor(checkpoint, tensor.name).shape == tensor.shape);
        CHECK(convert_test::tensor(checkpoint, tensor.name).read() == tensor.read());
      }
      CHECK(checkpoint.tensors.size() == expected.tensors.size() + (tied ? 0 : 1));
      if (!tied) CHECK(f32_values(convert_test::tensor(checkpoint, "output.weight").read()) == ramp(48, 11));
      make_header(checkpoint, {});
    }
  }
}

TEST_CASE("tokenizer.bin gives the tokenizer of the GGUF file, but stories also end where the next begins") {
  auto tokenizer = TokenizerDescription::from_json(read(tiny_llama2c(0, true)).tokenizer);
  CHECK(tokenizer.end == std::vector<TokenId>{1, 2});
  tokenizer.end = {2};
  CHECK(tokenizer.to_json() == read_gguf(file(tiny_gguf().bytes())).tokenizer);
}

TEST_CASE("a llama2.c model without or with another tokenizer is refused") {
  const std::string model = tiny_llama2c(0, true);
  CHECK(contains(error_of([&] { read_llama2c(file(model), nullptr); }), "--tokenizer"));
  const std::string tokenizer = tiny_tokenizer_bin();
  CHECK(contains(complaint(model, tokenizer + "x"), "tokenizer of another model"));
  std::string long_token = tokenizer;
  long_token.replace(8, 4, bytes_of(std::uint32_t{1} << 30));
  CHECK(contains(complaint(model, long_token), "token 0 has 1073741824 bytes"));
  for (std::size_t size = 0; size < tokenizer.size(); ++size) {
    CHECK(!complaint(model, tokenizer.substr(0, size)).empty());
  }
}

TEST_CASE("a tokenizer.bin whose pieces are not UTF-8 is refused") {
  std::string tokenizer = tiny_tokenizer_bin();
  tokenizer.back() = '\xff';
  const std::string message = complaint(tiny_llama2c(0, true), tokenizer);
  CHECK_MESSAGE(contains(message, "UTF-8"), message);
}

TEST_CASE("versions and headers that heed does not read are refused by name") {
  std::string version2 = tiny_llama2c(1, true);
  version2.replace(4, 4, bytes_of(std::int32_t{2}));
  CHECK(contains(complaint(version2), "version 2 (int8)"));
  std::string flag = tiny_llama2c(1, true);
  flag[36] = 2;
  CHECK(contains(complaint(flag), "shared_classifier is 2"));
  const std::string model = tiny_llama2c(0, true);
  struct Case {
    std::size_t index;
    std::int32_t value;
    const char* message;
  };
  const Case cases[] = {{0, 0, "dim is 0"},          {0, 7, "dim 7 is not a multiple"},
                        {1, -1, "hidden_dim is -1"}, {2, 10001, "n_layers is 10001"},
                        {3, 0, "n_heads is 0"},      {3, 8, "dim / n_heads is 1"},
                        {4, 3, "n_kv_heads 3"},      {5, 0, "vocab_size is 0"},
                        {6, 0, "seq_len is 0"}};
  for (const Case& test : cases) {
    const std::string bytes = with_size(model, test.index, test.value);
    const std::string message = complaint(bytes);
    CHECK_MESSAGE(contains(message, test.message), message);
    CHECK(!is_llama2c(*file(bytes)));
  }
  // Plausible sizes that are not those of the file, up to the largest.
  for (const std::int32_t value : {2, 1000, INT32_MAX}) {
    CHECK(contains(complaint(with_size(model, 1, value)), "a llama2.c model with the sizes in its header has"));
  }
  CHECK(contains(complaint(with_size(model, 5, -6)), "truncated"));  // the output matrix is not there
  CHECK(contains(complaint(model + "x"), "not such a model"));
}

TEST_CASE("a truncated or damaged llama2.c file gives an error or a checkpoint, never a crash") {
  for (const int version : {0, 1}) {
    const std::string good = tiny_llama2c(version, false);
    for (std::size_t size = 0; size < good.size(); ++size) {
      const std::string cut = good.substr(0, size);
      is_llama2c(*file(cut));
      CHECK(!complaint(cut).empty());
    }
    for (std::size_t bit = 0; bit < std::size_t{40} * 8; ++bit) {
      std::string bytes = good;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      is_llama2c(*file(bytes));
      complaint(bytes);
    }
  }
}

}  // namespace
}  // namespace heed::convert
