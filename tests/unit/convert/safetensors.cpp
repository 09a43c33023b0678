#include "tools/convert/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/unit/convert/sample_files.h"

namespace heed::convert {
namespace {

using namespace convert_test;

std::shared_ptr<const SourceFile> file(const std::string& bytes) {
  return SourceFile::from_bytes("test.safetensors", bytes);
}
std::string with_header(const std::string& header, std::size_t data_bytes) {
  return bytes_of(std::uint64_t{header.size()}) + header + std::string(data_bytes, '\0');
}
std::string complaint(const std::string& header, std::size_t data_bytes) {
  return error_of([&] { read_safetensors(*file(with_header(header, data_bytes))); });
}
std::string entry(const std::string& dtype, const std::string& shape, int begin, int end) {
  return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", dtype, shape, begin, end);
}

TEST_CASE("entries come in the order of the data, whatever the order of the header") {
  const auto source = file(with_header(fmt::format(R"({{"b":{},"a":{},"__metadata__":{{"x":"y"}}}})",
                                                   entry("F16", "[2,1]", 4, 8), entry("F32", "[]", 0, 4)),
                                       8));
  const auto entries = read_safetensors(*source);
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].name == "a");
  CHECK(entries[0].shape == Shape{});
  CHECK(entries[1].shape == Shape{2, 1});
  CHECK(safetensors_tensor(source, entries[1]).dtype == DType::F16);
  CHECK(safetensors_tensor(source, entries[1]).read().size() == 4);
}

TEST_CASE("types other than F32, F16 and BF16 are listed but not converted") {
  const auto source = file(with_header(fmt::format(R"({{"mask":{}}})", entry("BOOL", "[3]", 0, 3)), 3));
  const auto entries = read_safetensors(*source);
  CHECK(contains(error_of([&] { safetensors_tensor(source, entries.at(0)); }), "'mask' is of type \"BOOL\""));
}

TEST_CASE("tables that do not fit the file are refused") {
  struct Case {
    std::string header;
    std::size_t data_bytes;
    const char* message;
  };
  const Case cases[] = {
      {"[]", 0, "not a JSON object"},
      {"{", 0, "not valid JSON"},
      {"{}", 4, "the last tensor ends"},
      {R"({"a":1})", 0, "not described by an object"},
      {R"({"a":{}})", 0, "has no dtype"},
      {R"({"a":{"dtype":"F32"}})", 0, "has no list 'shape'"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "does not lie within"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "has no list 'shape'"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, "unknown property \"x\""},
      {fmt::format(R"({{"a":{}}})", entry("F32", "[1]", 4, 0)), 4, "does not lie within"},
      {fmt::format(R"({{"a":{}}})", entry("F32", "[1]", 0, 8)), 4, "does not lie within"},
      {fmt::format(R"({{"a":{}}})", entry("F32", "[3]", 0, 8)), 8, "has 8 bytes; expected 12"},
      {fmt::format(R"({{"a":{}}})", entry("F32", "[1]", 4, 8)), 8, "begins at byte"},
      {fmt::format(R"({{"a":{},"b":{}}})", entry("F32", "[1]", 0, 4), entry("F32", "[1]", 0, 4)), 4, "begins at byte"},
      {fmt::format(R"({{"a":{0},"a":{0}}})", entry("F32", "[1]", 0, 4)), 4, "the key \"a\" twice"},
      {fmt::format(R"({{"a b":{}}})", entry("F32", "[1]", 0, 4)), 4, "\"a b\" has a name that is not plain"},
      {fmt::format(R"({{"a":{}}})", entry("F32", "[1099511627777]", 0, 4)), 4, "has a size of"},
      {fmt::format(R"({{"a":{}}})", entry("F32", "[1099511627776,1099511627776]", 0, 4)), 4, "elements"},
      {std::string(100, '[') + std::string(100, ']'), 0, "nested"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.header);
    const std::string message = complaint(test.header, test.data_bytes);
    CHECK_MESSAGE(contains(message, test.message), message);
  }
  CHECK(contains(error_of([&] { read_safetensors(*file(bytes_of(std::uint64_t{1} << 40))); }), "a header of"));
  CHECK(contains(error_of([&] { read_safetensors(*file(bytes_of(std::uint64_t{99'000'000}))); }), "the header claims"));
}

TEST_CASE("a truncated or damaged safetensors file gives an error or a table, never a crash") {
  const std::string good = safetensors(tiny_gpt2_tensors());
  for (std::size_t size = 0; size < good.size(); size += 7) {
    CHECK(!error_of([&] { read_safetensors(*file(good.substr(0, size))); }).empty());
  }
  for (std::size_t bit = 0; bit < std::min<std::size_t>(good.size(), 1700) * 8; bit += HEED_SLOWNESS) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    error_of([&] { read_safetensors(*file(bytes)); });
  }
}

}  // namespace
}  // namespace heed::convert
