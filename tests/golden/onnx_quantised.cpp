// Networks that ONNX Runtime's quantiser made (make_onnx_quantised.py), against ONNX Runtime: integers and rounding in
// every form that it writes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "tests/golden/golden_data.h"

namespace heed::golden {

TEST_CASE("onnx quantised: outputs within one step of the output's scale of ONNX Runtime's") {
  const std::filesystem::path folder = std::filesystem::path(HEED_SOURCE_DIR) / "tests" / "golden" / "onnx_quantised";
  int models = 0;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    const std::string name = entry.path().stem().string();
    CAPTURE(name);
    ++models;
    ConvertedModel converted(entry.path());
    const HostTensor expected = read_npz_tensor(folder / "io.npz", name + ".y");
    const double step = read_npz_tensor(folder / "io.npz", name + ".step").data.at(0);
    const HostTensor actual =
        converted
            .run(converted.file().header().graphs.front(), {{"x", read_npz_tensor(folder / "io.npz", name + ".x")}})
            .at("y");
    REQUIRE(actual.type.shape == expected.type.shape);
    double worst = 0.0;
    std::size_t same = 0;
    for (std::size_t i = 0; i < expected.data.size(); ++i) {
      const double error = std::abs(actual.data[i] - expected.data[i]) / step;
      worst = std::isfinite(error) ? std::max(worst, error) : INFINITY;
      same += error < 0.01 ? 1 : 0;
    }
    MESSAGE(fmt::format("{}: {} of {} elements agree, the others are within {:.3g} steps", name, same,
                        expected.data.size(), worst));
    CHECK(worst < 1.001);
    CHECK(same * 10 >= expected.data.size() * 9);
  }
  CHECK(models >= 12);
}

}  // namespace heed::golden
