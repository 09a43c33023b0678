#include "tools/convert/convert.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "graph/convert_dtype.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/llama2c.h"

namespace heed::convert {
namespace {

using namespace convert_test;

SourceTensor from_floats(const Shape& shape, const std::vector<float>& values) {
  return make_f32_tensor("some.weight", shape, values);
}
std::vector<std::byte> converted(const SourceTensor& tensor, DType type) {
  std::vector<std::byte> bytes;
  convert_tensor(tensor, type,
                 [&](std::span<const std::byte> piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  return bytes;
}
/// The tensors of a .heed file, by name, with their type in front.
std::map<std::string, std::string> contents(const std::filesystem::path& path) {
  const ModelFile file = ModelFile::open(path);
  std::map<std::string, std::string> result;
  for (const TensorInfo& tensor : file.header().tensors) {
    const auto bytes = file.read_all(tensor);
    result[tensor.name] =
        std::string(dtype_name(tensor.dtype)) + std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return result;
}

TEST_CASE("a converted file opens and holds graph, metadata, tensors and tokenizer") {
  TempFolder folder;
  ConvertOptions options;
  options.input = folder.write("tiny.gguf", tiny_gguf().bytes());
  options.output = folder.path() / "tiny.heed";
  std::vector<std::uint64_t> steps;
  std::uint64_t total = 0;
  options.progress = [&](std::uint64_t done, std::uint64_t all) {
    steps.push_back(done);
    total = all;
  };
  const ConvertSummary summary = convert_checkpoint(options);
  CHECK(summary.source == "gguf");
  CHECK(summary.family == "llama");
  CHECK(summary.name == "tiny");
  CHECK(summary.has_tokenizer);
  CHECK(summary.elements == 552);
  CHECK(summary.types.at(DType::F32).tensors == 11);
  CHECK(summary.types.at(DType::F32).bytes == 2208);
  CHECK(summary.file_bytes == std::filesystem::file_size(options.output));
  CHECK(summary.notes.empty());
  CHECK(total == 2208);
  CHECK(std::ranges::is_sorted(steps));
  CHECK(steps.back() == total);

  const ModelFile file = ModelFile::open(options.output);
  CHECK(file.metadata()["task"] == "text-generation");
  CHECK(file.metadata()["graph"] == "decode");
  CHECK(file.metadata()["architecture"] == "llama");
  CHECK(file.metadata()["source"] == "gguf");
  CHECK(file.metadata()["name"] == "tiny");
  CHECK(file.metadata()["context"] == 16);
  CHECK(file.metadata()["vocabulary"] == 6);
  CHECK(file.metadata()["parameters"]["ffn_width"] == 12);
  CHECK(!file.metadata().contains("end_tokens"));
  CHECK(file.read_file("tokenizer.json") == read_checkpoint(options.input, {}).tokenizer);
  const TensorInfo* down = file.find_tensor("blk.0.ffn_down.weight");
  REQUIRE(down != nullptr);
  CHECK(f32_values(file.read_all(*down)) == ramp(96, 8));
  const Graph& graph = file.graph("decode");
  CHECK(graph.outputs.size() == 1);
  CHECK(graph.value(graph.outputs[0]).name == "logits");
}

TEST_CASE("the same model from .bin and GGUF gives the same tensors and graph") {
  TempFolder folder;
  const auto convert = [&](const std::filesystem::path& input, const std::filesystem::path& tokenizer,
                           std::optional<DType> type) {
    const auto output = folder.path() / "out.heed";
    convert_checkpoint({input, output, tokenizer, type, {}});
    return std::pair(contents(output), ModelFile::open(output).graph("decode").nodes.size());
  };
  const auto gguf = folder.write("tiny.gguf", tiny_gguf().bytes());
  const auto bin = folder.write("tiny.bin", tiny_llama2c(0, true));
  const auto tokenizer = folder.write("tokenizer.bin", tiny_tokenizer_bin());
  CHECK(convert(gguf, {}, {}) == convert(bin, tokenizer, {}));
  CHECK(convert(gguf, {}, DType::F16) == convert(bin, tokenizer, DType::F16));

  const auto shared_bin = shared_file("models/stories260K/stories260K.bin");
  const auto shared_tokenizer = shared_file("models/stories260K/tok512.bin");
  if (!shared_bin || !shared_tokenizer) return;
  const auto from_bin = convert(*shared_bin, *shared_tokenizer, {});
  CHECK(from_bin.first.size() == 47);
  // heed's own quantisers give, byte for byte, what ggml's gave for the GGUF files.
  const std::pair<const char*, std::optional<DType>> files[] = {
      {"f32", {}}, {"f16", DType::F16}, {"q8_0", DType::Q8_0}, {"q4_0", DType::Q4_0}};
  for (const auto& [suffix, type] : files) {
    const std::string name = suffix;
    CAPTURE(name);
    const auto shared_gguf = shared_file(fmt::format("models/stories260K/stories260K-{}.gguf", name));
    if (!shared_gguf) continue;
    const auto from_gguf = convert(*shared_gguf, {}, {});
    CHECK(from_gguf == (type ? convert(*shared_bin, *shared_tokenizer, type) : from_bin));
  }
  auto bin_tokenizer = nlohmann::json::parse(read_checkpoint(*shared_bin, *shared_tokenizer).tokenizer);
  auto gguf_tokenizer =
      nlohmann::json::parse(read_checkpoint(*shared_file("models/stories260K/stories260K-f32.gguf"), {}).tokenizer);
  bin_tokenizer.erase("end");
  gguf_tokenizer.erase("end");
  CHECK(bin_tokenizer == gguf_tokenizer);
}

TEST_CASE("--type applies to matrices whose rows divide into blocks; norms stay f32") {
  TempFolder folder;
  GgufFile gguf = tiny_gguf();
  gguf.u32("llama.feed_forward_length", 32);
  gguf.tensor("blk.0.ffn_gate.weight", {32, 8}, 0, f32_bytes(ramp(256, 1)));
  gguf.tensor("blk.0.ffn_up.weight", {32, 8}, 0, f32_bytes(ramp(256, 2)));
  gguf.tensor("blk.0.ffn_down.weight", {8, 32}, 0, f32_bytes(ramp(256, 3)));
  gguf.tensor("output_norm.weight", {8}, 1, std::string(16, '\0'));  // f16 in the file
  const auto input = folder.write("tiny.gguf", gguf.bytes());
  const auto types = [&](std::optional<DType> type) {
    const ConvertSummary summary = convert_checkpoint({input, folder.path() / "out.heed", {}, type, {}});
    const ModelFile file = ModelFile::open(folder.path() / "out.heed");
    const auto of = [&](const char* name) { return file.find_tensor(name)->dtype; };
    CHECK(of("output_norm.weight") == DType::F32);
    CHECK(of("blk.0.attn_norm.weight") == DType::F32);
    return std::tuple(of("blk.0.ffn_down.weight"), of("blk.0.ffn_up.weight"), summary.notes);
  };
  const std::vector<std::string> none;
  CHECK(types({}) == std::tuple(DType::F32, DType::F32, none));
  CHECK(types(DType::BF16) == std::tuple(DType::BF16, DType::BF16, none));
  for (const DType type : {DType::Q8_0, DType::Q4_0}) {
    const auto [down, up, notes] = types(type);
    CHECK(down == type);
    CHECK(up == DType::F32);
    REQUIRE(notes.size() == 1);
    CHECK(contains(notes[0], "stored as f32, because their rows are not a multiple of 32"));
    CHECK(contains(notes[0], "blk.0.attn_q.weight [8, 8]"));
    CHECK(contains(notes[0], "and 3 more"));
  }
  // Types of larger blocks have others stand in for them.
  for (const auto& [type, instead] : {std::pair{DType::Q4_K, DType::Q5_0}, {DType::Q6_K, DType::Q8_0}}) {
    const auto [down, up, notes] = types(type);
    CHECK(down == instead);
    CHECK(up == DType::F32);
    REQUIRE(notes.size() == 2);
    CHECK(contains(notes[0], "stored as f32, because their rows are not a multiple of 32 elements"));
    const std::string expected = fmt::format(
        "stored as {}, because their rows are not a multiple of 256 elements as {} "
        "needs: blk.0.ffn_down.weight [8, 32]",
        dtype_name(instead), dtype_name(type));
    CHECK(notes[1] == expected);
  }
  CHECK(contains(error_of([&] { types(DType::I32); }), "cannot be stored as i32"));
}

TEST_CASE("tensors are converted piece by piece, across the borders of pieces") {
  const std::vector<float> values = ramp(200'000, 3);
  const SourceTensor tensor = from_floats({2000, 100}, values);
  std::size_t pieces = 0;
  convert_tensor(tensor, DType::F16, [&](auto) { ++pieces; });
  CHECK(pieces > 1);
  const std::vector<std::byte> halves = converted(tensor, DType::F16);
  std::vector<float> back(values.size());
  decode_to_f32(DType::F16, halves, back.size(), back.data());
  CHECK(back == values);  // eighths are exact in f16
  CHECK(f32_values(converted(tensor, DType::F32)) == values);
}

TEST_CASE("weights that are not finite, or no longer are in the type asked for, are refused by tensor and element") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto with = [](float value, DType type) {
    std::vector<float> values = ramp(70'144, 0);
    values[65'540] = value;
    return error_of([&] { converted(from_floats({274, 256}, values), type); });
  };
  for (const DType type : matrix_types()) {
    CHECK(contains(with(kInfinity, type), "tensor 'some.weight' [274, 256]: element 65540 is inf"));
    CHECK(contains(with(std::nanf(""), type), "element 65540 is nan"));
    CHECK(with(3, type).empty());
  }
  CHECK(contains(with(65520, DType::F16), "element 65540 is 65520, too large for f16"));
  CHECK(with(65519, DType::F16).empty());
  CHECK(contains(with(3.4e38f, DType::BF16), "too large for bf16"));
  CHECK(with(3.38e38f, DType::BF16).empty());
  CHECK(contains(with(1e7f, DType::Q8_0), "tensor 'some.weight'"));
  CHECK(with(8e6f, DType::Q8_0).empty());
  CHECK(contains(with(1e6f, DType::Q4_0), "tensor 'some.weight'"));
  // A quantised tensor with a scale that is not a number.
  const SourceTensor block = {"q", DType::Q8_0, {1, 32}, [] {
                                std::vector<std::byte> bytes(34, std::byte{1});
                                bytes[0] = std::byte{0x01};
                                bytes[1] = std::byte{0x7e};
                                return bytes;
                              }};
  CHECK(contains(error_of([&] { converted(block, DType::Q8_0); }), "tensor 'q' [1, 32]: element 0 is nan"));
}

TEST_CASE("a failed conversion leaves the output as it was") {
  TempFolder folder;
  GgufFile gguf = tiny_gguf();
  std::vector<float> values = ramp(8, 0);
  values[3] = std::nanf("");
  gguf.tensor("output_norm.weight", {8}, 0, f32_bytes(values));
  const auto input = folder.write("tiny.gguf", gguf.bytes());
  const auto output = folder.write("out.heed", "precious");
  CHECK(contains(error_of([&] {
                   convert_checkpoint({input, output, {}, {}, {}});
                 }),
                 "'output_norm.weight' [8]: element 3"));
  CHECK(read_whole(output) == "precious");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
  CHECK(contains(error_of([&] { convert_checkpoint({input, input, {}, {}, {}}); }), "would be written over"));
}

TEST_CASE("nothing that is read is written over, by whatever name") {
  namespace fs = std::filesystem;
  TempFolder model;
  model.write("config.json", tiny_llama_config().dump());
  model.write("model.safetensors", safetensors(tiny_llama_tensors()));
  TempFolder folder;
  const auto gguf = folder.write("tiny.gguf", tiny_gguf().bytes());
  const auto bin = folder.write("tiny.bin", tiny_llama2c(0, true));
  const auto tokenizer = folder.write("tokenizer.bin", tiny_tokenizer_bin());
  fs::create_hard_link(gguf, folder.path() / "hard.gguf");
  fs::create_symlink("tiny.gguf", folder.path() / "soft.gguf");
  fs::create_symlink(model.path() / "model.safetensors", folder.path() / "weights");
  const auto check = [&](const fs::path& input, const fs::path& with, const fs::path& output) {
    CAPTURE(output);
    const std::string before = read_whole(output);
    const std::string message = error_of([&] { convert_checkpoint({input, output, with, {}, {}}); });
    CHECK_MESSAGE(contains(message, "would be written over"), message);
    CHECK(read_whole(output) == before);
  };
  check(gguf, {}, gguf);
  check(gguf, {}, folder.path() / "hard.gguf");
  check(gguf, {}, folder.path() / "soft.gguf");
  check(bin, tokenizer, bin);
  check(bin, tokenizer, tokenizer);
  check(model.path(), {}, model.path() / "config.json");
  check(model.path(), {}, model.path() / "model.safetensors");
  check(model.path(), {}, folder.path() / "weights");
  // A model made from a folder may lie in it, and be made again.
  for (int i = 0; i < 2; ++i) convert_checkpoint({model.path(), model.path() / "made.heed", {}, {}, {}});
}

TEST_CASE("inputs that are none are refused with what they look like") {
  TempFolder folder;
  const auto complain = [&](const std::filesystem::path& path) { return error_of([&] { read_checkpoint(path, {}); }); };
  CHECK(contains(complain(folder.path() / "absent"), "cannot be opened"));
  CHECK(contains(complain(folder.path()), "a folder without a config.json"));
  CHECK(contains(complain(folder.write("a", "")), "is empty"));
  CHECK(contains(complain(folder.write("a", "heed\1")), "a .heed file already"));
  CHECK(
      contains(complain(folder.write("a", safetensors(tiny_llama_tensors()))), "a safetensors file; name the folder"));
  CHECK(contains(complain(folder.write("a", "{\"model_type\": 1}")), "looks like JSON"));
  CHECK(contains(complain(folder.write("a", "PK\3\4 and more of a zip file, long enough")),
                 "a file of torch.save or another zip file"));
  CHECK(contains(complain(folder.write("a", std::string(100, 'x'))), "this is none of them"));
  const auto folder_with = [&](const nlohmann::json& config) {
    TempFolder other;
    other.write("config.json", config.dump());
    return complain(other.path());
  };
  CHECK(contains(folder_with({{"latent", 8}, {"layers", nlohmann::json::array()}}),
                 "config.json: 'model_type' is missing; a folder of a picture generator has \"model_type\": "
                 "\"generator\" there (models/generator.h lists the keys)"));
  CHECK(contains(folder_with({{"model_type", "generater"}, {"layers", nlohmann::json::array()}}),
                 "'model_type' is \"generater\""));
  CHECK(contains(folder_with({{"model_type", "bert"}}), "'architectures' is missing"));
  const auto gguf = folder.write("tiny.gguf", tiny_gguf().bytes());
  CHECK(contains(error_of([&] { read_checkpoint(gguf, gguf); }), "only for llama2.c"));
}

}  // namespace
}  // namespace heed::convert
