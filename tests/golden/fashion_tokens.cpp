// The shipped model that draws a text against PyTorch: models/fashion-tokens/golden.safetensors holds what train.py's
// networks made with the exported weights.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "heed/picture.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kTokensFolder = fs::path(HEED_SOURCE_DIR) / "models" / "fashion-tokens";
constexpr std::int64_t kCodes = 64;

HostTensor shipped_golden(const std::string& name) {
  return read_safetensors_tensor(kTokensFolder / "golden.safetensors", name);
}

}  // namespace

TEST_CASE("fashion-tokens: logits and pixels are PyTorch's") {
  ConvertedModel converted(kTokensFolder);
  const nlohmann::json& metadata = converted.file().metadata();
  const auto first = metadata["codes"]["first"].get<std::int64_t>();
  const auto count = metadata["codes"]["count"].get<std::int64_t>();
  const auto vocabulary = metadata["vocabulary"].get<std::int64_t>();
  TextPictureModel model(device(), converted.path());
  const HostTensor codes = shipped_golden("codes");
  const HostTensor logits = shipped_golden("logits");  // (captions, places 0, 21, 42 and 63, codes)
  const char* const captions[] = {"a dark coat", "running shoe"};
  HostTensor made{logits.type, {}};
  for (std::size_t i = 0; i < 2; ++i) {
    std::vector<std::int32_t> tokens = model.tokenize(captions[i]);
    tokens.resize(metadata["text"]["places"].get<std::size_t>(), metadata["text"]["pad"].get<std::int32_t>());
    const std::size_t places = tokens.size();
    tokens.push_back(metadata["text"]["begin"][0].get<std::int32_t>());
    for (std::int64_t c = 0; c + 1 < kCodes; ++c) {
      const double code = codes.data[i * static_cast<std::size_t>(kCodes) + static_cast<std::size_t>(c)];
      tokens.push_back(static_cast<std::int32_t>(code) + static_cast<std::int32_t>(first));
    }
    const auto rows = static_cast<std::int64_t>(tokens.size());
    const HostTensor fed{{DType::I32, {rows}}, std::vector<double>(tokens.begin(), tokens.end())};
    const HostTensor position{{DType::I32, {1}}, {0.0}};
    const std::vector<double> all =
        converted
            .run(converted.file().graph("tokens"), {{"tokens", fed}, {"position", position}},
                 {{"tokens", rows}, {"outputs", rows}, {"context", rows}})
            .at("logits")
            .data;
    for (const std::size_t place : {0, 21, 42, 63}) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(places + place) * vocabulary + first;
      made.data.insert(made.data.end(), begin, begin + count);
    }
  }
  const double of_logits = range_error(made, logits);
  const HostTensor fed{{DType::I32, codes.type.shape}, codes.data};
  const auto drawn = converted.run(converted.file().graph("pixels"), {{"codes", fed}});
  const double of_pixels = range_error(drawn.at("image"), shipped_golden("image"));
  MESSAGE("fashion-tokens: logits within " << of_logits << " of their range, pixels within " << of_pixels);
  CHECK(of_logits < 1e-3);
  CHECK(of_pixels < 1e-3);
}

TEST_CASE("fashion-tokens: a light coat is lighter than a dark one, and its upper half is kept where it is given") {
  if (quick()) return;
  ConvertedModel converted(kTokensFolder);
  TextPictureModel model(device(), converted.path());
  const auto brightness = [](const std::vector<Picture>& pictures) {
    double sum = 0.0;
    for (const Picture& picture : pictures) {
      for (const float value : picture.values) sum += static_cast<double>(value);
    }
    return sum;
  };
  TextDrawOptions options;
  options.seed = 1;
  const double dark = brightness(model.draw(model.tokenize("a very dark coat"), 4, options));
  const std::vector<Picture> light = model.draw(model.tokenize("a very light coat"), 4, options);
  CHECK(brightness(light) > 1.5 * dark);
  // What the encoder reads of a picture that the model made is nearly what it was made of.
  const std::vector<std::int32_t> codes = model.codes().front();
  options.complete = light.front();
  options.seed = 2;
  const Picture completed = model.draw(model.tokenize("a very light coat"), 1, options).front();
  double upper = 0.0;
  double lower = 0.0;
  for (std::int64_t y = 0; y < 32; ++y) {
    for (std::int64_t x = 0; x < 32; ++x) {
      const double difference = std::abs(static_cast<double>(completed.at(0, y, x) - light.front().at(0, y, x)));
      if (y < 12) upper += difference;
      if (y >= 20) lower += difference;
    }
  }
  MESSAGE("fashion-tokens: completed, " << upper / 384 << " off above and " << lower / 384 << " below");
  CHECK(upper / 384 < 0.1);
  CHECK(codes != model.codes().front());
}

}  // namespace heed::golden
