// Tiny generators of every kind with random weights, against PyTorch in double: the folders of tests/golden/pictures.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

constexpr double kPictureTolerance = 1e-4;  // of the range of an output

}  // namespace

TEST_CASE("pictures: every kind of generator computes what PyTorch does, maps included") {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "pictures")) {
    folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  REQUIRE(folders.size() >= 11);
  for (const fs::path& folder : folders) {
    const std::string kind = folder.filename().string();
    CAPTURE(kind);
    const bool onnx = fs::exists(folder / "model.onnx");
    ConvertedModel converted(onnx ? folder / "model.onnx" : folder);
    const fs::path golden = folder / "golden.npz";
    const std::vector<std::string> names = names_in_npz(golden);
    std::set<std::string> compared;
    for (const Graph& graph : converted.file().header().graphs) {
      std::map<std::string, HostTensor> inputs;
      for (const ValueId id : graph.inputs) {
        const std::string& name = graph.value(id).name;
        inputs[name] = read_npz_tensor(golden, graph.name + "." + name);
        compared.insert(graph.name + "." + name);
      }
      for (const auto& [name, actual] : converted.run(graph, inputs)) {
        const std::string full = graph.name + "." + name;
        const double error = range_error(actual, read_npz_tensor(golden, full));
        MESSAGE(kind << ", " << full << " " << to_string(actual.type.shape) << ": within " << error << " of its range");
        CHECK(error < kPictureTolerance);
        compared.insert(full);
      }
    }
    CHECK(compared == std::set<std::string>(names.begin(), names.end()));
  }
}

}  // namespace heed::golden
