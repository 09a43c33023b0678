// Drawing and transforming, on models whose pictures are known.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
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

TEST_CASE("picture model: small parts that a model fixes overlap by less, and change what is larger all the same") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  const Json metadata = Json::parse(R"({"task": "image-to-image", "graph": "same",
    "roles": {"in": {"role": "image"}, "out": {"role": "image"}}})");
  for (const std::int64_t side : {1, 3, 16, 32, 33}) {
    CAPTURE(side);
    GraphBuilder g("same");
    const ValueId image = g.input("in", DType::F32, {1, 1, side, side});
    g.output(g.add("add", "sum", {image, image}), "out");
    const OwnModel file(std::move(g).finish(), {}, metadata);
    PictureModel model(*device, file.path());
    Picture given{40, 35, 1, std::vector<float>(40 * 35, 0.25f)};
    std::int64_t parts = 0;
    TransformOptions options;
    options.progress = [&](std::int64_t, std::int64_t total) { parts = total; };
    const Picture made = model.transform(given, options);
    CHECK(made.width == 40);
    CHECK(made.height == 35);
    for (const float value : made.values) REQUIRE(value == doctest::Approx(0.5f));
    CHECK(parts <= (side < 4 ? 40 * 35 : 4 * 40 * 35 / (side * side) + 4));
  }
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
  for (const auto& [width, height] : {std::pair{6, 4}, {6, 9}, {5, 9}, {3, 2}, {17, 4}, {13, 11}}) {
    const Picture given = picture_of(width, height);
    const Picture made = model.transform(given, options);
    REQUIRE(made.values.size() == given.values.size());
    for (std::size_t i = 0; i < made.values.size(); ++i) {
      CHECK(made.values[i] == doctest::Approx(given.values[i]).epsilon(1e-5));
    }
  }
  options.tile = 4;
  CHECK_THROWS_WITH_AS(model.transform(picture_of(13, 11), options),
                       (file.path().string() + ": the model takes 6 by 4 pixels and no others; export it with named "
                                               "(dynamic) height and width")
                           .c_str(),
                       Error);
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

TEST_CASE("picture model: noises and labels that do not fit each other or the model are refused") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  const SumModel file("batch");
  PictureModel model(*device, file.path());
  const std::string where = file.path().string() + ": ";
  const std::vector<std::vector<float>> noises(3, model.noise(1, 0));
  const auto message = [&](const std::vector<std::vector<float>>& with, const std::vector<std::int64_t>& labels,
                           const DrawOptions& options) {
    try {
      model.draw(with, labels, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(message(noises, {}, {}) == where + "0 labels for 3 noises, expected a label for each; -1 is no class");
  CHECK(message(noises, {1, 2}, {}) == where + "2 labels for 3 noises, expected a label for each; -1 is no class");
  CHECK(message(noises, {1, 2, 0, 1}, {}) ==
        where + "4 labels for 3 noises, expected a label for each; -1 is no class");
  CHECK(message(noises, {1, 3, 0}, {}) == where + "there is no class 3; there are 3");
  CHECK(message(noises, {1, -1, 0}, {}) == where + "the model draws nothing without a class");
  // As many numbers in all as are right, so that only a look at each noise tells.
  CHECK(message({{1, 2, 3}, {1, 2, 3, 4, 5}}, {0, 0}, {}) == where + "noise 0 has 3 numbers, expected 4");
  CHECK(message({{1, 2, 3, 4}, {1, 2, 3, 4, 5}}, {0, 0}, {}) == where + "noise 1 has 5 numbers, expected 4");
  CHECK(message({}, {}, {}) == "no error");

  DrawOptions steps;
  steps.steps = 10;
  CHECK(message(noises, {0, 0, 0}, steps).starts_with(where + "--steps 10: the model draws at once, it has no steps"));
  DrawOptions guidance;
  guidance.guidance = 0.0;
  CHECK(message(noises, {0, 0, 0}, guidance).starts_with(where + "--guidance 0: the model draws at once"));
  DrawOptions truncation;
  truncation.truncation = std::numeric_limits<double>::quiet_NaN();
  CHECK(message(noises, {0, 0, 0}, truncation).starts_with(where + "--truncation nan: expected a number"));
  DrawOptions maps;
  maps.maps = true;
  CHECK(message(noises, {0, 0, 0}, maps).starts_with(where + "the model shows no attention"));
}

TEST_CASE("picture model: classes that no input takes are refused") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  GraphBuilder g("draw");
  const ValueId latent = g.input("latent", DType::F32, {Dim("batch"), 4});
  g.output(g.add("reshape", "picture", {latent, g.integers("sizes", {-1, 1, 2, 2})}), "image");
  const OwnModel file(std::move(g).finish(), {}, Json::parse(R"({"task": "draw", "graph": "draw", "classes": ["a", "b"],
    "roles": {"latent": {"role": "latent"}, "image": {"role": "image"}}})"));
  PictureModel model(*device, file.path());
  CHECK(model.draw({model.noise(1, 0)}, {-1}, {}).size() == 1);
  CHECK_THROWS_WITH_AS(model.draw({model.noise(1, 0)}, {1}, {}),
                       (file.path().string() + ": class 1: the model has no input that takes a class").c_str(), Error);
  CHECK(model.classes().empty());
}

TEST_CASE("picture model: pixels that are no finite numbers are an error that names the place") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  const SumModel file("batch");
  PictureModel model(*device, file.path());
  std::vector<std::vector<float>> noises(70, model.noise(1, 0));
  noises[66][2] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(
      model.draw(noises, std::vector<std::int64_t>(70, 0), {}),
      (file.path().string() +
       ": picture 67 of 70 has 1 of 4 values that are no finite numbers, the first in channel 0 at 0,1; the "
       "model's weights are damaged, or the device computes wrongly: try 'heed conform'")
          .c_str(),
      Error);

  GraphBuilder g("same");
  const ValueId image = g.input("in", DType::F32, {1, 1, Dim("height"), Dim("width")});
  g.output(g.add("mul", "square", {image, image}), "out");  // of 1e30: infinity
  const OwnModel changes(std::move(g).finish(), {}, Json::parse(R"({"task": "image-to-image", "graph": "same",
    "roles": {"in": {"role": "image"}, "out": {"role": "image"}}})"));
  PictureModel changer(*device, changes.path());
  Picture picture{40, 20, 1, std::vector<float>(800, 1.0f)};
  picture.at(0, 12, 30) = 1e30f;
  TransformOptions options;
  options.tile = 20;
  options.overlap = 0;
  CHECK_THROWS_WITH_AS(
      changer.transform(picture, options),
      (changes.path().string() +
       ": the part of 20x20 pixels at 20,0 has 1 of 400 values that are no finite numbers, the first in channel 0 "
       "at 10,12; the model's weights are damaged, or the device computes wrongly: try 'heed conform'")
          .c_str(),
      Error);
  picture.at(0, 12, 30) = 1.0f;
  CHECK(changer.transform(picture, options).values.size() == 800);
  picture.values.pop_back();
  CHECK_THROWS_WITH_AS(changer.transform(picture, options), "a picture of 1x20x40 has 799 values, expected 800", Error);
}

TEST_CASE("picture model: pictures smaller than what a model takes are filled up, and the result is cut") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  // Its picture is the one given, but it takes none below 5 pixels a side: a mean that adds nothing needs as many.
  const auto model_for = [](const Dim& height, const Dim& width) {
    GraphBuilder g("same");
    const ValueId image = g.input("in", DType::F32, {1, 1, height, width});
    const ValueId means = g.add("average_pool", "means", {image}, {{"kernel", std::vector<std::int64_t>{5, 5}}});
    const ValueId mean = g.add("reduce", "mean", {means}, {{"kind", std::string("mean")}});
    const ValueId zero = g.add("sub", "zero", {mean, mean});
    g.output(g.add("add", "sum", {image, zero}), "out");
    return std::move(g).finish();
  };
  const Json metadata = Json::parse(R"({"task": "image-to-image", "graph": "same",
    "roles": {"in": {"role": "image"}, "out": {"role": "image"}}})");
  for (const bool fixed : {false, true}) {
    const OwnModel file(fixed ? model_for(6, 7) : model_for("height", "width"), {}, metadata);
    PictureModel model(*device, file.path());
    TransformOptions options;
    options.overlap = 1;
    for (const auto& size : {std::pair{1, 1}, {1, 3}, {3, 1}, {2, 2}, {4, 5}, {4, 40}, {5, 5}}) {
      const int width = size.first;
      const int height = size.second;
      CAPTURE(width);
      CAPTURE(height);
      Picture given{width, height, 1, {}};
      for (std::int64_t i = 0; i < width * height; ++i) given.values.push_back(static_cast<float>(i % 7) / 8.0f);
      const Picture made = model.transform(given, options);
      REQUIRE(made.width == width);
      REQUIRE(made.height == height);
      for (std::size_t i = 0; i < made.values.size(); ++i) {
        CHECK(made.values[i] == doctest::Approx(given.values[i]).epsilon(1e-4));
      }
    }
  }
}

}  // namespace heed
