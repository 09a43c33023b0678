// heed sound from the command line: files and streams of samples, options that fit the model and others, bad input.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/npy.h"
#include "formats/picture_file.h"
#include "tests/end_to_end/process.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::TempFolder;

/// A model of a folder of the sources, converted.
std::string converted_sound(const TempFolder& folder, const std::string& from) {
  const fs::path path = fs::path(HEED_SOURCE_DIR) / from;
  const std::string heed = (folder.path() / (path.filename().string() + ".heed")).string();
  const Finished finished = run_heed({"convert", path.string(), "-o", heed});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return heed;
}

std::string bytes_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::uint32_t number_at(const std::string& bytes, std::size_t at, int count) {
  std::uint32_t number = 0;
  for (int i = 0; i < count; ++i)
    number |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes.at(at + static_cast<std::size_t>(i))))
              << (8 * i);
  return number;
}

/// The samples of a WAV file of one channel and 16 bits; its rate is checked, and that it says how long it is.
std::string samples_in(const std::string& wave, std::uint32_t rate, bool endless = false) {
  REQUIRE(wave.size() >= 44);
  CHECK(wave.substr(0, 4) == "RIFF");
  CHECK(wave.substr(8, 8) == "WAVEfmt ");
  CHECK(number_at(wave, 22, 2) == 1);
  CHECK(number_at(wave, 24, 4) == rate);
  CHECK(number_at(wave, 34, 2) == 16);
  CHECK(wave.substr(36, 4) == "data");
  const std::string samples = wave.substr(44);
  CHECK(number_at(wave, 40, 4) == (endless ? 0xffffffffu : samples.size()));
  return samples;
}

class Sounds {
 public:
  explicit Sounds(const std::string& from) : model(converted_sound(folder, from)) {}

  Finished make(std::vector<std::string> arguments, const RunOptions& options = {}) const {
    arguments.insert(arguments.begin(), {"sound", model});
    return run_heed(arguments, options);
  }
  /// The samples of a file that must come.
  std::string samples(std::vector<std::string> arguments) const {
    const std::string output = path("sound.wav");
    arguments.insert(arguments.end(), {"-o", output});
    const Finished finished = make(arguments);
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    CHECK(finished.out.empty());
    return samples_in(bytes_of_file(output), 8000);
  }
  std::string path(const std::string& name) const { return (folder.path() / name).string(); }

  TempFolder folder;
  std::string model;
};

}  // namespace

TEST_CASE("sound: the same seed gives the same bytes, in a file and streamed") {
  const Sounds sounds("tests/golden/wavenet/mu_law");
  const std::vector<std::string> wanted = {"--text", "one two 1", "--seed", "5"};
  const std::string samples = sounds.samples(wanted);
  CHECK(samples.size() == 2 * 4 * (4 + 3 + 4));  // frames of four samples
  CHECK(sounds.samples(wanted) == samples);
  CHECK(sounds.samples({"--text", "121", "--seed", "5"}) == samples);
  CHECK(sounds.samples({"--text", "one two 1", "--seed", "6"}) != samples);
  CHECK(sounds.samples({"--text", "one two 1", "--seed", "5", "--voice", "c"}) != samples);
  CHECK(sounds.samples({"--text", "one two 1", "--seed", "5", "--temperature", "0"}) != samples);

  std::vector<std::string> streamed = wanted;
  streamed.insert(streamed.end(), {"-o", "-"});
  const Finished finished = sounds.make(streamed);
  CHECK(finished.exit_code == 0);
  CHECK(samples_in(finished.out, 8000, true) == samples);
}

TEST_CASE("sound: --seconds cuts what is said, or says it again") {
  const Sounds sounds("tests/golden/wavenet/mu_law");
  CHECK(sounds.samples({"--class", "one", "--seconds", "0.001"}).size() == 2 * 8);
  CHECK(sounds.samples({"--class", "2", "--seconds", "0.25"}).size() == 2 * 2000);
  const Sounds plain("tests/golden/wavenet/mu_law_plain");
  CHECK(plain.samples({}).size() == 2 * 8000);
}

TEST_CASE("sound: features of frames come from a file") {
  const Sounds sounds("tests/golden/wavenet/logistics");
  const std::vector<float> features = {0.1f, 0.2f, 0.3f, -0.1f, 0.5f, 0.9f};
  write_npy(sounds.path("features.npy"), DType::F32, {2, 3}, std::as_bytes(std::span(features)));
  CHECK(sounds.samples({"--condition", sounds.path("features.npy")}).size() == 2 * 2 * 8);
  write_npy(sounds.path("wide.npy"), DType::F32, {3, 2}, std::as_bytes(std::span(features)));
  check_error(sounds.make({"--condition", sounds.path("wide.npy"), "-o", sounds.path("x.wav")}),
              "expected [frames, 3]");
  check_error(sounds.make({"-o", sounds.path("x.wav")}), "wants 3 features for each frame");
  check_error(sounds.make({"--class", "1", "--condition", sounds.path("features.npy"), "-o", sounds.path("x.wav")}),
              "no classes to choose from");
  CHECK(!fs::exists(sounds.path("x.wav")));
}

TEST_CASE("sound: --picture shows the wave and its spectrum") {
  const Sounds sounds("tests/golden/wavenet/logistics_classes");
  const std::string picture = sounds.path("sound.png");
  sounds.samples({"--class", "high", "--seconds", "0.5", "--seed", "1", "--picture", picture});
  const Picture shown = read_picture(picture).colours;
  CHECK(shown.width >= 640);
  CHECK(shown.height > 300);
  const auto [least, most] = std::ranges::minmax(shown.values);
  CHECK(most - least > 0.8f);
  check_error(sounds.make({"--class", "high", "-o", sounds.path("x.wav"), "--picture", sounds.path("x.jpg")}), "x.jpg");
  check_error(sounds.make({"--class", "high", "--seconds", "10000", "-o", sounds.path("x.wav"), "--picture", picture}),
              "--picture shows at most");
}

TEST_CASE("sound: what a model cannot do is refused by name, and leaves no file") {
  const Sounds sounds("tests/golden/wavenet/mu_law");
  const std::string output = sounds.path("x.wav");
  const auto refused = [&](std::vector<std::string> arguments, const std::string& part) {
    CAPTURE(part);
    arguments.insert(arguments.end(), {"-o", output});
    check_error(sounds.make(arguments), part);
    CHECK(!fs::exists(output));
  };
  refused({"--class", "three"}, "there is no class 'three'; there are one, two");
  refused({"--class", "7"}, "there is no class '7'");
  refused({"--text", "one three"}, "'three' of the text is nothing that the model says");
  refused({"--text", " , "}, "the text has no words");
  refused({}, "--class or --text");
  refused({"--class", "one", "--voice", "d"}, "there is no voice 'd'; there are a, b, c");
  refused({"--class", "one", "--seconds", "1e9"}, "are more than 2147483647 samples");
  refused({"--class", "one", "--seconds", "nan"}, "seconds");
  refused({"--class", "one", "--temperature", "1000"}, "a temperature of 1000");
  refused({"--class", "one", "--seconds", "0"}, "--seconds");
  refused({"--class", "one", "--seconds", "-1"}, "--seconds");
  refused({"--class", "one", "--temperature", "-1"}, "--temperature");
  refused({"--class", "one", "--text", "one"}, "--class");
  check_error(sounds.make({"--class", "one", "-o", sounds.path("none/x.wav")}), "none/x.wav");
  check_error(sounds.make({"--class", "one", "-o", sounds.path("x.mp3")}), "heed writes WAV files");
  check_error(sounds.make({"--class", "one", "-o", sounds.model}), "would be written over");
  check_error(sounds.make({"--class", "one", "-o", output}, {.file_size_limit = 64}), "cannot write");
  CHECK(!fs::exists(output));
  const Sounds plain("tests/golden/wavenet/mu_law_plain");
  check_error(plain.make({"--voice", "a", "-o", output}), "no voices to choose from");
  check_error(plain.make({"--class", "0", "-o", output}), "no classes to choose from");
  check_error(run_heed({"sound", plain.path("none.heed"), "-o", output}), "none.heed");
  check_error(run_heed({"draw", plain.model, "-o", plain.path("x.png")}), "sound");
  check_error(run_heed({"generate", plain.model, "x"}), "'sound'");
}

TEST_CASE("sound: 10,000 seconds stream in bounded memory, and Ctrl-C keeps what is there") {
  const Sounds sounds("tests/golden/wavenet/mu_law_plain");
  // Whoever reads leaves after the first bytes.
  const Finished left = sounds.make({"--seconds", "10000", "-o", "-"}, {.close_output_early = true});
  CHECK(left.exit_code == 141);

  RunOptions options;
  options.on_output = [](int process) { ::kill(process, SIGINT); };
  const Finished stopped = sounds.make({"--seconds", "10000", "-o", "-"}, options);
  CHECK(stopped.exit_code == 130);
  CHECK(samples_in(stopped.out, 8000, true).size() < 2 * 8000 * 10000);
}

TEST_CASE("sound: inspect, verify and bench know such a file") {
  const Sounds sounds("tests/golden/wavenet/mu_law");
  const Finished inspected = run_heed({"inspect", sounds.model, "--check"});
  CHECK(inspected.exit_code == 0);
  CHECK(inspected.out.find("task: \"sound\"") != std::string::npos);
  const Finished verified = run_heed({"verify", sounds.model});
  CHECK_MESSAGE(verified.exit_code == 0, verified.both());
  const Finished measured = run_heed({"bench", sounds.model, "-r", "1", "--json"});
  REQUIRE_MESSAGE(measured.exit_code == 0, measured.both());
  const nlohmann::json said = nlohmann::json::parse(measured.out);
  CHECK(said.at("sample_rate") == 8000);
  CHECK(said.at("real_time_factor").get<double>() > 0.0);
}

TEST_CASE("sound: damaged folders are refused by name") {
  const TempFolder folder;
  const fs::path from = fs::path(HEED_SOURCE_DIR) / "tests/golden/wavenet/mu_law";
  const nlohmann::json config = nlohmann::json::parse(bytes_of_file(from / "config.json"));
  const auto refused = [&](const std::string& key, const nlohmann::json& value, const std::string& part) {
    CAPTURE(part);
    const fs::path to = folder.path() / "model";
    fs::create_directories(to);
    fs::copy_file(from / "model.safetensors", to / "model.safetensors", fs::copy_options::overwrite_existing);
    nlohmann::json changed = config;
    changed[key] = value;
    if (value.is_null()) changed.erase(key);
    std::ofstream(to / "config.json") << changed.dump();
    check_error(run_heed({"convert", to.string(), "-o", (folder.path() / "x.heed").string()}), part);
    CHECK(!fs::exists(folder.path() / "x.heed"));
  };
  refused("output", "linear", "'output'");
  refused("output", "mixture_of_logistics", "input.weight");
  refused("dilations", nlohmann::json::array(), "'dilations'");
  refused("dilations", {1, 2, 4}, "layers.3");
  refused("dilations", {1, 2, 4, 8, 16}, "layers.3.residual.weight");
  refused("dilations", {1, 2, 4, 0}, "'dilations'");
  refused("sample_rate", nullptr, "'sample_rate'");
  refused("local_hop", nullptr, "'local_hop'");
  refused("voices", {"a", "b"}, "global_embedding has 3 rows");
  refused("classes", {"one", "two", "three"}, "'voices'");
  refused("classes", {{{"name", "one"}, {"frames", {0, 5}}}}, "expected ids from 0 to 4");
  refused("classes", {{{"name", "one"}}}, "'frames'");
  refused("levels", 16, "the tensors say 32");
  refused("start", 32, "'start'");
  refused("residual_scale", 0, "'residual_scale'");
  refused("speed", 1, "\"speed\" is not known");
  refused("names", {{"gates", "x"}}, "gates");
}

}  // namespace heed::end_to_end
