// WaveNets against PyTorch, which computes every sample anew from all samples before it: outputs of given samples, the
// likeliest samples and drawn ones, of every folder in tests/golden/wavenet; and the shipped model's outputs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "graph/integer.h"
#include "heed/sound.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;

const fs::path kWavenets = fs::path(HEED_SOURCE_DIR) / "tests" / "golden" / "wavenet";

std::vector<fs::path> wavenets() {
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : fs::directory_iterator(kWavenets)) folders.push_back(entry.path());
  std::ranges::sort(folders);
  return folders;
}

HostTensor tensor_of(DType dtype, Shape shape, std::vector<double> data) {
  return {{dtype, std::move(shape)}, std::move(data)};
}

SoundOptions options_of(const nlohmann::json& golden) {
  SoundOptions options;
  const nlohmann::json& inputs = golden.at("inputs");
  for (const nlohmann::json& number : inputs.value("classes", nlohmann::json::array()))
    options.classes.push_back(number);
  if (inputs.contains("number") && inputs.contains("classes")) options.voice = inputs["number"];
  if (inputs.contains("number") && !inputs.contains("classes")) options.classes = {inputs["number"]};
  for (const nlohmann::json& row : inputs.value("features", nlohmann::json::array())) {
    for (const nlohmann::json& value : row) options.features.push_back(value);
  }
  options.seed = golden.at("seed");
  return options;
}

std::vector<float> made_by(SoundModel& model, const SoundOptions& options) {
  std::vector<float> samples;
  model.make(options, [&](std::span<const float> piece) { samples.insert(samples.end(), piece.begin(), piece.end()); });
  return samples;
}

/// The largest difference.
double worst(const std::vector<float>& made, const nlohmann::json& expected) {
  double most = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(made.at(i)) - expected[i].get<double>()));
  }
  return most;
}

/// Runs graph `logits` over `given` from the first sample on.
std::vector<double> logits_of(ConvertedModel& model, std::map<std::string, HostTensor> inputs, const HostTensor& given,
                              std::int64_t window) {
  const auto count = std::ssize(given.data);
  inputs["given"] = given;
  Bindings dims = {{"steps", count}};
  if (window > 0) dims["window"] = window;
  return model.run(model.file().graph("logits"), inputs, dims).at("logits").data;
}

}  // namespace

TEST_CASE("wavenet: outputs after given samples are PyTorch's") {
  for (const fs::path& folder : wavenets()) {
    CAPTURE(folder.string());
    const nlohmann::json golden = read_json(folder / "golden.json");
    const nlohmann::json& inputs = golden.at("inputs");
    ConvertedModel model(folder);
    const nlohmann::json parameters = model.file().metadata().at("parameters");
    std::map<std::string, HostTensor> fed;
    if (inputs.contains("number")) fed["global_id"] = tensor_of(DType::I32, {1}, {inputs["number"].get<double>()});
    const Matrix expected = matrix_of(golden.at("logits"));
    const auto steps = static_cast<std::int64_t>(expected.rows);
    const std::int64_t hop = parameters.at("hop");
    const std::int64_t around = std::max<std::int64_t>(0, parameters.at("local_kernel").get<std::int64_t>() - 1) / 2;
    std::int64_t window = 0;
    if (parameters.at("local_width") > 0) {
      window = ceil_div(steps, hop) + 2 * around;
      std::vector<double> ids;
      std::vector<double> mask;
      std::vector<double> features;
      const auto rows = inputs.value("features", nlohmann::json::array()).get<std::vector<std::vector<double>>>();
      std::vector<std::int32_t> frames;
      for (const nlohmann::json& number : inputs.value("classes", nlohmann::json::array())) {
        const nlohmann::json& one = model.file().metadata().at("sound").at("classes").at(number.get<std::size_t>());
        for (const nlohmann::json& id : one.at("frames")) frames.push_back(id);
      }
      for (std::int64_t frame = -around; frame < window - around; ++frame) {
        mask.push_back(frame < 0 ? 0.0 : 1.0);
        const auto at = static_cast<std::size_t>(std::max<std::int64_t>(frame, 0));
        if (!frames.empty()) ids.push_back(frames.at(at));
        if (!rows.empty()) features.insert(features.end(), rows.at(at).begin(), rows.at(at).end());
      }
      if (!frames.empty()) {
        fed["local_ids"] = tensor_of(DType::I32, {window}, ids);
        fed["local_mask"] = tensor_of(DType::F32, {window, 1}, mask);
      } else {
        fed["local"] = tensor_of(DType::F32, {window, std::ssize(features) / window}, features);
      }
    }
    std::vector<double> given = golden.at("given").get<std::vector<double>>();
    given.resize(expected.rows);
    const std::vector<double> logits = logits_of(model, std::move(fed), tensor_of(DType::F32, {steps}, given), window);
    double most = 0.0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      most = std::max(most, std::abs(logits.at(i) - expected.values[i]));
    }
    MESSAGE(folder.filename().string() << ": outputs within " << most << ", of a range of " << expected.range());
    CHECK(most < 2e-6 * expected.range());
  }
}

TEST_CASE("wavenet: samples, likeliest and drawn, are those of PyTorch's slow generation") {
  for (const fs::path& folder : wavenets()) {
    CAPTURE(folder.string());
    const nlohmann::json golden = read_json(folder / "golden.json");
    ConvertedModel converted(folder);
    SoundModel model(device(), converted.path());
    SoundOptions options = options_of(golden);
    options.seconds = golden.at("length").get<double>() / static_cast<double>(model.sample_rate());
    for (const std::string kind : {"greedy", "drawn"}) {
      CAPTURE(kind);
      // Less could go either way; then the script must take another seed.
      CHECK(golden.at(kind + "_margin").get<double>() > 5e-5);
      options.temperature = kind == "greedy" ? 0.0 : golden.at("temperature").get<double>();
      const std::vector<float> made = made_by(model, options);
      REQUIRE(made.size() == golden.at(kind).size());
      const double most = worst(made, golden.at(kind));
      MESSAGE(folder.filename().string() << ", " << kind << ": samples within " << most);
      CHECK(most < 1e-5);
    }
    // A sound depends neither on what was made before it nor on how much of it is wanted; but frames are seen ahead.
    const std::vector<float> whole = made_by(model, options);
    options.seconds *= 0.5;
    const std::vector<float> half = made_by(model, options);
    CHECK(half.size() == whole.size() / 2);
    CHECK(std::equal(half.begin(), half.begin() + std::ssize(half) / 2, whole.begin()));
    options.seed += 1;
    CHECK(made_by(model, options) != half);
  }
}

TEST_CASE("wavenet: outputs of the shipped model are PyTorch's") {
  const fs::path folder = fs::path(HEED_SOURCE_DIR) / "models" / "digits-voice";
  const auto golden = [&](const char* name) { return read_safetensors_tensor(folder / "golden.safetensors", name); };
  ConvertedModel model(folder);
  const HostTensor frames = golden("frames");
  constexpr std::int64_t kAround = 2;
  const std::int64_t window = std::ssize(frames.data) + 2 * kAround;
  std::vector<double> ids(static_cast<std::size_t>(window));
  std::vector<double> mask(static_cast<std::size_t>(window));
  std::ranges::copy(frames.data, ids.begin() + kAround);
  std::fill(mask.begin() + kAround, mask.end() - kAround, 1.0);
  const HostTensor levels = golden("levels");
  const std::vector<double> logits = logits_of(model,
                                               {{"global_id", tensor_of(DType::I32, {1}, golden("voice").data)},
                                                {"local_ids", tensor_of(DType::I32, {window}, ids)},
                                                {"local_mask", tensor_of(DType::F32, {window, 1}, mask)}},
                                               tensor_of(DType::F32, levels.type.shape, levels.data), window);
  const HostTensor expected = golden("logits");  // after every 80th
  const auto width = static_cast<std::size_t>(expected.type.shape[1]);
  const auto [least, greatest] = std::ranges::minmax(expected.data);
  double most = 0.0;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    most = std::max(most, std::abs(logits.at(i / width * 80 * width + i % width) - expected.data[i]));
  }
  MESSAGE("digits-voice: outputs within " << most << ", of a range of " << greatest - least);
  CHECK(most < 1e-5 * (greatest - least));
}

TEST_CASE("wavenet: a long sound continues from run to run as a short one does") {
  // 40 samples fit a run; of the given ones, the outputs of a second run must be those of one that holds both.
  ConvertedModel model(kWavenets / "mu_law_plain");
  const nlohmann::json golden = read_json(kWavenets / "mu_law_plain" / "golden.json");
  const std::vector<double> given = golden.at("given").get<std::vector<double>>();
  const auto part = [&](std::size_t first, std::size_t count) {
    return tensor_of(DType::F32, {static_cast<std::int64_t>(count)},
                     {given.begin() + static_cast<std::ptrdiff_t>(first),
                      given.begin() + static_cast<std::ptrdiff_t>(first + count)});
  };
  const std::vector<double> first = logits_of(model, {}, part(0, 5), 0);
  const std::vector<double> second = logits_of(model, {}, part(5, 7), 0);  // states stay
  const Matrix expected = matrix_of(golden.at("logits"));
  std::vector<double> all = first;
  all.insert(all.end(), second.begin(), second.end());
  REQUIRE(all.size() == expected.values.size());
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == doctest::Approx(expected.values[i]).epsilon(1e-5));
}

}  // namespace heed::golden
