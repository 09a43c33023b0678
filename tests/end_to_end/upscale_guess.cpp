// heed upscale with models whose files do not say what their pictures are.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "formats/picture_file.h"
#include "heed/picture.h"
#include "tests/end_to_end/process.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::TempFolder;

ValueId resized(GraphBuilder& g, ValueId image, double height, double width) {
  const ValueId scales =
      g.add("constant", "scales", {},
            {{"dtype", std::string("f32")}, {"shape", Shape{4}}, {"values", std::vector<double>{1, 1, height, width}}});
  return g.add("resize", "resize", {image, kNoValue, scales});
}

std::string written(Graph graph, const TempFolder& folder, const std::string& name) {
  ModelHeader header;
  header.metadata = {{"graph", graph.name}};
  header.graphs.push_back(std::move(graph));
  const fs::path path = folder.path() / name;
  write_model_file(path, header, {}, [](const TensorInfo&, const auto&) {});
  return path.string();
}

/// A model that repeats each pixel twice a side and keeps what lies from `low` to `high`, as if trained on such values.
std::string clamping_model(const TempFolder& folder, const std::string& name, double low, double high) {
  GraphBuilder g("larger");
  const ValueId image = g.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
  const ValueId kept = g.add("clamp", "kept", {image}, {{"min", low}, {"max", high}});
  // A wave from low to high: a part of the range is bent more than the whole.
  const auto number = [&](const char* of, double value) {
    return g.add("constant", of, {},
                 {{"dtype", std::string("f32")}, {"shape", Shape{}}, {"values", std::vector<double>{value}}});
  };
  const ValueId above = g.add("sub", "above", {kept, number("low", low)});
  const ValueId part = g.add("div", "part", {above, number("span", high - low)});
  const ValueId wave = g.add("sin", "wave", {g.add("mul", "turn", {part, number("circle", 6.2832)})});
  const ValueId bent = g.add("sub", "bent", {part, g.add("mul", "small", {wave, number("size", 0.3 / 6.2832)})});
  const ValueId back =
      g.add("add", "back", {g.add("mul", "wide", {bent, number("span again", high - low)}), number("low again", low)});
  g.output(resized(g, back, 2, 2), "out");
  return written(std::move(g).finish(), folder, name);
}

std::string slope(const TempFolder& folder) {
  Picture picture{40, 30, 3, {}};
  for (int i = 0; i < 3 * 30 * 40; ++i) picture.values.push_back(static_cast<float>(i % 40) / 39.0F);
  const fs::path path = folder.path() / "slope.png";
  write_png(path, picture, {});
  return path.string();
}

double mean_error(const Picture& made, const Picture& given) {
  double sum = 0.0;
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = 0; y < given.height; ++y) {
      for (std::int64_t x = 0; x < given.width; ++x) {
        sum += std::abs(static_cast<double>(made.at(c, 2 * y, 2 * x)) - static_cast<double>(given.at(c, y, x)));
      }
    }
  }
  return sum / static_cast<double>(given.values.size());
}

}  // namespace

TEST_CASE("upscale: what a plain model's pictures are is found by a trial, said, and overridden by options") {
  const TempFolder folder;
  const std::string input = slope(folder);
  const Picture given = read_picture(input).colours;
  const std::string output = (folder.path() / "out.png").string();
  const std::pair<double, double> ranges[] = {{0, 1}, {0, 255}, {-1, 1}};
  for (const auto& range : ranges) {
    const double low = range.first;
    const double high = range.second;
    CAPTURE(low);
    CAPTURE(high);
    const std::string model = clamping_model(folder, "clamp.heed", low, high);
    const Finished guessed = run_heed({"upscale", input, "--model", model, "-o", output});
    REQUIRE_MESSAGE(guessed.exit_code == 0, guessed.both());
    CHECK_MESSAGE(guessed.error.find(fmt::format("from {} to {} in 'in' and from {} to {} in 'out', 2 times as large",
                                                 low, high, low, high)) != std::string::npos,
                  guessed.error);
    const Picture made = read_picture(output).colours;
    REQUIRE(made.width == 80);
    CHECK(mean_error(made, given) < 0.05);
    // Wrong on purpose: all of it is what lies below a fiftieth of the range, or above.
    const Finished told =
        run_heed({"upscale", input, "--model", model, "-o", output, "--input-range", "0,1", "--output-range", "0,9"});
    REQUIRE_MESSAGE(told.exit_code == 0, told.both());
    CHECK(told.error.find("trial") == std::string::npos);
    CHECK(mean_error(read_picture(output).colours, given) > 0.1);
  }
  const std::string model = clamping_model(folder, "clamp.heed", 0, 1);
  for (const char* wrong : {"1", "1,0", "a,b", "0,1,2", "0,", "nan,1", "0,inf"}) {
    const Finished refused = run_heed({"upscale", input, "--model", model, "-o", output, "--input-range", wrong});
    check_error(refused, fmt::format("--input-range '{}': expected the values of black and of full", wrong));
  }
}

TEST_CASE("upscale: of a model whose pictures are unlike what it was given the ranges are called a guess") {
  const TempFolder folder;
  GraphBuilder g("darker");
  const ValueId image = g.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
  const ValueId half = g.add("constant", "half", {},
                             {{"dtype", std::string("f32")}, {"shape", Shape{}}, {"values", std::vector<double>{0.5}}});
  g.output(g.add("mul", "mul", {image, half}), "out");
  const std::string model = written(std::move(g).finish(), folder, "darker.heed");
  const Finished made =
      run_heed({"upscale", slope(folder), "--model", model, "-o", (folder.path() / "out.png").string()});
  REQUIRE_MESSAGE(made.exit_code == 0, made.both());
  CHECK_MESSAGE(made.error.find(", which is a guess") != std::string::npos, made.error);
}

TEST_CASE("upscale: a model that makes pictures smaller, or larger by no whole number of times, is refused") {
  const TempFolder folder;
  const std::pair<double, double> scales[] = {{0.5, 0.5}, {2, 1}, {1, 0.25}, {1.25, 1.25}, {1.1, 1.1}, {2.4, 2.4}};
  for (const auto& of_sides : scales) {
    GraphBuilder g("other");
    const ValueId image = g.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
    g.output(resized(g, image, of_sides.first, of_sides.second), "out");
    const std::string model = written(std::move(g).finish(), folder, "other.heed");
    const std::string output = (folder.path() / "out.png").string();
    const Finished refused = run_heed({"upscale", slope(folder), "--model", model, "-o", output});
    check_error(refused, "expected as many a side or a whole number of times as many; 'heed run' takes other models");
    CHECK_FALSE(fs::exists(output));
  }
}

TEST_CASE("upscale: what is no picture is called so") {
  const TempFolder folder;
  const std::string output = (folder.path() / "out.png").string();
  const auto upscale = [&](GraphBuilder& g) {
    const std::string model = written(std::move(g).finish(), folder, "other.heed");
    return run_heed({"upscale", slope(folder), "--model", model, "-o", output});
  };
  GraphBuilder label("label");
  const ValueId image = label.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
  const ValueId axes =
      label.add("constant", "axes", {},
                {{"dtype", std::string("i64")}, {"shape", Shape{2}}, {"values", std::vector<double>{2, 3}}});
  label.output(
      label.add("reduce", "mean", {image, axes}, {{"kind", std::string("mean")}, {"keep_dims", std::int64_t{0}}}),
      "out");
  check_error(upscale(label), "output 'out' is [1, 3], expected pictures [batch, 1 or 3, height, width]");
  GraphBuilder nothing("nothing");
  const ValueId empty = nothing.input("in", DType::F32, {1, 3, std::int64_t{0}, std::int64_t{0}});
  nothing.output(nothing.add("relu", "relu", {empty}), "out");
  check_error(upscale(nothing), "");
}

TEST_CASE("upscale: published models work without a description") {
  const TempFolder folder;
  const std::string input = slope(folder);
  struct Plain {
    const char* file;
    const char* said;
  };
  for (const Plain& plain :
       {Plain{"rfdn/model.onnx", "from 0 to 255 in 'input' and from 0 to 255 in 'output', 4 times"},
        Plain{"carn-m/upscale_x2.onnx", "from 0 to 1 in 'input' and from 0 to 1 in 'output', 2 times"},
        Plain{"style-muse/model.onnx", "and from 0 to 1 in 'styled', of the same size, which is a guess"}}) {
    const auto file = convert_test::shared_file(std::string("models/") + plain.file);
    if (!file) return;
    const std::string model = (folder.path() / "model.heed").string();
    const Finished converted = run_heed({"convert", file->string(), "-o", model});
    REQUIRE_MESSAGE(converted.exit_code == 0, converted.both());
    const Finished made = run_heed({"upscale", input, "--model", model, "-o", (folder.path() / "out.png").string()});
    REQUIRE_MESSAGE(made.exit_code == 0, made.both());
    CHECK_MESSAGE(made.error.find(plain.said) != std::string::npos, made.error);
    const bool doubts = std::string(plain.said).find("guess") != std::string::npos;
    CHECK((made.error.find("guess") != std::string::npos) == doubts);
  }
}

}  // namespace heed::end_to_end
