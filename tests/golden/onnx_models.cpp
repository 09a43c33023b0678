// Pretrained picture models exported by PyTorch as ONNX, against PyTorch's own outputs (shared/models; a CARD.md each).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "heed/picture.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kModelTolerance = 1e-3;  // of the range of an output

struct Model {
  const char* folder;
  const char* file;
  const char* golden;
};
constexpr Model kModels[] = {
    {"digits-dit", "model.onnx", "golden.npz"},
    {"letters-latent", "decode.onnx", "golden_decode.npz"},
    {"letters-latent", "denoise.onnx", "golden_denoise.npz"},
    {"letters-latent", "encode.onnx", "golden_encode.npz"},
    {"rfdn", "model.onnx", "golden.npz"},
    {"carn-m", "upscale_x2.onnx", "golden_x2.npz"},
    {"carn-m", "upscale_x3.onnx", "golden_x3.npz"},
    {"carn-m", "upscale_x4.onnx", "golden_x4.npz"},
    {"style-muse", "model.onnx", "golden.npz"},
    {"taef2", "decode.onnx", "golden_decode.npz"},
    {"taef2", "encode.onnx", "golden_encode.npz"},
};

/// Runs a model on all inputs of its golden, or on the first alone, and compares what comes out.
void check_model(const fs::path& models, const Model& model, bool first_alone) {
  CAPTURE(std::string(model.folder) + "/" + model.file);
  ConvertedModel converted(models / model.folder / model.file);
  const Graph& graph = converted.file().header().graphs.front();
  const fs::path golden = models / model.folder / model.golden;
  const std::vector<std::string> names = names_in_npz(golden);
  const auto sets = static_cast<std::size_t>(std::ranges::count_if(
      names, [&](const std::string& name) { return name.ends_with("." + graph.value(graph.inputs[0]).name); }));
  REQUIRE(sets > 0);
  for (std::size_t set = 0; set < (first_alone ? 1 : sets); ++set) {
    std::map<std::string, HostTensor> inputs;
    for (const ValueId id : graph.inputs) {
      const std::string& name = graph.value(id).name;
      inputs[name] = read_npz_tensor(golden, fmt::format("{}.{}", set, name));
    }
    for (const auto& [name, actual] : converted.run(graph, inputs)) {
      const HostTensor expected = read_npz_tensor(golden, fmt::format("{}.{}", set, name));
      const double error = range_error(actual, expected);
      MESSAGE(std::string(model.folder) << "/" << std::string(model.file) << " set " << set << ", " << name << " "
                                        << to_string(expected.type.shape) << ": within " << error << " of its range");
      CHECK(error < kModelTolerance);
    }
  }
}

/// A device whose convolutions are products of matrices in tiles, as on GPUs.
class TiledConvolutions {
 public:
  TiledConvolutions() : before_(device().gpu().tuning()) {
    Tuning tuning = before_;
    tuning.conv_tile = 64;
    tuning.conv_groups = 128;
    device().gpu().set_tuning(tuning);
  }
  ~TiledConvolutions() { device().gpu().set_tuning(before_); }
  TiledConvolutions(const TiledConvolutions&) = delete;
  TiledConvolutions& operator=(const TiledConvolutions&) = delete;

 private:
  Tuning before_;
};

}  // namespace

TEST_CASE("onnx models: outputs within 1e-3 of their range of PyTorch's") {
  const fs::path models = fs::path(HEED_SOURCE_DIR) / ".." / "shared" / "models";
  if (!fs::exists(models / "rfdn")) {
    MESSAGE("SKIPPED: shared/models is not here");
    return;
  }
  for (const Model& model : kModels) check_model(models, model, quick());
}

TEST_CASE("onnx models: the same where convolutions run in tiles") {
  const fs::path models = fs::path(HEED_SOURCE_DIR) / ".." / "shared" / "models";
  if (!fs::exists(models / "rfdn")) {
    MESSAGE("SKIPPED: shared/models is not here");
    return;
  }
  const TiledConvolutions tiled;
  for (const Model& model : kModels) {
    // Software runs the lanes of a tile one after the other.
    const bool small = std::string_view(model.folder) == "letters-latent";
    const std::string_view golden = model.golden;
    const bool large = std::string_view(model.folder) == "rfdn" || golden == "golden_x4.npz" ||
                       (std::string_view(model.folder) == "taef2" && golden == "golden_decode.npz");
    if (small || (large && !quick())) check_model(models, model, true);
  }
}

TEST_CASE("onnx models: pictures drawn in steps from given noise are PyTorch's") {
  const fs::path models = fs::path(HEED_SOURCE_DIR) / ".." / "shared" / "models";
  if (quick()) return;
  if (!fs::exists(models / "digits-dit")) {
    MESSAGE("SKIPPED: shared/models is not here");
    return;
  }
  for (const auto& loop : {std::pair("digits-dit", "model.onnx"), std::pair("letters-latent", "denoise.onnx")}) {
    const std::string folder_name = loop.first;
    CAPTURE(folder_name);
    const ConvertedModel converted(models / folder_name / loop.second,
                                   fs::path(HEED_SOURCE_DIR) / "models" / "descriptions" / (folder_name + ".json"));
    PictureModel model(device(), converted.path());
    const fs::path golden = models / folder_name / "golden_loop.npz";
    const HostTensor noise = read_npz_tensor(golden, "noise");
    const HostTensor label = read_npz_tensor(golden, "label");
    const HostTensor image = read_npz_tensor(golden, "image");
    const auto count = static_cast<std::size_t>(noise.type.shape[0]);
    const std::size_t size = noise.data.size() / count;
    const std::size_t columns = label.data.size() / count;
    std::vector<std::vector<float>> noises;
    std::vector<std::int64_t> labels;
    for (std::size_t i = 0; i < count; ++i) {
      const auto begin = noise.data.begin() + static_cast<std::ptrdiff_t>(i * size);
      noises.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
      const auto row = label.data.begin() + static_cast<std::ptrdiff_t>(i * columns);
      labels.push_back(columns == 1 ? static_cast<std::int64_t>(*row)
                                    : std::max_element(row, row + static_cast<std::ptrdiff_t>(columns)) - row);
    }
    const std::vector<Picture> pictures = model.draw(noises, labels, {});
    double worst = 0.0;
    std::size_t at = 0;
    for (const Picture& picture : pictures) {
      for (const float value : picture.values) {
        worst = std::max(worst, std::abs(static_cast<double>(value) - image.data.at(at++)));
      }
    }
    CHECK(at == image.data.size());
    MESSAGE(folder_name << ": within " << worst << " after all steps");
    CHECK(worst < kModelTolerance);
  }
}

}  // namespace heed::golden
