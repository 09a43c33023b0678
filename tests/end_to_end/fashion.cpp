// heed draw and bench of the picture generator that comes with heed: what it looked at, and how fast it is.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
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

/// A model of a folder of the sources, converted.
std::string converted(const TempFolder& folder, const std::string& from) {
  const fs::path path = fs::path(HEED_SOURCE_DIR) / from;
  const std::string heed = (folder.path() / (path.filename().string() + ".heed")).string();
  const Finished finished = run_heed({"convert", path.string(), "-o", heed});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return heed;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

/// A picture of heat: large enough to look at, in colours, and not all the same.
Picture heat(const fs::path& path) {
  Picture picture = read_picture(path).colours;
  CAPTURE(path.string());
  CHECK(picture.width >= 256);
  CHECK(picture.height >= 256);
  CHECK(picture.channels == 3);
  const auto [least, most] = std::ranges::minmax(picture.values);
  CHECK(most - least > 0.3f);
  return picture;
}

/// What the program said of a file that it wrote: size and range of the numbers.
std::string said_of(const Finished& finished, const fs::path& file) {
  for (const std::string& line : lines_of(finished.error)) {
    if (line.starts_with(file.string() + ": ")) return line.substr(file.string().size() + 2);
  }
  FAIL("nothing about " << file.string() << ": " << finished.error);
  return "";
}

double mean_distance(const Picture& a, const Picture& b) {
  REQUIRE(a.values.size() == b.values.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < a.values.size(); ++i) sum += std::abs(static_cast<double>(a.values[i] - b.values[i]));
  return sum / static_cast<double>(a.values.size());
}

}  // namespace

TEST_CASE("fashion: --maps shows what the layers weighed, and leaves the picture as it is") {
  const TempFolder folder;
  const std::string model = converted(folder, "models/fashion");
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    const std::string output = (folder.path() / name).string();
    more.insert(more.begin(), {"draw", model, "-o", output, "--class", "Bag", "--seed", "1"});
    const Finished finished = run_heed(more);
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    CHECK(finished.out.empty());
    return finished;
  };
  draw("plain.png", {});
  const fs::path maps = folder.path() / "new" / "maps";
  const Finished finished = draw("x.png", {"--maps", maps.string()});
  CHECK(files_in(maps) == std::vector<std::string>{"attention.14.png", "map.18.png"});
  CHECK(said_of(finished, maps / "map.18.png").starts_with("32x32, "));
  CHECK(said_of(finished, maps / "attention.14.png").starts_with("16x16, "));
  CHECK(convert_test::read_whole(folder.path() / "x.png") == convert_test::read_whole(folder.path() / "plain.png"));
  const Picture map = heat(maps / "map.18.png");
  const Picture attention = heat(maps / "attention.14.png");

  const fs::path both = folder.path() / "both";
  const Finished two = draw("y.png", {"--maps", both.string(), "--count", "2"});
  CHECK(files_in(both) ==
        std::vector<std::string>{"attention.14-1.png", "attention.14-2.png", "map.18-1.png", "map.18-2.png"});
  CHECK(mean_distance(heat(both / "map.18-1.png"), map) < 0.01);
  CHECK(mean_distance(heat(both / "attention.14-1.png"), attention) < 0.01);
  CHECK(mean_distance(heat(both / "map.18-2.png"), map) > 0.02);
  CHECK(mean_distance(heat(both / "attention.14-2.png"), attention) > 0.02);
  CHECK(said_of(two, both / "map.18-1.png") != said_of(two, both / "map.18-2.png"));
  CHECK(said_of(two, both / "attention.14-1.png") != said_of(two, both / "attention.14-2.png"));
}

TEST_CASE("fashion: maps that there are none of, or that cannot be written, are one line") {
  const TempFolder folder;
  const std::string plain = converted(folder, "tests/golden/pictures/i2_dcgan");
  const fs::path output = folder.path() / "x.png";
  const fs::path maps = folder.path() / "maps";
  check_error(run_heed({"draw", plain, "-o", output.string(), "--maps", maps.string()}),
              plain + ": the model shows no attention");
  CHECK(!fs::exists(output));
  CHECK(!fs::exists(maps));
  const std::string model = converted(folder, "models/fashion");
  const std::string file = folder.write("file", "x").string();
  check_error(run_heed({"draw", model, "-o", output.string(), "--maps", file + "/maps"}), file + "/maps: cannot make");
  CHECK(convert_test::read_whole(file) == "x");
}

TEST_CASE("fashion: what is read is not written over, and a name that is no PNG's is refused") {
  const TempFolder folder;
  const std::string model = converted(folder, "models/fashion");
  const std::string bytes = convert_test::read_whole(model);
  check_error(run_heed({"draw", model, "-o", model}), model + ": the input would be written over");
  check_error(run_heed({"upscale", model, "--model", model, "-o", model}), model + ": the input would be written over");
  CHECK(convert_test::read_whole(model) == bytes);
  const std::string other = (folder.path() / "x.JPG").string();
  check_error(run_heed({"draw", model, "-o", other}), other + ": heed writes PNG files");
  CHECK(!fs::exists(other));
  CHECK(run_heed({"draw", model, "-o", (folder.path() / "x.png").string(), "--seed", "-1"}).exit_code != 0);
}

TEST_CASE("fashion: bench says how fast a graph runs, and how much work it is") {
  const TempFolder folder;
  const std::string model = converted(folder, "models/fashion");
  const auto bench = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", model, "--json", "-r", "1"});
    const Finished finished = run_heed(more);
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    return nlohmann::json::parse(finished.out);
  };
  const nlohmann::json one = bench({});
  CHECK(one.at("graph") == "draw");
  CHECK(one.at("sizes") == nlohmann::json{{"batch", 1}});
  CHECK(one.at("run_seconds") > 0.0);
  CHECK(one.at("flops") > 0.0);
  CHECK(one.at("flops_per_second") > 0.0);
  const double rate = one.at("flops").get<double>() / one.at("run_seconds").get<double>();
  CHECK(one.at("flops_per_second").get<double>() == doctest::Approx(rate));
  CHECK(one.at("runs_per_second").get<double>() == doctest::Approx(1.0 / one.at("run_seconds").get<double>()));
  // Two for each multiplication of the linear layer and convolutions, from models/fashion/config.json; the products of
  // self-attention are 16^2 x 16^2 x (8 + 64). The convolution after the upsampling has 4 taps of a pixel instead of 9:
  // what reads the same pixel is added up when the model is converted (tools/convert/fold_upsampling.cpp).
  constexpr double kProducts = 96.0 * 4096 + 128.0 * 256 * 4 * 64 + 128.0 * 128 * 9 * 64 + 64.0 * 128 * 4 * 256 +
                               256.0 * 64 * (8 + 8 + 64) + 256.0 * 256 * (8 + 64) + 24.0 * 64 * 4 * 1024 +
                               1024.0 * 9 * (24 * 8 + 8 * 8 + 8) + 1024.0 * 9 * (24 * 24 + 24);
  CHECK(one.at("flops").get<double>() == doctest::Approx(2 * kProducts).epsilon(0.02));

  const nlohmann::json three = bench({"--bind", "batch=3"});
  CHECK(three.at("sizes") == nlohmann::json{{"batch", 3}});
  CHECK(three.at("flops").get<double>() == doctest::Approx(3 * one.at("flops").get<double>()));
}

TEST_CASE("fashion: bench refuses graphs and sizes that are not there in one line") {
  const TempFolder folder;
  const std::string model = converted(folder, "models/fashion");
  check_error(run_heed({"bench", model, "--graph", "encode"}), "has no graph 'encode'; it has 'draw'");
  check_error(run_heed({"bench", model, "--bind", "height=3"}), "graph 'draw' has no dimension 'height'");
  check_error(run_heed({"bench", model, "--bind", "batch=x"}), "'x' is no size");
  check_error(run_heed({"bench", model, "--bind", "batch=0"}), "its outputs are empty with these sizes");
  check_error(run_heed({"bench", models().llama(), "--graph", "decode"}), "give --bind tokens=N");
  check_error(run_heed({"bench", models().llama(), "--bind", "context=4"}), "give --bind tokens=N");
}

}  // namespace heed::end_to_end
