// The shipped picture generator against PyTorch: models/fashion/golden.safetensors holds what train.py's network made
// with the exported weights.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "heed/picture.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(HEED_SOURCE_DIR) / "models" / "fashion";

/// A tensor of the golden file.
HostTensor golden(const std::string& name) { return read_safetensors_tensor(kFolder / "golden.safetensors", name); }

}  // namespace

TEST_CASE("fashion: picture, map and attention rows are PyTorch's") {
  ConvertedModel converted(kFolder);
  const HostTensor latent = golden("latent");
  const HostTensor label = golden("label");
  const auto outputs = converted.run(converted.file().graph("draw"), {{"latent", latent}, {"label", label}});
  const double image = range_error(outputs.at("image"), golden("image"));
  const double map = range_error(outputs.at("map.18"), golden("m"));
  MESSAGE("fashion: picture within " << image << " of its range, map within " << map);
  CHECK(image < 1e-3);
  CHECK(map < 1e-3);

  // Column j of the weights is what position j looks at.
  const std::vector<double>& all = outputs.at("attention.14").data;
  const HostTensor rows = golden("attention_rows");
  HostTensor looked{golden("attention").type, {}};
  for (std::size_t b = 0; b < 2; ++b) {
    for (const double j : rows.data) {
      for (std::size_t i = 0; i < 256; ++i)
        looked.data.push_back(all[(b * 256 + i) * 256 + static_cast<std::size_t>(j)]);
    }
  }
  const double attention = range_error(looked, golden("attention"));
  MESSAGE("fashion: attention within " << attention << " of its range");
  CHECK(attention < 1e-3);

  PictureModel model(device(), converted.path());
  CHECK(model.class_named("Sneaker") == 7);
  DrawOptions with_maps;
  with_maps.maps = true;
  const std::vector<float> noise(latent.data.begin(), latent.data.begin() + 64);
  const Picture picture = model.draw({noise}, {static_cast<std::int64_t>(label.data[0])}, with_maps).front();
  CHECK(picture.channels == 1);
  CHECK(picture.width == 32);

  // The maps of a drawing are those outputs, place by place.
  const std::vector<AttentionMap> maps = model.attention_maps().at(0);
  REQUIRE(maps.size() == 2);
  for (const AttentionMap& drawn : maps) {
    CHECK(drawn.of_each_place == (drawn.name == "attention.14"));
    CHECK(drawn.width == (drawn.of_each_place ? 16 : 32));
    double worst = 0.0;
    for (std::size_t i = 0; i < drawn.values.size(); ++i) {
      const std::size_t at = drawn.of_each_place ? i % 256 * 256 + i / 256 : i;
      worst = std::max(worst, std::abs(static_cast<double>(drawn.values[i]) - outputs.at(drawn.name).data[at]));
    }
    CHECK(drawn.values.size() == (drawn.of_each_place ? 65536 : 1024));
    CHECK(worst < 1e-5);
  }
}

}  // namespace heed::golden
