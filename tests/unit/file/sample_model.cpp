#include "tests/unit/file/sample_model.h"

#include <cstring>
#include <stdexcept>

#include "heed/error.h"

namespace heed::testing {

ModelHeader sample_header() {
  GraphBuilder builder("decode");
  const ValueId tokens = builder.input("tokens", DType::I32, {"batch", "tokens"});
  const ValueId table = builder.weight("embedding", DType::F16, {5, 32});
  const ValueId weight = builder.weight("output", DType::Q8_0, {7, 32});
  const ValueId keys = builder.state("keys", DType::F32, {"batch", "context", 32});
  const ValueId rows = builder.add("embedding", "embed", {tokens, table});
  const ValueId mixed = builder.add("attention", "attend", {rows, keys}, {{"heads", std::int64_t{2}}});
  builder.output(builder.add("linear", "project", {mixed, weight}), "logits");

  ModelHeader header;
  header.metadata = {
      {"name", "sample"},        {"task", "text-generation"}, {"graph", "decode"},
      {"architecture", "llama"}, {"source", "gguf"},          {"context", 16},
      {"vocabulary", 7},         {"licence", "MIT"},          {"parameters", {{"heads", 2}, {"epsilon", 1e-5}}}};
  header.graphs.push_back(std::move(builder).finish());
  const auto add = [&](const char* name, DType dtype, Shape shape) {
    header.tensors.push_back({name, dtype, std::move(shape), 0, 0, 0});
  };
  add("embedding", DType::F16, {5, 32});
  add("empty", DType::F32, {0, 3});
  add("output", DType::Q8_0, {7, 32});
  add("aligned", DType::U8, {2, 256});
  add("scalar", DType::I64, {});
  return header;
}

std::vector<EmbeddedFile> sample_files() {
  return {{"tokenizer.json", "{\"not\": \"examined here\"}"}, {"nothing", ""}, {"LICENCE.txt", "Do as you please.\n"}};
}

std::vector<std::byte> sample_bytes(const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.size);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>((i * 31 + tensor.name.size()) & 0xff);
  return bytes;
}

TensorSource sample_source() {
  return [](const TensorInfo& tensor, const std::function<void(std::span<const std::byte>)>& sink) {
    const std::vector<std::byte> bytes = sample_bytes(tensor);
    for (std::size_t begin = 0, step = 1; begin < bytes.size(); begin += step, ++step) {
      sink(std::span(bytes).subspan(begin, std::min(step, bytes.size() - begin)));
    }
  };
}

std::vector<std::byte> sample_file() {
  const TemporaryFolder folder;
  write_model_file(folder.path("sample.heed"), sample_header(), sample_files(), sample_source());
  return contents(folder.path("sample.heed"));
}

std::string header_of(const std::vector<std::byte>& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data() + 8, sizeof length);
  std::string text(length, '\0');
  std::memcpy(text.data(), file.data() + kPreambleBytes, length);
  return text;
}

std::vector<std::byte> sealed(std::string_view header, std::size_t data_bytes) {
  std::vector<std::byte> bytes(data_begin(header.size()) + data_bytes);
  const std::string start = preamble(header) + std::string(header);
  std::memcpy(bytes.data(), start.data(), start.size());
  return bytes;
}

std::vector<std::byte> contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void write_contents(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream.flush()) throw std::runtime_error("cannot write " + path.string());
}

void read_everything(std::vector<std::byte> bytes) {
  const ModelFile file = ModelFile::open_bytes(std::move(bytes), "bytes");
  for (const TensorInfo& tensor : file.header().tensors) file.read_all(tensor);
  for (const std::string& name : file.file_names()) file.read_file(name);
}

std::string error_of(std::vector<std::byte> bytes) {
  try {
    read_everything(std::move(bytes));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace heed::testing
