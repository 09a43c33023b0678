// Pretrained picture models exported by PyTorch as ONNX, against PyTorch's own outputs (shared/models; a CARD.md each).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "file/model_file.h"
#include "graph/bind.h"
#include "heed/picture.h"
#include "runtime/session.h"
#include "tests/golden/golden_data.h"
#include "tools/convert/convert.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-3;  // of the range of an output

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

std::vector<std::byte> words_of(const HostTensor& tensor) {
  std::vector<std::byte> bytes;
  const auto put = [&](auto word) {
    const auto part = std::as_bytes(std::span(&word, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  for (const double value : tensor.data) {
    is_floating(tensor.type.dtype) ? put(static_cast<float>(value)) : put(static_cast<std::int32_t>(value));
  }
  return bytes;
}

/// The largest error of an output over its range; infinity for another size and for what is no number.
double error_of(Session& session, Executable& executable, const std::string& name, const HostTensor& expected) {
  std::vector<float> actual(expected.data.size());
  session.read_output(executable, name, std::as_writable_bytes(std::span(actual)));
  const auto [least, most] = std::ranges::minmax(expected.data);
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - expected.data[i]) / (most - least);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

/// HEED_GOLDEN_QUICK in the environment: one set of inputs a model, and none is drawn in steps. For drivers that keep
/// no compiled kernels.
bool quick() { return std::getenv("HEED_GOLDEN_QUICK") != nullptr; }

}  // namespace

TEST_CASE("onnx models: outputs within 1e-3 of their range of PyTorch's") {
  const fs::path models = fs::path(HEED_SOURCE_DIR) / ".." / "shared" / "models";
  if (!fs::exists(models / "rfdn")) {
    MESSAGE("SKIPPED: shared/models is not here");
    return;
  }
  for (const Model& model : kModels) {
    CAPTURE(std::string(model.folder) + "/" + model.file);
    const convert_test::TempFolder folder;
    convert::ConvertOptions options;
    options.input = models / model.folder / model.file;
    options.output = folder.path() / "model.heed";
    convert::convert_checkpoint(options);
    const ModelFile file = ModelFile::open(options.output);
    const Graph& graph = file.header().graphs.front();
    const FileWeights source(file);
    WeightStore weights(device().gpu(), source);
    Session session(device().gpu(), weights);
    const fs::path golden = models / model.folder / model.golden;
    const std::vector<std::string> names = names_in_npz(golden);
    const auto sets = static_cast<std::size_t>(std::ranges::count_if(
        names, [&](const std::string& name) { return name.ends_with("." + graph.value(graph.inputs[0]).name); }));
    REQUIRE(sets > 0);
    for (std::size_t set = 0; set < (quick() ? 1 : sets); ++set) {
      std::map<std::string, Shape> shapes;
      std::map<std::string, HostTensor> inputs;
      for (const ValueId id : graph.inputs) {
        const std::string& name = graph.value(id).name;
        inputs[name] = read_npz_tensor(golden, fmt::format("{}.{}", set, name));
        shapes[name] = inputs[name].type.shape;
      }
      Executable& executable = session.prepare(graph, bind_inputs(graph, shapes));
      for (const auto& [name, tensor] : inputs) session.write(name, words_of(tensor));
      session.run(executable);
      for (const ValueId id : graph.outputs) {
        const std::string& name = graph.value(id).name;
        const HostTensor expected = read_npz_tensor(golden, fmt::format("{}.{}", set, name));
        const double error = error_of(session, executable, name, expected);
        MESSAGE(std::string(model.folder) << "/" << std::string(model.file) << " set " << set << ", " << name << " "
                                          << to_string(expected.type.shape) << ": within " << error << " of its range");
        CHECK(error < kTolerance);
      }
    }
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
    const convert_test::TempFolder folder;
    convert::ConvertOptions options;
    options.input = models / folder_name / loop.second;
    options.output = folder.path() / "model.heed";
    options.description = fs::path(HEED_SOURCE_DIR) / "models" / "descriptions" / (folder_name + ".json");
    convert::convert_checkpoint(options);
    PictureModel model(device(), options.output);
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
    CHECK(worst < kTolerance);
  }
}

}  // namespace heed::golden
