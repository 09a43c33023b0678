// The shipped picture generator against PyTorch: models/fashion/golden.safetensors holds what train.py's network made
// with the exported weights.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "file/model_file.h"
#include "graph/convert_dtype.h"
#include "heed/picture.h"
#include "runtime/session.h"
#include "tests/golden/golden_data.h"
#include "tools/convert/convert.h"
#include "tools/convert/safetensors.h"
#include "tools/convert/source_file.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(HEED_SOURCE_DIR) / "models" / "fashion";

/// Elements of a tensor of the golden file.
template <typename T>
std::vector<T> golden(const std::string& name) {
  const auto file = convert::SourceFile::open(kFolder / "golden.safetensors");
  for (const convert::SafetensorsEntry& entry : convert::read_safetensors(*file)) {
    if (entry.name != name) continue;
    const std::vector<std::byte> bytes = file->read_bytes(entry.offset, entry.size);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  FAIL("no tensor " << name);
  return {};
}

double error_of(const std::vector<float>& actual, const std::vector<float>& expected) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i]));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

}  // namespace

TEST_CASE("fashion: picture, map and attention rows are PyTorch's") {
  const convert_test::TempFolder folder;
  convert::ConvertOptions options;
  options.input = kFolder;
  options.output = folder.path() / "fashion.heed";
  convert::convert_checkpoint(options);
  const ModelFile file = ModelFile::open(options.output);
  const Graph& graph = file.header().graphs.front();
  const FileWeights source(file);
  WeightStore weights(device().gpu(), source);
  Session session(device().gpu(), weights);
  Executable& executable = session.prepare(graph, {{"batch", 2}});
  const std::vector<float> latent = golden<float>("latent");
  const std::vector<std::int64_t> label = golden<std::int64_t>("label");
  session.write("latent", std::as_bytes(std::span(latent)));
  const std::vector<std::int32_t> ids(label.begin(), label.end());
  session.write("label", std::as_bytes(std::span(ids)));
  session.run(executable);
  const auto output = [&](const std::string& name, std::size_t count) {
    std::vector<float> values(count);
    session.read_output(executable, name, std::as_writable_bytes(std::span(values)));
    return values;
  };
  const double image = error_of(output("image", 2 * 32 * 32), golden<float>("image"));
  const double map = error_of(output("map.18", 2 * 32 * 32), golden<float>("m"));
  MESSAGE("fashion: picture within " << image << ", map within " << map);
  CHECK(image < 2e-3);  // of a range of 2
  CHECK(map < 1e-3);

  // Column j of the weights is what position j looks at.
  const std::vector<float> all = output("attention.14", 2 * 256 * 256);
  const std::vector<std::int64_t> rows = golden<std::int64_t>("attention_rows");
  std::vector<float> looked;
  for (std::size_t b = 0; b < 2; ++b) {
    for (const std::int64_t j : rows) {
      for (std::size_t i = 0; i < 256; ++i) looked.push_back(all[(b * 256 + i) * 256 + static_cast<std::size_t>(j)]);
    }
  }
  const double attention = error_of(looked, golden<float>("attention"));
  MESSAGE("fashion: attention within " << attention);
  CHECK(attention < 1e-3);

  PictureModel model(device(), options.output);
  CHECK(model.class_named("Sneaker") == 7);
  const Picture picture = model.draw({{latent.begin(), latent.begin() + 64}}, {label[0]}, {}).front();
  CHECK(picture.channels == 1);
  CHECK(picture.width == 32);
}

}  // namespace heed::golden
