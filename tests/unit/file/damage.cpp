// Damaged and hostile files: never a crash, always an Error.
#include <doctest/doctest.h>

#include <cstring>
#include <limits>

#include "graph/json.h"
#include "graph/json_field.h"
#include "heed/error.h"
#include "tests/unit/file/sample_model.h"

namespace heed {
namespace {

using namespace heed::testing;
using Pointer = nlohmann::json::json_pointer;

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

struct Sample {
  std::vector<std::byte> bytes = sample_file();
  nlohmann::json header = nlohmann::json::parse(header_of(bytes));
  std::size_t data_bytes = bytes.size() - data_begin(header_of(bytes).size());
};

void check_refused(const nlohmann::json& header, std::size_t data_bytes, const std::string& part) {
  const std::string message = error_of(sealed(header.dump(), data_bytes));
  CAPTURE(message);
  CHECK(message.find(part) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find("'bytes'") == 0);
}

// The sample with one value of its header changed, its checksum mended.
void check_refused(const Sample& sample, const char* pointer, const nlohmann::json& value, const std::string& part) {
  CAPTURE(pointer);
  nlohmann::json header = sample.header;
  header[Pointer(pointer)] = value;
  check_refused(header, sample.data_bytes, part);
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("every flipped bit is detected") {
  const Sample sample;
  REQUIRE(error_of(sample.bytes) == "");
  const std::size_t header_end = kPreambleBytes + header_of(sample.bytes).size();
  for (std::size_t i = 0; i < sample.bytes.size(); i += HEED_SLOWNESS) {
    for (int bit = 0; bit < 8; ++bit) {
      if (i >= kPreambleBytes && i < header_end && bit != static_cast<int>(i % 8)) continue;  // one bit a byte of JSON
      std::vector<std::byte> damaged = sample.bytes;
      damaged[i] ^= static_cast<std::byte>(1 << bit);
      if (error_of(std::move(damaged)).empty()) FAIL_CHECK("byte " << i << " bit " << bit);
    }
  }
}

TEST_CASE("every truncation and every addition is detected on opening") {
  const std::vector<std::byte> whole = sample_file();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK_THROWS_AS(ModelFile::open_bytes(std::move(part), "bytes"), Error);
  }
  for (const std::size_t extra : {1, 255, 256, 4096}) {
    std::vector<std::byte> longer = whole;
    longer.resize(whole.size() + extra);
    CHECK(error_of(std::move(longer)).find("bytes follow the last") != std::string::npos);
  }
}

TEST_CASE("damage is reported where it is") {
  const Sample sample;
  const ModelFile file = ModelFile::open_bytes(sample.bytes, "bytes");
  std::vector<std::byte> damaged = sample.bytes;
  damaged[file.find_tensor("output")->offset + 3] ^= std::byte{1};
  CHECK(error_of(damaged).find("tensor 'output' is damaged") != std::string::npos);
  const ModelFile opened = ModelFile::open_bytes(damaged, "bytes");
  CHECK_NOTHROW(opened.read_all(*opened.find_tensor("embedding")));
  CHECK_THROWS_AS(opened.read_all(*opened.find_tensor("output")), Error);

  damaged = sample.bytes;
  damaged.back() ^= std::byte{1};
  CHECK(error_of(damaged).find("embedded file 'LICENCE.txt' is damaged") != std::string::npos);
  damaged = sample.bytes;
  damaged[kPreambleBytes + 10] ^= std::byte{1};
  CHECK(error_of(damaged).find("header is damaged") != std::string::npos);
}

TEST_CASE("foreign files and other versions are told apart") {
  CHECK(error_of({}).find("is not a .heed file") != std::string::npos);
  CHECK(error_of(bytes_of("GGUF\3\0\0\0 and so on, long enough for a preamble")).find("is not a .heed") !=
        std::string::npos);
  CHECK(error_of(bytes_of("heed\1")).find("truncated: 5 bytes") != std::string::npos);
  std::vector<std::byte> newer = sample_file();
  newer[4] = std::byte{2};
  CHECK(error_of(newer).find("format version 2") != std::string::npos);
  for (const std::uint64_t length : {kHuge, kHuge - 300, kMaxHeaderBytes + 1, kMaxHeaderBytes}) {
    std::vector<std::byte> bytes = sample_file();
    std::memcpy(bytes.data() + 8, &length, sizeof length);
    const std::string message = error_of(std::move(bytes));
    CHECK(message.find(length > kMaxHeaderBytes ? "heed handles up to" : "truncated") != std::string::npos);
  }
}

TEST_CASE("hostile tables are refused although their checksum is right") {
  const Sample sample;
  CHECK(error_of(sealed(sample.header.dump(), sample.data_bytes)).find("tensor 'embedding' is damaged") !=
        std::string::npos);  // the zeros are not its bytes: with a right header all of it is reached

  check_refused(sample, "/tensors/0/offset", 256, "'embedding' begins at data offset 256, expected 0");
  check_refused(sample, "/tensors/2/offset", 0, "'output' begins at data offset 0");  // overlaps
  check_refused(sample, "/tensors/2/offset", 1, "'output' begins at data offset 1");
  check_refused(sample, "/tensors/2/offset", kHuge, "tensors[2].offset: expected an integer");
  check_refused(sample, "/tensors/2/offset", std::int64_t{1} << 62, "'output' begins");
  check_refused(sample, "/tensors/2/offset", -256, "tensors[2].offset");
  check_refused(sample, "/tensors/2/offset", 512.0, "tensors[2].offset");
  check_refused(sample, "/tensors/0/size", 321, "has 320 bytes, but its entry says 321");
  check_refused(sample, "/tensors/0/size", kHuge, "tensors[0].size");
  check_refused(sample, "/tensors/0/shape", {5, -32}, "shape[1]: expected an integer");
  check_refused(sample, "/tensors/0/shape", {kMost, 4}, "shape[0]: expected an integer");
  check_refused(sample, "/tensors/0/shape", {kMaxElements, 4}, "more than");
  check_refused(sample, "/tensors/0/shape", std::vector<int>(9, 1), "9 elements; heed handles up to 8");
  check_refused(sample, "/tensors/0/shape", {5, "context"}, "shape[1]");
  check_refused(sample, "/tensors/2/shape", {32, 7}, "not a multiple of 32");
  check_refused(sample, "/tensors/2/shape", nlohmann::json::array(), "not a multiple of 32");
  check_refused(sample, "/tensors/0/dtype", "f8", "'f8' is not a type");
  check_refused(sample, "/tensors/0/dtype", "f32", "has 640 bytes");
  check_refused(sample, "/tensors/0/checksum", 12, "expected a string");
  for (const char* checksum : {"", "12", "0123456789ABCDEF", "0x23456789abcdef", " 123456789abcdef", "-123456789abcdef",
                               "0123456789abcdef0"}) {
    check_refused(sample, "/tensors/0/checksum", checksum, "tensors[0].checksum");
  }
  check_refused(sample, "/tensors/1/name", "embedding", "two tensors are named 'embedding'");
  check_refused(sample, "/tensors/1/name", "", "empty name");
  check_refused(sample, "/tensors/1/name", "a\x1b[2Jb", "control character");
  check_refused(sample, "/tensors/1/extra", 1, "unknown key");
  check_refused(sample, "/tensors", 5, "header.tensors: expected an array");
  check_refused(sample, "/files/1/name", "tokenizer.json", "two embedded files are named 'tokenizer.json'");
  for (const char* name : {"../evil", "/etc/passwd", ".hidden", "..", "a b", "c:x", "a\\b"}) {
    check_refused(sample, "/files/1/name", name, "is not a name for an embedded file");
  }
  check_refused(sample, "/files/2/size", 19, "takes 19 bytes");
  check_refused(sample, "/files/2/size", 17, "1 bytes follow the last");
  check_refused(sample, "/files/2/size", std::int64_t{1} << 62, "but the file has");
  check_refused(sample, "/files/0/offset", 0, "'tokenizer.json' begins at data offset 0");
  check_refused(sample, "/more", 1, "unknown key \"more\"");
}

TEST_CASE("a tensor larger than the file is refused before memory is spent") {
  const nlohmann::json header = {{"metadata", nlohmann::json::object()},
                                 {"graphs", nlohmann::json::array()},
                                 {"files", nlohmann::json::array()},
                                 {"tensors",
                                  {{{"name", "t"},
                                    {"dtype", "f32"},
                                    {"shape", {kMaxElements}},
                                    {"offset", 0},
                                    {"size", kMaxElements * 4},
                                    {"checksum", "0000000000000000"}}}}};
  check_refused(header, 4096, "takes 4398046511104 bytes from data offset 0, but the file has 4096");
}

TEST_CASE("graphs must be valid and fit the tensors") {
  const Sample sample;
  check_refused(sample, "/graphs/0/name", "", "empty name");
  check_refused(sample, "/graphs/0/nodes/0/inputs/0", 6, "reads 'logits' before it is made");
  check_refused(sample, "/graphs/0/nodes/0/name", "project", "two nodes are named 'project'");
  check_refused(sample, "/graphs/0/values/1/name", "missing", "needs the tensor 'missing'");
  check_refused(sample, "/graphs/0/values/1/dtype", "bf16", "expects the tensor 'embedding' as bf16 [5, 32]");
  check_refused(sample, "/graphs/0/values/1/shape", {5, 33}, "as f16 [5, 33], but the file has it as f16 [5, 32]");
  check_refused(sample, "/graphs/0/values/1/shape", {"rows", 32}, "as f16 [rows, 32]");
  check_refused(sample, "/graphs/0/values/1/shape", {5, 32, 1}, "as f16 [5, 32, 1]");
  check_refused(sample, "/graphs", nlohmann::json::object(), "expected an array");
  check_refused(sample, "/graphs", std::vector<int>(65, 0), "65 elements");

  nlohmann::json header = sample.header;
  header["graphs"].push_back(header["graphs"][0]);
  check_refused(header, sample.data_bytes, "two graphs are named 'decode'");
  header["graphs"][1]["name"] = "encode";
  CHECK(error_of(sealed(header.dump(), sample.data_bytes)).find("tensor 'embedding' is damaged") != std::string::npos);
  header["graphs"][1]["values"][3]["shape"][2] = 64;
  check_refused(header, sample.data_bytes, "the state 'keys' is f32 [batch, context, 32] in graph 'decode' but");
}

TEST_CASE("metadata has the types that its readers rely on") {
  const Sample sample;
  check_refused(sample, "/metadata", 5, "header.metadata: expected an object");
  check_refused(sample, "/metadata", nullptr, "header.metadata: expected an object");
  for (const char* key : {"name", "task", "architecture", "source", "licence", "description"}) {
    check_refused(sample, (std::string("/metadata/") + key).c_str(), 5, std::string("metadata.") + key);
  }
  check_refused(sample, "/metadata/graph", "encode", "the file has no graph 'encode'");
  check_refused(sample, "/metadata/context", 0, "metadata.context: expected an integer");
  check_refused(sample, "/metadata/context", 1e9, "metadata.context: expected an integer");
  check_refused(sample, "/metadata/vocabulary", std::int64_t{1} << 31, "metadata.vocabulary");
  check_refused(sample, "/metadata/parameters", "heads", "metadata.parameters");
  check_refused(sample, "/metadata/end_tokens", 2, "metadata.end_tokens");
  check_refused(sample, "/metadata/end_tokens", {2, -1}, "metadata.end_tokens[1]: expected an integer");
  check_refused(sample, "/metadata/end_tokens", {2.5}, "metadata.end_tokens[0]: expected an integer");
  check_refused(sample, "/metadata/end_tokens", {std::int64_t{1} << 31}, "metadata.end_tokens[0]");
  check_refused(sample, "/metadata/end_tokens", std::vector<int>(1025), "metadata.end_tokens");
  nlohmann::json header = sample.header;
  header["metadata"]["something_later"] = {1, 2, {{"a", nullptr}}};
  CHECK(error_of(sealed(header.dump(), sample.data_bytes)).find("'embedding' is damaged") != std::string::npos);
}

TEST_CASE("headers that are not the expected JSON are refused") {
  for (const char* key : {"metadata", "graphs", "tensors", "files"}) {
    const Sample sample;
    nlohmann::json header = sample.header;
    header.erase(key);
    check_refused(header, sample.data_bytes, "is missing");
  }
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("\0\0", 2),
                                  std::string(5'000'000, '['), std::string("{\"metadata\":{},\"metadata\":{}}")}) {
    CHECK(error_of(sealed(text, 0)).find("'bytes': header") == 0);
  }
}

}  // namespace heed
