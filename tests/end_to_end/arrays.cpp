// heed run, conform and bench.
#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "formats/npy.h"
#include "heed/error.h"
#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::TempFolder;

std::string write_integers(const fs::path& path, const std::vector<std::int32_t>& values) {
  write_npy(path, DType::I32, {static_cast<std::int64_t>(values.size())}, std::as_bytes(std::span(values)));
  return path.string();
}

/// Inputs of the model that has no tokenizer, from its goldens.
struct RunInputs {
  TempFolder folder;
  nlohmann::json golden =
      nlohmann::json::parse(convert_test::read_whole(convert_test::golden_folder() / "llama_bias" / "golden.json"));
  std::string tokens =
      write_integers(folder.path() / "tokens.npy", golden.at("prompt_tokens").get<std::vector<std::int32_t>>());
  std::string position = write_integers(folder.path() / "position.npy", {0});
  std::string out = (folder.path() / "out").string();

  Finished run(std::vector<std::string> more) const {
    more.insert(more.begin(), {"run", models().without_tokenizer(), "--outputs", out});
    return run_heed(more);
  }
  std::vector<std::string> given() const { return {"--input", "tokens=" + tokens, "--input", "position=" + position}; }
};

}  // namespace

TEST_CASE("run feeds a graph arrays and writes what it gives: transformers' logits") {
  const RunInputs inputs;
  const Finished finished = inputs.run(inputs.given());
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  CHECK(finished.out.starts_with("logits f32 [12, 160]: "));
  const NpyArray logits = read_npy(fs::path(inputs.out) / "logits.npy");
  REQUIRE(logits.shape == Shape{12, 160});
  const std::vector<float> values = logits.floats("logits");
  const double range = inputs.golden.at("logit_range").get<double>();
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = inputs.golden.at("logits")[i / 160][i % 160].get<double>();
    const double error = std::abs(static_cast<double>(values[i]) - expected) / range;
    worst = error <= worst ? worst : error;  // keeps a NaN
  }
  CHECK(worst < 1e-4);

  // A dimension that no input tells: only the last row, which is the last of those above.
  std::vector<std::string> bound = inputs.given();
  bound.insert(bound.end(), {"--bind", "outputs=1", "--bind", "context=16", "--graph", "decode"});
  REQUIRE(inputs.run(bound).exit_code == 0);
  const NpyArray last = read_npy(fs::path(inputs.out) / "logits.npy");
  REQUIRE(last.shape == Shape{1, 160});
  for (std::size_t i = 0; i < 160; ++i) {
    CHECK(std::abs(last.floats("logits")[i] - values[11 * 160 + i]) < 1e-4 * range);
  }
}

TEST_CASE("frequency factors of a GGUF file reach the device") {
  const RunInputs inputs;
  const std::vector<std::int32_t> tokens = {1, 5, 4, 3, 5};
  const std::string given = write_integers(inputs.folder.path() / "five.npy", tokens);
  const std::string gguf =
      inputs.folder
          .write(
              "factors.gguf",
              convert_test::tiny_gguf().tensor("rope_freqs.weight", {2}, 0, convert_test::f32_bytes({0.5f, 3})).bytes())
          .string();
  const std::string model = (inputs.folder.path() / "factors.heed").string();
  REQUIRE(run_heed({"convert", gguf, "-o", model}).exit_code == 0);
  const Finished finished = run_heed(
      {"run", model, "--outputs", inputs.out, "--input", "tokens=" + given, "--input", "position=" + inputs.position});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  const std::vector<float> logits = read_npy(fs::path(inputs.out) / "logits.npy").floats("logits");
  const std::vector<double> expected = convert_test::tiny_gguf_logits(tokens, {0.5, 3});
  REQUIRE(logits.size() == expected.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    CHECK(logits[i] == doctest::Approx(expected[i]).epsilon(1e-4));
  }
}

TEST_CASE("run takes int64, and refuses what does not fit the graph") {
  const RunInputs inputs;
  std::vector<std::int64_t> wide = inputs.golden.at("prompt_tokens").get<std::vector<std::int64_t>>();
  const fs::path path = inputs.folder.path() / "wide.npy";
  const auto write_wide = [&] { write_npy(path, DType::I64, {12}, std::as_bytes(std::span(wide))); };
  const std::vector<std::string> given = {"--input", "tokens=" + path.string(), "--input",
                                          "position=" + inputs.position};
  write_wide();
  CHECK(inputs.run(given).exit_code == 0);
  wide[3] = std::int64_t{1} << 32;
  write_wide();
  check_error(inputs.run(given), "element 3 is 4294967296");

  const std::vector<float> reals = {1, 2, 3};
  write_npy(path, DType::F32, {3}, std::as_bytes(std::span(reals)));
  check_error(inputs.run(given), "holds real numbers");
  write_npy(path, DType::I32, {3, 1}, std::as_bytes(std::span(reals)));
  check_error(inputs.run(given), "[3, 1], expected [tokens]");

  check_error(inputs.run({"--input", "tokens=" + inputs.tokens}), "input 'position'");
  check_error(inputs.run({"--input", "tokens"}), "NAME=FILE.npy");
  check_error(inputs.run({"--input", "mask=" + inputs.tokens}), "no input 'mask'");
  check_error(inputs.run({"--input", "tokens=none.npy", "--input", "position=" + inputs.position}), "none.npy");
  std::vector<std::string> bad = inputs.given();
  bad.insert(bad.end(), {"--bind", "tokens=5"});
  check_error(inputs.run(bad), "'tokens' is 5 here, but 12 elsewhere");
  bad.back() = "outputs=13";
  check_error(inputs.run(bad), "tail");
  bad.back() = "outputs=x";
  check_error(inputs.run(bad), "'x' is no size");
  bad.back() = "output=1";
  check_error(inputs.run(bad), "no dimension 'output'; there are context, outputs, tokens");
  bad = inputs.given();
  bad.insert(bad.end(), {"--graph", "encode"});
  check_error(inputs.run(bad), "encode");
}

TEST_CASE("run refuses ids and positions that are not there") {
  const RunInputs inputs;
  std::vector<std::int32_t> ids = inputs.golden.at("prompt_tokens").get<std::vector<std::int32_t>>();
  const fs::path path = inputs.folder.path() / "ids.npy";
  const auto with = [&](std::int32_t id, std::int32_t position) {
    ids.back() = id;
    return inputs.run({"--input", "tokens=" + write_integers(path, ids), "--input",
                       "position=" + write_integers(inputs.folder.path() / "at.npy", {position})});
  };
  check_error(with(160, 0), "embedding 'embedding': id 160 (element 11) is outside 0 to 159");
  check_error(with(-1, 0), "id -1 (element 11) is outside 0 to 159");
  check_error(with(1, -1), "position -1 (element 0) is outside 0 to 52");
  check_error(with(1, 53), "position 53 (element 0) is outside 0 to 52");
  CHECK(with(159, 52).exit_code == 0);
  const std::string fifth = write_integers(inputs.folder.path() / "fifth.npy", {5});
  check_error(
      inputs.run({"--input", "tokens=" + path.string(), "--input", "position=" + fifth, "--bind", "context=16"}),
      "position 5 (element 0) is outside 0 to 4");
}

TEST_CASE("run refuses an index of an ONNX Gather that names no place") {
  const TempFolder folder;
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("gather");
  const auto describe = [](onnx::ValueInfoProto& value, const char* name, int type, std::initializer_list<int> shape) {
    value.set_name(name);
    value.mutable_type()->mutable_tensor_type()->set_elem_type(type);
    for (const int size : shape) {
      value.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(size);
    }
  };
  describe(*graph.add_input(), "x", onnx::TensorProto::FLOAT, {5});
  describe(*graph.add_input(), "i", onnx::TensorProto::INT32, {2});
  describe(*graph.add_output(), "y", onnx::TensorProto::FLOAT, {2});
  onnx::NodeProto& node = *graph.add_node();
  node.set_name("look up");
  node.set_op_type("Gather");
  node.add_input("x");
  node.add_input("i");
  node.add_output("y");
  std::ofstream(folder.path() / "gather.onnx", std::ios::binary) << model.SerializeAsString();
  const std::string heed = (folder.path() / "gather.heed").string();
  REQUIRE(run_heed({"convert", (folder.path() / "gather.onnx").string(), "-o", heed}).exit_code == 0);

  const std::vector<float> x = {0, 1, 2, 3, 4};
  write_npy(folder.path() / "x.npy", DType::F32, {5}, std::as_bytes(std::span(x)));
  const std::string out = (folder.path() / "out").string();
  const auto with = [&](std::int32_t index) {
    return run_heed({"run", heed, "--input", "x=" + (folder.path() / "x.npy").string(), "--input",
                     "i=" + write_integers(folder.path() / "i.npy", {-5, index}), "--outputs", out});
  };
  check_error(with(1000000), "gather 'look up': index 1000000 (element 1) is outside -5 to 4");
  CHECK(!fs::exists(fs::path(out) / "y.npy"));
  REQUIRE(with(3).exit_code == 0);
  CHECK(read_npy(fs::path(out) / "y.npy").floats("y") == std::vector<float>{0, 3});
}

TEST_CASE("run and verify refuse elements that the type of an input does not have") {
  const TempFolder folder;
  struct Range {
    DType type;
    std::int32_t least, most;
  };
  for (const Range& range : {Range{DType::U8, 0, 255}, Range{DType::I8, -128, 127}, Range{DType::I16, -32768, 32767},
                             Range{DType::U16, 0, 65535}, Range{DType::U32, 0, INT32_MAX}, Range{DType::Bool, 0, 1}}) {
    const std::string name(dtype_name(range.type));
    CAPTURE(name);
    GraphBuilder g("main");
    g.output(g.add("cast", "cast", {g.input("x", range.type, {2})}, {{"to", std::string("f32")}}), "y");
    ModelHeader header;
    header.graphs.push_back(std::move(g).finish());
    header.metadata = {{"graph", "main"}};
    const std::string model = (folder.path() / (name + ".heed")).string();
    write_model_file(model, header, {}, [](const TensorInfo&, const auto&) {});
    const auto given = [&](std::int32_t first) {
      return "x=" + write_integers(folder.path() / "x.npy", {first, range.least});
    };
    const std::string out = (folder.path() / "out").string();
    for (const std::int32_t right : {range.least, range.most}) {
      CHECK(run_heed({"run", model, "--outputs", out, "--input", given(right)}).exit_code == 0);
      CHECK(read_npy(fs::path(out) / "y.npy").floats("y").at(0) == static_cast<float>(right));
    }
    for (const std::int64_t wrong : {std::int64_t{range.least} - 1, std::int64_t{range.most} + 1}) {
      if (wrong < INT32_MIN || wrong > INT32_MAX) continue;
      const std::string input = given(static_cast<std::int32_t>(wrong));
      const std::string message = "input 'x': element 0 is " + std::to_string(wrong) + ", expected ";
      check_error(run_heed({"run", model, "--outputs", out, "--input", input}), message);
      check_error(run_heed({"verify", model, "--input", input}), message);
    }
  }
}

TEST_CASE("run keeps outputs apart whose names make the same file") {
  const TempFolder folder;
  GraphBuilder g("main");
  const ValueId x = g.input("x", DType::F32, {2});
  g.output(g.add("neg", "first", {x}), "a/b");
  g.output(g.add("relu", "second", {x}), "a_b");
  ModelHeader header;
  header.graphs.push_back(std::move(g).finish());
  header.metadata = {{"graph", "main"}};
  const fs::path model = folder.path() / "two.heed";
  write_model_file(model, header, {}, [](const TensorInfo&, const auto&) {});
  const std::vector<float> given = {-1, 2};
  write_npy(folder.path() / "x.npy", DType::F32, {2}, std::as_bytes(std::span(given)));
  const fs::path out = folder.path() / "out";
  const Finished ran = run_heed(
      {"run", model.string(), "--outputs", out.string(), "--input", "x=" + (folder.path() / "x.npy").string()});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.both());
  CHECK(ran.out.find("a/b f32 [2]: " + (out / "a_b.2.npy").string()) != std::string::npos);
  CHECK(read_npy(out / "a_b.2.npy").floats("a/b") == std::vector<float>{1, -2});
  CHECK(read_npy(out / "a_b.npy").floats("a_b") == std::vector<float>{0, 2});  // a script asks for it by this name
}

TEST_CASE("run leaves no half-written array") {
  const RunInputs inputs;
  std::vector<std::string> arguments = {"run", models().without_tokenizer(), "--outputs", inputs.out};
  for (const std::string& argument : inputs.given()) arguments.push_back(argument);
  const Finished finished = run_heed(arguments, {.file_size_limit = 1000});
  if (finished.signal == SIGBUS || finished.both().find("AddressSanitizer: BUS") != std::string::npos) {
    MESSAGE("SKIPPED: this driver keeps device memory in files (Mesa 25), which the limit of the test ends");
    return;
  }
  check_error(finished, "logits.npy");
  CHECK(fs::is_empty(inputs.out));
}

TEST_CASE("damaged .npy files are refused") {
  const RunInputs inputs;
  const std::string content = convert_test::read_whole(inputs.tokens);
  const std::vector<std::byte> whole(reinterpret_cast<const std::byte*>(content.data()),
                                     reinterpret_cast<const std::byte*>(content.data()) + content.size());
  REQUIRE(parse_npy(whole, "whole").shape == Shape{12});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_THROWS_AS(parse_npy(std::span(whole).first(size), "cut"), Error);
  }
  for (std::size_t at = 0; at < whole.size() * 8; ++at) {
    std::vector<std::byte> flipped = whole;
    flipped[at / 8] ^= static_cast<std::byte>(1 << (at % 8));
    try {
      const NpyArray array = parse_npy(flipped, "flipped");
      CHECK(array.data.size() == 48);  // only elements, types of the same size and spaces can change unseen
    } catch (const Error& error) {
      CHECK(std::string(error.what()).starts_with("flipped: "));
    }
  }
}

TEST_CASE("conform: a table, a verdict, JSON, and exit code 0 where all is well") {
  const Finished text = run_heed({"conform", "--op", "triangle", "--repeats", "2"});
  CHECK_MESSAGE(text.exit_code == 0, text.both());
  CHECK(text.out.find("worst error") != std::string::npos);
  CHECK(text.out.find("\nconforms: ") != std::string::npos);
  const Finished json_run = run_heed({"conform", "--op", "triangle", "--repeats", "1", "--json"});
  CHECK(json_run.exit_code == 0);
  const nlohmann::json json = nlohmann::json::parse(json_run.out);
  CHECK(json.at("conforms") == true);
  CHECK(json.at("cases").get<int>() > 5);
  REQUIRE(!json.at("rows").empty());
  for (const nlohmann::json& row : json.at("rows")) {
    CHECK(row.at("failures") == 0);
    CHECK(row.at("worst_error").get<double>() <= 1.0);
  }
  check_error(run_heed({"conform", "--op", "no such op"}), "'no such op'");
}

TEST_CASE("bench measures single kernels by the device's clock") {
  const Finished finished =
      run_heed({"bench", "--kernels", "--only", "sample", "--only", "32000", "-r", "1", "--json"});
  REQUIRE(finished.exit_code == 0);
  const nlohmann::json measured = nlohmann::json::parse(finished.out);
  REQUIRE(measured.at("kernels").size() == 2);  // the largest, and drawn
  for (const nlohmann::json& kernel : measured.at("kernels")) {
    CHECK(kernel.at("seconds").get<double>() > 0.0);
    CHECK(kernel.at("bytes") == 32000 * 4);
    CHECK(kernel.at("kernels").at(0).get<std::string>().starts_with("sample"));
  }
  const Finished table = run_heed({"bench", "--kernels", "--only", "linear 4096", "--only", "q4_k rows 2", "-r", "1"});
  REQUIRE(table.exit_code == 0);
  CHECK(lines_of(table.out).size() == 3);  // device, heading, product
  CHECK(table.out.find("linear 4096x4096  q4_k     2  linear_") != std::string::npos);
  check_error(run_heed({"bench", "--kernels", "--only", "nothing"}), "--only nothing: no kernel's work is called so");
  check_error(run_heed({"bench", "--kernels", models().llama()}), "MODEL excludes --kernels");
  check_error(run_heed({"bench", "--kernels", "-p", "4"}), "excludes");
  check_error(run_heed({"bench", models().llama(), "--only", "sample"}), "--only requires --kernels");
  check_error(run_heed({"bench"}), "bench needs a MODEL, or --kernels");
  check_error(run_heed({"bench", models().llama(), "--device", ""}), "--device: the name is empty");
}

TEST_CASE("bench measures a model, with or without a tokenizer") {
  for (const std::string& model : {models().llama(), models().without_tokenizer()}) {
    CAPTURE(model);
    const Finished finished = run_heed({"bench", model, "-p", "8", "-n", "4", "-r", "2", "--json"});
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    const nlohmann::json json = nlohmann::json::parse(finished.out);
    for (const char* key : {"prompt_tokens_per_second", "generated_tokens_per_second", "bytes_per_token",
                            "bandwidth_bytes_per_second", "dispatches_per_token", "startup_seconds", "load_seconds"}) {
      CAPTURE(std::string(key));
      CHECK(json.at(key).get<double>() > 0);
    }
    CHECK(json.at("bandwidth_bytes_per_second").get<double>() ==
          doctest::Approx(json.at("bytes_per_token").get<double>() *
                          json.at("generated_tokens_per_second").get<double>()));
    // Every weight but the embedding's rows is read once a token, and the caches are small.
    CHECK(json.at("bytes_per_token").get<std::uint64_t>() < 2 * fs::file_size(model));
    CHECK(json.at("peak_memory_bytes").get<std::uint64_t>() > fs::file_size(model));
    CHECK(json.at("startup_seconds").get<double>() >= json.at("load_seconds").get<double>());
    CHECK(json.at("model") == model);
    CHECK(json.at("type") == (model == models().llama() ? "f32" : "f16"));
  }
  const Finished deep = run_heed({"bench", models().llama(), "-p", "8", "-n", "4", "-d", "12", "-r", "1", "--json"});
  REQUIRE_MESSAGE(deep.exit_code == 0, deep.both());
  CHECK(nlohmann::json::parse(deep.out).at("depth") == 12);
  const Finished half =
      run_heed({"bench", models().llama(), "-p", "8", "-n", "4", "-r", "1", "--cache", "f16", "--json"});
  REQUIRE_MESSAGE(half.exit_code == 0, half.both());
  CHECK(nlohmann::json::parse(half.out).at("cache") == "f16");
  const Finished told = run_heed({"bench", models().llama(), "-p", "8", "-n", "4", "-r", "1", "--cache", "f32"});
  CHECK(std::regex_search(told.out, std::regex("keys and values +f32\n")));
  check_error(run_heed({"bench", models().llama(), "--lines", "2"}),
              "--lines says nothing of a text model, which reads -p");
  check_error(run_heed({"bench", models().dates(), "-d", "2"}), "--depth says nothing of a translation model");
  check_error(run_heed({"bench", models().llama(), "--graph", "decode", "--bind", "tokens=1", "-n", "2"}),
              "-n says nothing of a graph");
  check_error(run_heed({"bench", models().llama(), "-d", "1000000"}), "-d 1000000 need a context of 1000017 tokens");
  // A model that ends with every token is measured all the same.
  const TempFolder folder;
  nlohmann::json config = convert_test::tiny_llama_config();
  config["eos_token_id"] = {0, 1, 2, 3, 4, 5};
  folder.write("config.json", config.dump());
  folder.write("model.safetensors", convert_test::safetensors(convert_test::tiny_llama_tensors()));
  const std::string ending = (folder.path() / "ending.heed").string();
  REQUIRE(run_heed({"convert", folder.path().string(), "-o", ending}).exit_code == 0);
  const Finished ended = run_heed({"generate", ending, "--tokens", "1", "--json"});
  REQUIRE_MESSAGE(ended.exit_code == 0, ended.both());
  CHECK(nlohmann::json::parse(ended.out).at("stop_reason") == "end_token");
  CHECK(nlohmann::json::parse(ended.out).at("tokens").empty());
  const Finished measured = run_heed({"bench", ending, "-p", "4", "-n", "4", "-r", "1"});
  CHECK_MESSAGE(measured.exit_code == 0, measured.both());

  // The type is that of most elements of matrices, though those whose rows cannot be quantised have more bytes.
  config.update({{"hidden_size", 32}, {"intermediate_size", 40}});
  std::vector<convert_test::SafetensorsItem> tensors = convert_test::tiny_llama_tensors();
  for (convert_test::SafetensorsItem& tensor : tensors) {
    for (std::int64_t& size : tensor.shape) size = size == 8 ? 32 : size == 12 ? 40 : size;
    const auto count = static_cast<std::size_t>(element_count(tensor.shape));
    tensor.bytes = convert_test::f32_bytes(convert_test::ramp(count, 1));
  }
  folder.write("config.json", config.dump());
  folder.write("model.safetensors", convert_test::safetensors(tensors));
  const std::string mixed = (folder.path() / "mixed.heed").string();
  REQUIRE(run_heed({"convert", folder.path().string(), "-o", mixed, "--type", "q4_0"}).exit_code == 0);
  const Finished quantised = run_heed({"bench", mixed, "-p", "4", "-n", "4", "-r", "1", "--json"});
  REQUIRE_MESSAGE(quantised.exit_code == 0, quantised.both());
  CHECK(nlohmann::json::parse(quantised.out).at("type") == "q4_0");

  const Finished text = run_heed({"bench", models().llama(), "-p", "8", "-n", "4", "-r", "1"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find("start to first token") != std::string::npos);
  check_error(run_heed({"bench", models().llama(), "-p", "64"}), "context of 65 tokens");
}

}  // namespace heed::end_to_end
