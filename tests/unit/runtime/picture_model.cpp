// Drawing and transforming, on models whose pictures are known.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "file/model_file.h"
#include "heed/picture.h"
#include "tests/temporary_folder.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::int64_t kClasses = 3;

/// A model in a folder of its own, removed at the end.
class OwnModel {
 public:
  /// `tens`: the shape of the model's only weight, whose row i holds 10 i; or empty for none.
  OwnModel(Graph graph, const Shape& tens, Json metadata) {
    ModelHeader header;
    header.graphs.push_back(std::move(graph));
    if (!tens.empty()) header.tensors.push_back({"tens", DType::F32, tens, 0, 0, 0});
    header.metadata = std::move(metadata);
    write_model_file(path(), header, {}, [&](const TensorInfo&, const auto& sink) {
      std::vector<float> values;
      for (std::int64_t i = 0; i < element_count(tens); ++i) values.push_back(10.0f * static_cast<float>(i / tens[1]));
      sink(std::as_bytes(std::span(values)));
    });
  }
  fs::path path() const { return folder_.path("own.heed"); }

 private:
  testing::TemporaryFolder folder_;
};

/// Its picture is its noise plus ten times the class. `batch` of its inputs is a name or a number.
class SumModel : public OwnModel {
 public:
  explicit SumModel(
      const Dim& batch, const std::function<void(Json&)>& change = [](Json&) {})
      : OwnModel(graph(batch), {kClasses, 4}, metadata(change)) {}

 private:
  static Graph graph(const Dim& batch) {
    GraphBuilder g("draw");
    const ValueId latent = g.input("latent", DType::F32, {batch, 4});
    const ValueId label = g.input("label", DType::I32, {batch});
    const ValueId tens = g.add("embedding", "embedding", {label, g.weight("tens", DType::F32, {kClasses, 4})});
    const ValueId sum = g.add("add", "sum", {latent, tens});
    g.output(g.add("reshape", "picture", {sum, g.integers("sizes", {-1, 1, 2, 2})}), "image");
    return std::move(g).finish();
  }
  static Json metadata(const std::function<void(Json&)>& change) {
    Json json = Json::parse(R"({"task": "draw", "graph": "draw", "classes": ["a", "b", "c"], "roles": {
      "latent": {"role": "latent"}, "label": {"role": "label", "encoding": "index"},
      "image": {"role": "image", "range": [0, 1]}}})");
    change(json);
    return json;
  }
};

/// Draws `count` pictures and checks each; returns the greatest total that was told of progress.
std::int64_t draw_and_check(const Device& device, const SumModel& file, std::size_t count) {
  PictureModel model(device, file.path());
  std::vector<std::vector<float>> noises;
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < count; ++i) {
    noises.push_back(model.noise(1, i));
    labels.push_back(static_cast<std::int64_t>(i % kClasses));
  }
  std::int64_t runs = 0;
  DrawOptions options;
  options.progress = [&](std::int64_t done, std::int64_t total) {
    CHECK(done < total);
    runs = std::max(runs, total);
  };
  const std::vector<Picture> pictures = model.draw(noises, labels, options);
  REQUIRE(pictures.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    REQUIRE(pictures[i].values.size() == 4);
    for (std::size_t v = 0; v < 4; ++v) {
      CHECK(pictures[i].values[v] == noises[i][v] + 10.0f * static_cast<float>(labels[i]));
    }
  }
  return runs;
}

std::string opening_error(const Device& device, const std::function<void(Json&)>& change) {
  const SumModel file("batch", change);
  try {
    PictureModel(device, file.path());
  } catch (const Error& error) {
    std::string message = error.what();
    CHECK(message.starts_with(file.path().string() + ": "));
    return message.substr(std::min(message.size(), file.path().string().size() + 2));
  }
  return "no error";
}

}  // namespace

TEST_CASE("picture model: many pictures are drawn in several runs, which can be interrupted between") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  CHECK(draw_and_check(*device, SumModel("batch"), 1) == 1);
  CHECK(draw_and_check(*device, SumModel("batch"), 130) == 3);
  const SumModel file("batch");
  PictureModel model(*device, file.path());
  DrawOptions options;
  options.progress = [](std::int64_t done, std::int64_t) {
    if (done == 1) throw Error("stop");
  };
  CHECK_THROWS_WITH_AS(
      model.draw(std::vector<std::vector<float>>(130, model.noise(1, 0)), std::vector<std::int64_t>(130, 0), options),
      "stop", Error);
}

TEST_CASE("picture model: a graph of a fixed batch draws any number of pictures") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  CHECK(draw_and_check(*device, SumModel(1), 3) == 3);
  CHECK(draw_and_check(*device, SumModel(4), 1) == 1);
  CHECK(draw_and_check(*device, SumModel(4), 9) == 3);
}

TEST_CASE("picture model: a graph of one size takes larger pictures in parts") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  GraphBuilder g("same");
  const ValueId image = g.input("in", DType::F32, {1, 1, 4, 6});
  g.output(g.add("relu", "relu", {image}), "out");
  const OwnModel file(std::move(g).finish(), {}, Json::parse(R"({"task": "image-to-image", "graph": "same", "roles": {
    "in": {"role": "image", "range": [0, 1]}, "out": {"role": "image", "range": [0, 1]}}})"));
  PictureModel model(*device, file.path());
  const auto picture_of = [](std::int64_t width, std::int64_t height) {
    Picture picture{width, height, 1, {}};
    for (std::int64_t i = 0; i < width * height; ++i) picture.values.push_back(static_cast<float>(i % 7) / 8.0f);
    return picture;
  };
  TransformOptions options;
  options.overlap = 1;
  for (const auto& [width, height] : {std::pair{6, 4}, {6, 9}, {17, 4}, {13, 11}}) {
    const Picture given = picture_of(width, height);
    const Picture made = model.transform(given, options);
    REQUIRE(made.values.size() == given.values.size());
    for (std::size_t i = 0; i < made.values.size(); ++i) {
      CHECK(made.values[i] == doctest::Approx(given.values[i]).epsilon(1e-5));
    }
  }
  CHECK_THROWS_WITH_AS(model.transform(picture_of(5, 9), options),
                       (file.path().string() + ": the model takes 6 by 4 pixels and no others, not 5 by 9; export it "
                                               "with named (dynamic) height and width")
                           .c_str(),
                       Error);
  options.tile = 4;
  CHECK_THROWS_AS(model.transform(picture_of(13, 11), options), Error);
}

TEST_CASE("picture model: roles that do not fit the inputs are refused") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  CHECK(opening_error(*device, [](Json&) {}) == "no error");
  const auto swapped = [](Json& metadata) { std::swap(metadata["roles"]["latent"], metadata["roles"]["label"]); };
  CHECK(opening_error(*device, swapped) ==
        "input 'label' of role 'latent' holds i32, expected floats; correct 'roles'");
  CHECK(opening_error(*device, [](Json& metadata) { metadata["roles"]["label"]["encoding"] = "one_hot"; }) ==
        "input 'label' of role 'label' holds i32, expected floats; correct 'roles'");
  CHECK(opening_error(*device, [](Json& metadata) { metadata.erase("classes"); }) ==
        "metadata 'classes' is missing: names, by number");
}

}  // namespace heed
