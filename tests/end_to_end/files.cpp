// heed convert and heed inspect: whole files, damaged files, files that cannot be written.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::golden_folder;
using convert_test::read_whole;
using convert_test::TempFolder;

std::string path_in(const TempFolder& folder, const std::string& name) { return (folder.path() / name).string(); }

/// Places spread over a file: its first bytes one by one, where counts and offsets stand, then ever farther apart. A
/// slow program (sanitized) gets one of HEED_SLOWNESS, in the environment.
std::vector<std::size_t> places(std::size_t size) {
  const char* slowness = std::getenv("HEED_SLOWNESS");
  const std::size_t stride = slowness == nullptr ? 1 : std::stoul(slowness);
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < size; at += stride * (1 + at / 12)) places.push_back(at);
  return places;
}

/// Damage may pass unseen only where the format has no checksum; then what was made of it must be sound.
void check_conversion_survives(const std::vector<std::string>& arguments, const TempFolder& folder) {
  const std::string output = path_in(folder, "out.heed");
  std::vector<std::string> all = {"convert", "-o", output};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Finished finished = run_heed(all);
  INFO(finished.both());
  if (finished.exit_code == 0) {
    const Finished inspected = run_heed({"inspect", "--check", output});
    CHECK_MESSAGE(inspected.exit_code == 0, inspected.both());
  } else {
    check_error(finished, "");
    CHECK(!fs::exists(output));
  }
  fs::remove(output);
}

/// Runs `convert` on the file cut short and with a bit flipped at many places.
void check_damage(const TempFolder& folder, const std::string& name, const std::string& content,
                  const std::vector<std::string>& arguments) {
  for (const std::size_t at : places(content.size())) {
    CAPTURE(at);
    folder.write(name, content.substr(0, at));
    check_conversion_survives(arguments, folder);
    std::string flipped = content;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    folder.write(name, flipped);
    check_conversion_survives(arguments, folder);
  }
}

}  // namespace

TEST_CASE("convert says what it made, and inspect shows it") {
  const TempFolder folder;
  const std::string output = path_in(folder, "model.heed");
  const Finished converted =
      run_heed({"convert", (golden_folder() / "llama").string(), "-o", output, "--type", "q8_0"});
  CHECK(converted.exit_code == 0);
  CHECK(converted.out.find(output) != std::string::npos);
  CHECK(converted.out.find("q8_0") != std::string::npos);

  const Finished text = run_heed({"inspect", output});
  CHECK(text.exit_code == 0);
  CHECK(text.error.empty());
  for (const char* part :
       {"architecture: \"llama\"", "input  tokens: i32 [tokens]", "state  cache.k.1: f32 [context, 64]",
        "output logits: f32 [outputs, 370]", "embedding = embedding(tokens, token_embd.weight) -> f32 [tokens, 64]",
        "layer1.attention = attention(layer1.q_rotary, layer1.k_rotary, layer1.v, _, cache.k.1, cache.v.1, position)",
        "-> f32 [tokens, 64]", "tokenizer.json, "}) {
    CAPTURE(std::string(part));
    CHECK(text.out.find(part) != std::string::npos);
  }
  CHECK(text.out.find("-> ?") == std::string::npos);

  const Finished checked = run_heed({"inspect", output, "--check"});
  CHECK(checked.exit_code == 0);
  CHECK(checked.out == text.out + "\nchecked: the checksums of 21 tensors agree\n");
  CHECK(nlohmann::json::parse(run_heed({"inspect", output, "--json", "--check"}).out).at("checksums") == "agree");

  const nlohmann::json json = nlohmann::json::parse(run_heed({"inspect", output, "--json"}).out);
  CHECK(json.at("bytes") == fs::file_size(output));
  CHECK(json.at("metadata").at("vocabulary") == 370);
  CHECK(json.at("files").at(0).at("name") == "tokenizer.json");
  std::size_t quantised = 0;
  std::size_t listed = 0;
  for (const nlohmann::json& tensor : json.at("tensors")) {
    quantised += tensor.at("type") == "q8_0";
    CHECK(text.out.find(tensor.at("name").get<std::string>() + " ") != std::string::npos);
    ++listed;
  }
  CHECK(quantised == 2 + 2 * 7);
  CHECK(listed == quantised + 2 * 2 + 1);
  const nlohmann::json& graph = json.at("graphs").at(0);
  CHECK(graph.at("outputs").at(0) == nlohmann::json({{"name", "logits"}, {"type", "f32 [outputs, 370]"}}));
  CHECK(graph.at("nodes").at(0).at("op") == "embedding");
}

TEST_CASE("convert --set fixes inputs of ONNX models that are there, and says so") {
  const TempFolder folder;
  const std::string output = path_in(folder, "out.heed");
  const auto convert = [&](const std::filesystem::path& input, std::vector<std::string> more) {
    more.insert(more.begin(), {"convert", input.string(), "-o", output});
    return run_heed(more);
  };
  const std::filesystem::path file = golden_folder().parent_path() / "onnx_quantised" / "mlp_dynamic.onnx";
  check_error(convert(file, {"--set", "y=1"}), "there is no input or dimension \"y\"; inputs are \"x\" f32 [4, 20]");
  check_error(convert(file, {"--set", "x=1,2"}), "2 values for the input \"x\" (f32 [4, 20]), expected 80");
  check_error(convert(file, {"--set", "x=one"}), "1 value for the input");
  check_error(convert(file, {"--set", "x"}), "expected NAME=VALUE");
  check_error(convert(file, {"--set", "x=1", "--set", "x=2"}), "\"x\" is set twice");
  check_error(convert(golden_folder() / "llama", {"--set", "x=1"}), "--set x=1 fixes an input of an ONNX model");
  std::string values = "x=0.5";
  for (int i = 1; i < 80; ++i) values += fmt::format(",{}", i % 7);
  const Finished fixed = convert(file, {"--set", values});
  REQUIRE_MESSAGE(fixed.exit_code == 0, fixed.both());
  CHECK(fixed.error.find("note: input \"x\" is fixed to 0.5,1,2") != std::string::npos);
}

TEST_CASE("inputs that are none are one line") {
  const TempFolder folder;
  const std::string output = path_in(folder, "out.heed");
  const auto convert = [&](const std::string& input) { return run_heed({"convert", input, "-o", output}); };
  check_error(convert(path_in(folder, "none.gguf")), "none.gguf");
  check_error(convert(folder.path().string()), folder.path().string());
  check_error(convert(folder.write("empty.bin", "").string()), "empty");
  check_error(convert(folder.write("text.bin", "Hello, this is no checkpoint at all.").string()), "text.bin");
  check_error(convert(models().llama()), ".heed file already");
  check_error(run_heed({"convert", (golden_folder() / "llama").string(), "-o", path_in(folder, "no/such/out.heed")}),
              "no/such");
  check_error(run_heed({"inspect", path_in(folder, "none.heed")}), "none.heed");
  check_error(run_heed({"inspect", (golden_folder() / "llama" / "config.json").string()}), "config.json");
  const auto with_tokenizer = [&](const std::string& input) {
    return run_heed({"convert", input, "-o", output, "--tokenizer", "missing.bin"});
  };
  check_error(with_tokenizer(path_in(folder, "empty.bin")), "empty.bin: heed converts");
  check_error(with_tokenizer(path_in(folder, "text.bin")), "this is none of them");
  check_error(with_tokenizer(folder.path().string()), "without a config.json");
  check_error(with_tokenizer((golden_folder() / "llama").string()), "only for llama2.c models");
  CHECK(!fs::exists(output));
}

TEST_CASE("a file that outgrows the disk leaves nothing behind, and what was there stays") {
  const TempFolder folder;
  const std::string output = folder.write("model.heed", "what was there").string();
  RunOptions options;
  options.file_size_limit = 100'000;  // a limit stands in for a full disk: writing fails half way in the same manner
  const Finished finished = run_heed({"convert", (golden_folder() / "llama").string(), "-o", output}, options);
  check_error(finished, "model.heed");
  CHECK(read_whole(output) == "what was there");
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a full disk is told at whatever byte of the output it shows") {
  const TempFolder folder;
  const std::string input = folder.write("in.gguf", convert_test::tiny_gguf().bytes()).string();
  const std::string output = path_in(folder, "out.heed");
  REQUIRE(run_heed({"convert", input, "-o", output}).exit_code == 0);
  const std::uint64_t size = fs::file_size(output);
  fs::remove(output);
  for (const std::uint64_t limit : {std::uint64_t{1}, size / 4, size / 2, size - 1}) {
    CAPTURE(limit);
    check_error(run_heed({"convert", input, "-o", output}, {.file_size_limit = limit}), "out.heed");
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
  }
  if (!fs::is_character_file("/dev/full")) {
    MESSAGE("SKIPPED: no /dev/full here");
    return;
  }
  check_error(run_heed({"inspect", models().llama()}, {.output_file = "/dev/full"}), "standard output");
  check_error(run_heed({"inspect", models().llama(), "--json"}, {.output_file = "/dev/full"}), "standard output");
  check_error(run_heed({"--help"}, {.output_file = "/dev/full"}), "standard output");
  // The model is made by the time that this cannot be said.
  check_error(run_heed({"convert", input, "-o", output}, {.output_file = "/dev/full"}), "standard output");
  CHECK(run_heed({"inspect", "--check", output}).exit_code == 0);
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("convert does not write over what it reads") {
  const TempFolder folder;
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    fs::copy_file(golden_folder() / "gpt2" / name, folder.path() / name);
  }
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    const std::string before = read_whole(folder.path() / name);
    check_error(run_heed({"convert", folder.path().string(), "-o", path_in(folder, name)}), name);
    CHECK(read_whole(folder.path() / name) == before);
  }
}

TEST_CASE("a .heed file that is cut short or has a bit flipped is refused") {
  const TempFolder folder;
  const std::string content = read_whole(models().without_tokenizer());
  const std::string path = path_in(folder, "damaged.heed");
  for (const std::size_t at : places(content.size())) {
    CAPTURE(at);
    folder.write("damaged.heed", content.substr(0, at));
    check_error(run_heed({"inspect", path}), "damaged.heed");
    std::string flipped = content;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    folder.write("damaged.heed", flipped);
    check_error(run_heed({"inspect", "--check", path}), "damaged.heed");
  }
}

TEST_CASE("damaged GGUF files are refused, or converted to something sound") {
  const TempFolder folder;
  check_damage(folder, "in.gguf", convert_test::tiny_gguf().bytes(), {path_in(folder, "in.gguf")});
}

TEST_CASE("damaged llama2.c files are refused, or converted to something sound") {
  const TempFolder folder;
  const std::string tokenizer = folder.write("tokenizer.bin", convert_test::tiny_tokenizer_bin()).string();
  const std::string model = path_in(folder, "in.bin");
  check_damage(folder, "in.bin", convert_test::tiny_llama2c(0, true), {model, "--tokenizer", tokenizer});
  folder.write("in.bin", convert_test::tiny_llama2c(0, true));
  check_damage(folder, "tokenizer.bin", convert_test::tiny_tokenizer_bin(), {model, "--tokenizer", tokenizer});
}

TEST_CASE("damaged safetensors, configurations and tokenizers are refused, or converted to something sound") {
  const TempFolder folder;
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    fs::copy_file(golden_folder() / "gpt2" / name, folder.path() / name);
  }
  const TempFolder out;
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    CAPTURE(std::string(name));
    const std::string content = read_whole(folder.path() / name);
    check_damage(folder, name, content, {folder.path().string()});
    folder.write(name, content);
  }
}

}  // namespace heed::end_to_end
