// heed draw and upscale: pictures of published models (shared/models), tiled and whole, and what is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "formats/picture_file.h"
#include "tests/end_to_end/process.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::TempFolder;

fs::path description(const std::string& name) {
  return fs::path(HEED_SOURCE_DIR) / "models" / "descriptions" / (name + ".json");
}

/// A model of shared/models, converted with its description; nothing, visibly, where that folder is not here.
std::optional<std::string> converted(const TempFolder& folder, const std::string& file, const std::string& name) {
  const std::optional<fs::path> onnx = convert_test::shared_file("models/" + file);
  if (!onnx) return std::nullopt;
  const std::string heed = (folder.path() / (name + ".heed")).string();
  const Finished finished = run_heed({"convert", onnx->string(), "-o", heed, "--describe", description(name).string()});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return heed;
}

/// A picture with edges and slopes.
Picture scene(std::int64_t width, std::int64_t height) {
  Picture picture{width, height, 3, {}};
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        const double wave =
            0.5 + 0.3 * std::sin(0.2 * static_cast<double>(x + c)) * std::cos(0.15 * static_cast<double>(y));
        picture.values.push_back(static_cast<float>((x / 12 + y / 9) % 2 == 0 ? wave : 1.0 - wave));
      }
    }
  }
  return picture;
}

std::string png_of(const TempFolder& folder, const std::string& name, const Picture& picture) {
  const fs::path path = folder.path() / name;
  write_png(path, picture);
  return path.string();
}

}  // namespace

TEST_CASE("pictures: a PNG file is read as it was written") {
  const TempFolder folder;
  for (const std::int64_t channels : {1, 3}) {
    Picture picture{7, 5, channels, {}};
    for (std::int64_t i = 0; i < 35 * channels; ++i) picture.values.push_back(static_cast<float>(i * 2 % 256) / 255.0f);
    const Picture read = read_picture(png_of(folder, "a.png", picture)).colours;
    REQUIRE(read.channels == channels);
    CHECK(read.values == picture.values);
  }
}

TEST_CASE("pictures: upscale makes four times as many pixels a side, and parts leave no seams") {
  const TempFolder folder;
  const auto model = converted(folder, "rfdn/model.onnx", "rfdn");
  if (!model) return;
  const std::string input = png_of(folder, "in.png", scene(90, 61));
  const auto upscale = [&](const std::string& name, std::vector<std::string> more) {
    const std::string output = (folder.path() / name).string();
    more.insert(more.begin(), {"upscale", input, "--model", *model, "-o", output});
    const Finished finished = run_heed(more);
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    CHECK(finished.out.empty());
    return read_picture(output).colours;
  };
  const Picture whole = upscale("whole.png", {});
  REQUIRE(whole.width == 360);
  REQUIRE(whole.height == 244);
  const Picture parts = upscale("parts.png", {"--tile", "56"});
  REQUIRE(parts.values.size() == whole.values.size());
  double sum = 0.0;
  // Steps from pixel to pixel: a seam would make them larger than they are in the whole.
  double step_whole = 0.0;
  double step_parts = 0.0;
  for (std::size_t i = 0; i < whole.values.size(); ++i) {
    sum += std::abs(static_cast<double>(parts.values[i]) - static_cast<double>(whole.values[i]));
    if (i % 360 == 0) continue;
    step_whole = std::max(step_whole, std::abs(static_cast<double>(whole.values[i] - whole.values[i - 1])));
    step_parts = std::max(step_parts, std::abs(static_cast<double>(parts.values[i] - parts.values[i - 1])));
  }
  CHECK(sum / static_cast<double>(whole.values.size()) < 0.01);
  CHECK(step_parts < step_whole + 0.1);
}

TEST_CASE("pictures: the same seed draws the same picture, alone and among others") {
  const TempFolder folder;
  const auto model = converted(folder, "digits-dit/model.onnx", "digits-dit");
  if (!model) return;
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    const std::string output = (folder.path() / name).string();
    more.insert(more.begin(), {"draw", *model, "-o", output, "--seed", "3", "--steps", "10"});
    const Finished finished = run_heed(more);
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    return output;
  };
  const std::string first = convert_test::read_whole(draw("a.png", {"--class", "7"}));
  CHECK(first == convert_test::read_whole(draw("b.png", {"--class", "7"})));
  CHECK(first != convert_test::read_whole(draw("c.png", {"--class", "1"})));
  draw("d.png", {"--class", "7", "--count", "2"});
  const Picture alone = read_picture(folder.path() / "a.png").colours;
  const Picture among = read_picture(folder.path() / "d-1.png").colours;
  REQUIRE(alone.values.size() == among.values.size());
  for (std::size_t i = 0; i < alone.values.size(); ++i) {
    CHECK(std::abs(alone.values[i] - among.values[i]) < 0.01f);
  }
  const Picture grid = read_picture(draw("e.png", {"--count", "10", "--grid"})).colours;
  CHECK(grid.width == 10 * 29 - 1);
}

TEST_CASE("pictures: what cannot be is refused in one line, and nothing is written") {
  const TempFolder folder;
  const auto model = converted(folder, "digits-dit/model.onnx", "digits-dit");
  const auto enlarger = converted(folder, "rfdn/model.onnx", "rfdn");
  if (!model || !enlarger) return;
  const std::string output = (folder.path() / "out.png").string();
  const auto refused = [&](std::vector<std::string> arguments, const std::string& part) {
    arguments.insert(arguments.end(), {"-o", output});
    check_error(run_heed(arguments), part);
    CHECK(!fs::exists(output));
  };
  refused({"draw", *model, "--class", "11"}, "there is no class '11'");
  refused({"draw", *model, "--class", "x"}, "there is no class 'x'");
  refused({"draw", *enlarger}, "");
  const std::string good = png_of(folder, "good.png", scene(40, 30));
  refused({"upscale", good, "--model", *model}, "use 'heed draw'");
  refused({"upscale", (folder.path() / "none.png").string(), "--model", *enlarger},
          "none.png: cannot open: No such file or directory");
  const std::string bytes = convert_test::read_whole(good);
  refused({"upscale", folder.write("cut.png", bytes.substr(0, bytes.size() / 2)).string(), "--model", *enlarger},
          "the picture is damaged: it ends before its last pixel");
  std::string flipped = bytes;
  for (std::size_t i = 60; i < 90; ++i) flipped[i] = static_cast<char>(~flipped[i]);
  refused({"upscale", folder.write("flipped.png", flipped).string(), "--model", *enlarger}, "");
  std::string huge = bytes;
  huge[18] = 0x75;  // 30,000 pixels wide
  huge[19] = 0x30;
  refused({"upscale", folder.write("huge.png", huge).string(), "--model", *enlarger}, "30000x30 pixels");
  std::string empty = bytes;
  empty[19] = 0;
  refused({"upscale", folder.write("empty.png", empty).string(), "--model", *enlarger}, "");
  refused({"upscale", folder.write("text.png", "no picture").string(), "--model", *enlarger},
          "is neither PNG nor JPEG");
}

}  // namespace heed::end_to_end
