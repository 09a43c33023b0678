// Tiny models of pictures as tokens with random weights, against PyTorch in double, token by token and pixel by pixel:
// the folders of tests/golden/picture_tokens.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "heed/error.h"
#include "heed/picture.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-4;  // of the range of an output
constexpr double kGuidance = 2.5;    // as make_picture_tokens.py draws

fs::path folder_of(const std::string& kind) {
  return fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "picture_tokens" / kind;
}

/// A golden array of a folder.
HostTensor golden(const std::string& kind, const std::string& name) {
  return read_npz_tensor(folder_of(kind) / "golden.npz", name);
}

std::vector<std::int32_t> golden_ids(const std::string& kind, const std::string& name) {
  const HostTensor tensor = golden(kind, name);
  return {tensor.data.begin(), tensor.data.end()};
}

bool has_encoder(const std::string& kind) {
  const std::vector<std::string> names = names_in_npz(folder_of(kind) / "golden.npz");
  return std::ranges::find(names, "image") != names.end();
}

TextDrawOptions greedy_options(double guidance) {
  TextDrawOptions options;
  options.temperature = 0.0;
  options.guidance = guidance;
  return options;
}

/// A golden image [1, channels, height, width] as a picture, from the values of black and full.
Picture picture_of(const HostTensor& image, double least, double most) {
  const Shape& shape = image.type.shape;
  Picture picture{shape.at(3), shape.at(2), shape.at(1), {}};
  for (const double value : image.data) picture.values.push_back(static_cast<float>((value - least) / (most - least)));
  return picture;
}

double worst_difference(const Picture& a, const Picture& b) {
  REQUIRE(a.values.size() == b.values.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(a.values[i]) - static_cast<double>(b.values[i])));
  }
  return worst;
}

std::vector<std::string> kinds() {
  return quick() ? std::vector<std::string>{"axial"} : std::vector<std::string>{"axial", "learned", "gpt2", "llama"};
}

}  // namespace

TEST_CASE("picture tokens: logits, pixels and codes are PyTorch's") {
  for (const std::string& kind : kinds()) {
    CAPTURE(kind);
    ConvertedModel converted(folder_of(kind));
    HostTensor tokens = golden(kind, "tokens");
    const std::int64_t count = tokens.type.shape.at(0);
    const HostTensor position{{DType::I32, {1}}, {0.0}};
    const auto made = converted.run(converted.file().graph("tokens"), {{"tokens", tokens}, {"position", position}},
                                    {{"tokens", count}, {"outputs", count}, {"context", count}});
    const double logits = range_error(made.at("logits"), golden(kind, "logits"));
    HostTensor codes = golden(kind, "greedy");
    codes.type.shape = {1, codes.type.shape.at(0)};
    const auto drawn = converted.run(converted.file().graph("pixels"), {{"codes", codes}});
    const double pixels = range_error(drawn.at("image"), golden(kind, "greedy_image"));
    MESSAGE(kind << ": logits within " << logits << " of their range, pixels within " << pixels);
    CHECK(logits < kTolerance);
    CHECK(pixels < kTolerance);
    if (!has_encoder(kind)) continue;
    const auto read = converted.run(converted.file().graph("codes"), {{"image", golden(kind, "image")}});
    CHECK(read.at("codes").data == golden(kind, "image_codes").data);
  }
}

TEST_CASE("picture tokens: greedy drawings are PyTorch's code by code, guided and completed too") {
  for (const std::string& kind : kinds()) {
    CAPTURE(kind);
    ConvertedModel converted(folder_of(kind));
    TextPictureModel model(device(), converted.path());
    const std::vector<std::int32_t> caption = golden_ids(kind, "caption");
    const bool grey = model.channels() == 1;
    const Picture plain = model.draw(caption, 1, greedy_options(1.0)).front();
    CHECK(model.codes().front() == golden_ids(kind, "greedy"));
    CHECK(worst_difference(plain, picture_of(golden(kind, "greedy_image"), grey ? -1 : -4, grey ? 1 : 4)) < 1e-4);
    model.draw(caption, 3, greedy_options(kGuidance));
    REQUIRE(model.codes().size() == 3);
    for (const std::vector<std::int32_t>& codes : model.codes()) CHECK(codes == golden_ids(kind, "guided"));
    if (!has_encoder(kind)) continue;
    TextDrawOptions completing = greedy_options(kGuidance);
    completing.complete = picture_of(golden(kind, "image"), -1, 1);
    model.draw(caption, 1, completing);
    const std::vector<std::int32_t> completed = model.codes().front();
    CHECK(completed == golden_ids(kind, "completed"));
    CHECK(completed != golden_ids(kind, "guided"));
  }
}

TEST_CASE("picture tokens: maps are what PyTorch's attention weighed of each word") {
  for (const std::string& kind : kinds()) {
    CAPTURE(kind);
    ConvertedModel converted(folder_of(kind));
    TextPictureModel model(device(), converted.path());
    const std::vector<std::int32_t> caption = golden_ids(kind, "caption");
    TextDrawOptions options = greedy_options(1.0);
    options.maps = true;
    model.draw(caption, 1, options);
    const HostTensor expected = golden(kind, "maps");  // (tokens before the codes, codes)
    const std::vector<AttentionMap> maps = model.attention_maps().front();
    REQUIRE(maps.size() == caption.size());
    double worst = 0.0;
    for (std::size_t word = 0; word < maps.size(); ++word) {
      CHECK(maps[word].width == 4);
      CHECK(maps[word].height == 3);
      REQUIRE(maps[word].values.size() == 12);
      for (std::size_t i = 0; i < 12; ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(maps[word].values[i]) - expected.data[word * 12 + i]));
      }
    }
    MESSAGE(kind << ": maps within " << worst);
    CHECK(worst < 1e-5);
    if (kind == "axial") CHECK(maps[1].name == "attention.2.coat");
  }
}

TEST_CASE("picture tokens: a picture of a seed is the same alone and among others, and has codes alone") {
  for (const std::string& kind : kinds()) {
    if (kind != "axial" && kind != "llama") continue;
    CAPTURE(kind);
    ConvertedModel converted(folder_of(kind));
    TextPictureModel model(device(), converted.path());
    const std::vector<std::int32_t> caption = golden_ids(kind, "caption");
    for (const double guidance : {1.0, kGuidance}) {
      if (quick() && guidance == 1.0) continue;
      TextDrawOptions options;
      options.seed = 7;
      options.temperature = 1.5;
      options.guidance = guidance;
      const std::vector<Picture> alone = model.draw(caption, 1, options);
      const std::vector<std::int32_t> codes = model.codes().front();
      std::vector<std::int64_t> rows;
      options.progress = [&](std::int64_t done, std::int64_t total) {
        CHECK(total == 5 * 3);
        CHECK((rows.empty() || done >= rows.back()));
        rows.push_back(done);
      };
      std::vector<Picture> grown;
      options.grown = [&](const Picture& upper) { grown.push_back(upper); };
      const std::vector<Picture> five = model.draw(caption, 5, options);
      REQUIRE(five.size() == 5);
      CHECK(model.codes().front() == codes);
      CHECK(five.front().values == alone.front().values);
      CHECK(model.codes().at(1) != codes);
      CHECK(model.codes().at(4) != model.codes().at(1));
      for (const std::vector<std::int32_t>& of_picture : model.codes()) {
        CHECK(of_picture.size() == 12);
        CHECK(std::ranges::all_of(of_picture, [](std::int32_t code) { return code >= 0 && code < 11; }));
      }
      CHECK(rows.back() == 15);
      REQUIRE(!grown.empty());
      CHECK(grown.back().values == five.front().values);
      CHECK(grown.front().width == model.width());
      options.seed = 8;
      options.progress = nullptr;
      options.grown = nullptr;
      model.draw(caption, 1, options);
      CHECK(model.codes().front() != codes);
    }
  }
}

TEST_CASE("picture tokens: top-k of one is the greedy drawing") {
  ConvertedModel converted(folder_of("axial"));
  TextPictureModel model(device(), converted.path());
  TextDrawOptions options = greedy_options(kGuidance);
  options.temperature = 1.0;
  options.top_k = 1;
  model.draw(golden_ids("axial", "caption"), 2, options);
  for (const std::vector<std::int32_t>& codes : model.codes()) CHECK(codes == golden_ids("axial", "guided"));
}

}  // namespace heed::golden
