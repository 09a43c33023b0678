#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <regex>

#include "graph/json.h"
#include "heed/error.h"
#include "tests/unit/file/sample_model.h"

namespace heed {
namespace {

using namespace heed::testing;

void check_sample(const ModelFile& file) {
  const ModelHeader expected = sample_header();
  CHECK(file.metadata() == expected.metadata);
  REQUIRE(file.header().graphs.size() == 1);
  CHECK(graph_to_json(file.graph("decode")) == graph_to_json(expected.graphs[0]));
  REQUIRE(file.header().tensors.size() == expected.tensors.size());
  for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
    const TensorInfo& tensor = file.header().tensors[i];
    CAPTURE(tensor.name);
    CHECK(tensor.name == expected.tensors[i].name);
    CHECK(tensor.dtype == expected.tensors[i].dtype);
    CHECK(tensor.shape == expected.tensors[i].shape);
    CHECK(tensor.offset % kTensorAlignment == 0);
    CHECK(tensor.size == byte_size(tensor.dtype, tensor.shape));
    CHECK(file.find_tensor(tensor.name) == &tensor);
    CHECK(file.read_all(tensor) == sample_bytes(tensor));
  }
  CHECK(file.find_tensor("absent") == nullptr);
  CHECK(file.file_names() == std::vector<std::string>{"tokenizer.json", "nothing", "LICENCE.txt"});
  for (const EmbeddedFile& embedded : sample_files()) {
    CHECK(file.has_file(embedded.name));
    CHECK(file.read_file(embedded.name) == embedded.content);
  }
}

// The bytes of the hexdump in format.md; a line "*" repeats the line before, as hexdump writes it.
std::vector<std::byte> documented_example() {
  std::ifstream document(HEED_SOURCE_DIR "/engine/file/format.md");
  REQUIRE(document);
  std::vector<std::byte> bytes;
  bool repeat = false;
  std::string line;
  const std::regex row("([0-9a-f]{8})((?:  ?[0-9a-f]{2})*)(?: *\\|.*)?");
  while (std::getline(document, line)) {
    std::smatch match;
    if (line == "*") {
      repeat = true;
    } else if (std::regex_match(line, match, row)) {
      const std::size_t offset = std::stoul(match[1], nullptr, 16);
      while (repeat && bytes.size() < offset) bytes.push_back(bytes[bytes.size() - 16]);
      repeat = false;
      REQUIRE(bytes.size() == offset);
      const std::string digits = std::regex_replace(match[2].str(), std::regex(" "), "");
      for (std::size_t i = 0; i < digits.size(); i += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoul(digits.substr(i, 2), nullptr, 16)));
      }
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("a model comes back as it was written") {
  const TemporaryFolder folder;
  write_model_file(folder.path("a.heed"), sample_header(), sample_files(), sample_source());
  CHECK(folder.names() == std::vector<std::string>{"a.heed"});
  const ModelFile file = ModelFile::open(folder.path("a.heed"));
  CHECK(file.path() == folder.path("a.heed"));
  CHECK(file.size() == std::filesystem::file_size(folder.path("a.heed")));
  check_sample(file);
  check_sample(ModelFile::open_bytes(contents(folder.path("a.heed")), "memory"));
}

TEST_CASE("the same model gives the same bytes") { CHECK(sample_file() == sample_file()); }

TEST_CASE("an empty model is a header alone") {
  const TemporaryFolder folder;
  write_model_file(folder.path("a.heed"), {}, {}, sample_source());
  const ModelFile file = ModelFile::open(folder.path("a.heed"));
  CHECK(file.size() == kTensorAlignment);
  CHECK(file.metadata() == nlohmann::json::object());
  CHECK_THROWS_WITH_AS(file.graph("decode"), doctest::Contains("it has none"), Error);
}

TEST_CASE("a moved file goes on, and its descriptor is closed once") {
  const TemporaryFolder folder;
  write_model_file(folder.path("a.heed"), sample_header(), sample_files(), sample_source());
  ModelFile first = ModelFile::open(folder.path("a.heed"));
  ModelFile second = std::move(first);
  check_sample(second);
  ModelFile third = ModelFile::open(folder.path("a.heed"));
  third = std::move(second);
  check_sample(third);
}

TEST_CASE("parts of a tensor are read, and nothing beyond it") {
  const ModelFile file = ModelFile::open_bytes(sample_file(), "memory");
  const TensorInfo& tensor = *file.find_tensor("output");
  const std::vector<std::byte> expected = sample_bytes(tensor);
  std::vector<std::byte> part(10);
  file.read(tensor, 33, part);
  CHECK(std::equal(part.begin(), part.end(), expected.begin() + 33));
  file.read(tensor, tensor.size - 10, part);
  CHECK(std::equal(part.begin(), part.end(), expected.end() - 10));
  CHECK_NOTHROW(file.read(tensor, tensor.size, {}));
  CHECK_THROWS_AS(file.read(tensor, tensor.size - 9, part), Error);
  CHECK_THROWS_AS(file.read(tensor, tensor.size + 1, {}), Error);
  CHECK_THROWS_AS(file.read(tensor, ~std::uint64_t{0} - 4, part), Error);
  TensorInfo foreign = tensor;
  foreign.offset = ~std::uint64_t{0} - 100;
  CHECK_THROWS_AS(file.read_all(foreign), Error);
  foreign.offset = 0;
  foreign.size = std::uint64_t{1} << 60;
  CHECK_THROWS_AS(file.read_all(foreign), Error);
}

TEST_CASE("what is absent is named") {
  const ModelFile file = ModelFile::open_bytes(sample_file(), "memory");
  CHECK_THROWS_WITH_AS(file.graph("encode"), doctest::Contains("no graph 'encode'; it has 'decode'"), Error);
  CHECK_THROWS_WITH_AS(file.read_file("vocab"), doctest::Contains("no embedded file 'vocab'"), Error);
  CHECK_FALSE(file.has_file("vocab"));
}

TEST_CASE("paths that hold no model are refused without waiting") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(ModelFile::open(folder.path("absent")), doctest::Contains("No such file"), Error);
  CHECK_THROWS_WITH_AS(ModelFile::open(folder.path("")), doctest::Contains("not a regular file"), Error);
  CHECK_THROWS_WITH_AS(ModelFile::open("/dev/null"), doctest::Contains("not a regular file"), Error);
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(ModelFile::open(folder.path("pipe")), doctest::Contains("not a regular file"), Error);
}

TEST_CASE("a file that shrinks while it is open gives an error") {
  const TemporaryFolder folder;
  write_model_file(folder.path("a.heed"), sample_header(), sample_files(), sample_source());
  const ModelFile file = ModelFile::open(folder.path("a.heed"));
  const TensorInfo& tensor = *file.find_tensor("aligned");
  std::filesystem::resize_file(folder.path("a.heed"), tensor.offset + 100);
  CHECK_THROWS_WITH_AS(file.read_all(tensor), doctest::Contains("changed meanwhile"), Error);
}

TEST_CASE("the checksum is XXH3 with 64 bits, however the bytes are cut") {
  Checksum empty;
  CHECK(empty.digest() == 0x2d06800538d394c2u);  // xxHash's published value
  const std::vector<std::byte> bytes(100'000, std::byte{0x5a});
  Checksum whole;
  whole.update(bytes);
  Checksum pieces;
  for (std::size_t i = 0; i < bytes.size(); i += 999) {
    pieces.update(std::span(bytes).subspan(i, std::min<std::size_t>(999, bytes.size() - i)));
  }
  CHECK(whole.digest() == pieces.digest());
}

TEST_CASE("the example in format.md is what is written") {
  GraphBuilder builder("decode");
  const ValueId x = builder.input("x", DType::F32, {"rows", 2});
  builder.output(builder.add("linear", "project", {x, builder.weight("w", DType::F32, {1, 2})}), "y");
  ModelHeader header;
  header.metadata = {{"name", "example"}, {"graph", "decode"}};
  header.graphs.push_back(std::move(builder).finish());
  header.tensors.push_back({"w", DType::F32, {1, 2}, 0, 0, 0});
  const TemporaryFolder folder;
  write_model_file(folder.path("example.heed"), header, {{"note.txt", "hello\n"}},
                   [](const TensorInfo&, const auto& sink) {
                     const float values[] = {1.0f, -2.0f};
                     sink(std::as_bytes(std::span(values)));
                   });
  if (const char* keep = std::getenv("HEED_KEEP_EXAMPLE")) {  // to renew the document: hexdump -C what this leaves
    std::filesystem::copy_file(folder.path("example.heed"), keep, std::filesystem::copy_options::overwrite_existing);
  }
  CHECK(contents(folder.path("example.heed")) == documented_example());
}

}  // namespace heed
