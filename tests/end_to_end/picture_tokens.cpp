// heed draw of models that draw a text, through the program.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/picture_file.h"
#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::TempFolder;

fs::path source_of(const std::string& kind) {
  return fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "picture_tokens" / kind;
}

/// A model of tests/golden/picture_tokens, converted.
std::string converted_tokens(const TempFolder& folder, const std::string& kind) {
  const std::string heed = (folder.path() / (kind + ".heed")).string();
  const Finished finished = run_heed({"convert", source_of(kind).string(), "-o", heed});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return heed;
}

/// The folder of a tiny model with its config.json changed.
fs::path changed(const TempFolder& folder, const std::function<void(nlohmann::json&)>& change) {
  const fs::path to = folder.path() / "changed";
  fs::remove_all(to);
  fs::copy(source_of("axial"), to);
  nlohmann::json config = nlohmann::json::parse(convert_test::read_whole(to / "config.json"));
  change(config);
  folder.write("changed/config.json", config.dump());
  return to;
}

std::string bytes_of_png(const fs::path& path) { return convert_test::read_whole(path); }

}  // namespace

TEST_CASE("picture tokens: a caption, a seed, a count and a grid") {
  const TempFolder folder;
  const std::string model = converted_tokens(folder, "axial");
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    const fs::path output = folder.path() / name;
    more.insert(more.begin(), {"draw", model, "-o", output.string(), "--seed", "5"});
    const Finished finished = run_heed(more);
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    CHECK(finished.out.empty());
    CHECK(finished.error.find("8x6, seed 5") != std::string::npos);
    CHECK(finished.error.find('\x1b') == std::string::npos);
    return output;
  };
  const fs::path one = draw("one.png", {"a red COAT"});
  CHECK(read_picture(one).colours.width == 8);
  CHECK(read_picture(one).colours.height == 6);
  draw("many.png", {"a red coat", "--count", "3"});
  CHECK(bytes_of_png(folder.path() / "many-1.png") == bytes_of_png(one));
  CHECK(bytes_of_png(folder.path() / "many-2.png") != bytes_of_png(one));
  CHECK(bytes_of_png(draw("ids.png", {"--tokens", "4,3,5"})) == bytes_of_png(one));
  CHECK(read_picture(draw("grid.png", {"a red coat", "--count", "4", "--grid"})).colours.width == 17);
  draw("none.png", {});
  const fs::path plain = draw("plain.png", {"a coat", "--guidance", "1", "--temperature", "0"});
  const fs::path guided = draw("guided.png", {"a coat", "--guidance", "30", "--temperature", "0"});
  CHECK(bytes_of_png(plain) != bytes_of_png(guided));
  CHECK(bytes_of_png(draw("k.png", {"a coat", "--guidance", "1", "--top-k", "1", "--top-p", "0.9"})) ==
        bytes_of_png(plain));

  const fs::path maps = folder.path() / "maps";
  draw("shown.png", {"a red coat", "--maps", maps.string()});
  CHECK(bytes_of_png(folder.path() / "shown.png") == bytes_of_png(one));
  for (const char* name : {"attention.1.a.png", "attention.2.red.png", "attention.3.coat.png"}) {
    CAPTURE(name);
    REQUIRE(fs::exists(maps / name));
    CHECK(read_picture(maps / name).colours.width >= 256);
  }

  // What is completed begins with another picture's codes.
  const fs::path first = draw("first.png", {"a coat", "--complete", one.string(), "--temperature", "0"});
  const fs::path second = draw("second.png", {"a coat", "--complete", guided.string(), "--temperature", "0"});
  CHECK(bytes_of_png(first) != bytes_of_png(second));
}

TEST_CASE("picture tokens: what a model cannot draw is one line") {
  const TempFolder folder;
  const std::string model = converted_tokens(folder, "axial");
  const std::string output = (folder.path() / "x.png").string();
  const auto refused = [&](std::vector<std::string> more, const std::string& part) {
    more.insert(more.begin(), {"draw", model, "-o", output});
    check_error(run_heed(more), part);
    CHECK(!fs::exists(output));
  };
  refused({"a purple coat"}, "does not know the word 'purple'; it knows red, a, coat, dark");
  refused({"a red dark coat"}, "the caption has 4 tokens, the model reads at most 3");
  refused({"--tokens", "1,99"}, "token 2 of the caption is 99; the vocabulary has ids 0 to 17");
  refused({"a coat", "--class", "3"}, "--class is for models that draw noise");
  refused({"a coat", "--truncation", "0.5"}, "--truncation is for models that draw noise");
  refused({"--guidance", "2"}, "there is no caption to be guided to");
  refused({"--maps", (folder.path() / "maps").string()}, "there is none");
  CHECK(!fs::exists(folder.path() / "maps"));
  const fs::path small = folder.path() / "small.png";
  write_png(small, {3, 3, 1, std::vector<float>(9, 0.5f)});
  refused({"a coat", "--complete", small.string()}, "is 3x3, the model's are 8x6");
  const fs::path clear = folder.path() / "clear.png";
  write_png(clear, {8, 6, 1, std::vector<float>(48, 0.5f)}, Picture{8, 6, 1, std::vector<float>(48, 0.25f)});
  refused({"a coat", "--complete", clear.string()}, "has transparent parts");
  refused({"a coat", "--complete", (folder.path() / "absent.png").string()}, "absent.png");
  check_error(run_heed({"draw", model, "a coat", "-o", small.string(), "--complete", small.string()}),
              "would be written over");

  const std::string colours = converted_tokens(folder, "learned");
  check_error(run_heed({"draw", colours, "-o", output, "a coat"}), "no tokenizer");
  check_error(run_heed({"draw", colours, "-o", output, "--tokens", "13", "--complete", small.string()}),
              "cannot read pictures");
  const std::string noise = (folder.path() / "noise.heed").string();
  const fs::path generator = fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "pictures" / "i2_dcgan";
  REQUIRE(run_heed({"convert", generator.string(), "-o", noise}).exit_code == 0);
  check_error(run_heed({"draw", noise, "a coat", "-o", output}), "CAPTION is for models that draw a text");
  check_error(run_heed({"draw", noise, "-o", output, "--top-k", "3"}), "--top-k is for models that draw a text");
  CHECK(!fs::exists(output));
}

TEST_CASE("picture tokens: a folder that does not fit itself is refused by name") {
  const TempFolder folder;
  const auto refused = [&](const std::function<void(nlohmann::json&)>& change, const std::string& part) {
    const fs::path from = changed(folder, change);
    check_error(run_heed({"convert", from.string(), "-o", (folder.path() / "x.heed").string()}), part);
  };
  refused([](auto& c) { c["codes"]["first"] = 9; }, "11 codes from token 9 on do not fit a vocabulary of 18");
  refused([](auto& c) { c["codes"]["rows"] = 5; }, "tensor 'row_positions.weight' has shape");
  refused([](auto& c) { c["text"]["places"] = 30; }, "tensor 'text_positions.weight' has shape");
  refused([](auto& c) { c["text"]["begin"] = {1, 2, 99}; }, "tensor 'text_positions.weight' has shape");
  refused([](auto& c) { c["text"]["pad"] = -1; }, "'pad' is -1");
  refused([](auto& c) { c["text"] = 3; }, "tensor 'text_positions.weight' has shape");
  refused([](auto& c) { c.erase("decoder"); }, "decoder");
  refused([](auto& c) { c["decoder"] = {{"folder", "nowhere"}}; }, "nowhere");
  refused([](auto& c) { c["decoder"]["positions"] = "rotary"; }, "learned or axial");
  refused([](auto& c) { c["decoder"]["layers"] = 1; }, "tensor 'transformer.layers.1");
  refused([](auto& c) { c["pixels"]["layers"].erase(1); }, "tensor 'pixels.");
  refused([](auto& c) { c["pixels"]["layers"].back()["type"] = "tangent"; }, "there is no type 'tangent'");
  refused([](auto& c) { c["pixels"]["layers"][1]["layers"][1]["out"] = 7; }, "tensor 'pixels.1.layers.1.weight'");
  refused([](auto& c) { c["encoder"]["image"] = {1, 8, 8}; }, "makes [6, 4, 4], but codes are of [6, 3, 4]");
  refused([](auto& c) { c.erase("encoder"); }, "tensor 'encoder.");
  refused([](auto& c) { c["image"]["channels"] = "rgb"; }, "'channels' is rgb, but the layers make 1");
  refused([](auto& c) { c["defaults"]["guidance"] = -3; }, "'guidance' is -3");
  refused([](auto& c) { c["colour"] = "red"; }, "colour");
}

TEST_CASE("picture tokens: verify, inspect, bench and run take the file") {
  const TempFolder folder;
  const std::string model = converted_tokens(folder, "axial");
  const Finished verified = run_heed({"verify", model});
  REQUIRE_MESSAGE(verified.exit_code == 0, verified.both());
  for (const char* graph : {"graph 'tokens'", "graph 'pixels'", "graph 'codes'"}) {
    CAPTURE(graph);
    CHECK(verified.out.find(graph) != std::string::npos);
  }
  const Finished inspected = run_heed({"inspect", model});
  CHECK(inspected.exit_code == 0);
  CHECK(inspected.out.find("text-to-image") != std::string::npos);
  const Finished bench = run_heed({"bench", model, "--json", "-r", "1"});
  REQUIRE_MESSAGE(bench.exit_code == 0, bench.both());
  const nlohmann::json json = nlohmann::json::parse(bench.out);
  CHECK(json.at("codes") == 12);
  CHECK(json.at("seconds_per_picture") > 0.0);
  CHECK(json.at("dispatches_per_step") > 10);
  check_error(run_heed({"generate", model, "a coat"}), "text-to-image");
  check_error(run_heed({"upscale", model, "--model", model, "-o", (folder.path() / "x.png").string()}), "heed: ");
}

}  // namespace heed::end_to_end
