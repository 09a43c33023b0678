// heed serve: OpenAI's interface to pictures, against what `heed draw` and `heed upscale` make.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "formats/picture_file.h"
#include "tests/end_to_end/process.h"
#include "tests/end_to_end/serving.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/serve/base64.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using convert_test::TempFolder;

std::string shipped(const TempFolder& folder, const std::string& name) {
  const std::string file = (folder.path() / (name + ".heed")).string();
  const Finished finished = run_heed({"convert", (fs::path(HEED_SOURCE_DIR) / "models" / name).string(), "-o", file});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return file;
}

/// A model that repeats each pixel three times a side. `task`: what its file says that it is for.
std::string enlarging(const TempFolder& folder, const std::string& task = "image-to-image") {
  GraphBuilder g("larger");
  const ValueId image = g.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
  const ValueId scales =
      g.add("constant", "scales", {},
            {{"dtype", std::string("f32")}, {"shape", Shape{4}}, {"values", std::vector<double>{1, 1, 3, 3}}});
  g.output(g.add("resize", "resize", {image, kNoValue, scales}), "out");
  ModelHeader header;
  header.graphs.push_back(std::move(g).finish());
  header.metadata = Json::parse(R"({"task": "image-to-image", "graph": "larger", "roles": {
    "in": {"role": "image", "range": [0, 1]}, "out": {"role": "image", "range": [0, 1]}}})");
  header.metadata["task"] = task;
  const fs::path path = folder.path() / "larger.heed";
  write_model_file(path, header, {}, [](const TensorInfo&, const auto&) {});
  return path.string();
}

std::string bytes_of(const fs::path& path) { return convert_test::read_whole(path); }

/// The PNG files that `heed draw` makes.
std::vector<std::string> drawn(const TempFolder& folder, std::vector<std::string> arguments, int count) {
  const fs::path out = folder.path() / "out.png";
  arguments.insert(arguments.begin(), "draw");
  arguments.insert(arguments.end(), {"-o", out.string(), "--count", std::to_string(count)});
  const Finished finished = run_heed(arguments);
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  std::vector<std::string> files;
  for (int i = 1; i <= count; ++i) {
    files.push_back(bytes_of(count == 1 ? out : folder.path() / ("out-" + std::to_string(i) + ".png")));
  }
  return files;
}

std::vector<std::string> pictures_of(const Json& answer) {
  std::vector<std::string> files;
  for (const Json& one : answer.at("data")) {
    const auto bytes = tools::from_base64(one.at("b64_json").get<std::string>());
    REQUIRE(bytes.has_value());
    files.push_back(*bytes);
  }
  return files;
}

/// The number that /metrics has behind this name and its labels; 0 where it has none.
double picture_metric(const Serving& served, const std::string& name) {
  const auto result = served.client().Get("/metrics");
  REQUIRE(static_cast<bool>(result));
  for (const std::string& line : lines_of(result->body)) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size() + 1));
  }
  return 0;
}

std::string picture_error(const Json& answer) { return answer.at("error").at("message"); }

}  // namespace

TEST_CASE("serve: pictures of a class and of a caption are the bytes that heed draw writes") {
  const TempFolder folder;
  const std::string fashion = shipped(folder, "fashion"), tokens = shipped(folder, "fashion-tokens");
  const auto bags = drawn(folder, {fashion, "--class", "Bag", "--seed", "3"}, 2);
  const auto coats = drawn(folder, {tokens, "a dark coat", "--seed", "3", "--guidance", "3", "--top-k", "20"}, 2);
  const Serving served({fashion, tokens});
  const Json answer = served.post("/v1/images/generations", {{"prompt", "Bag"},
                                                             {"n", 2},
                                                             {"seed", 3},
                                                             {"size", "32x32"},
                                                             {"response_format", "b64_json"},
                                                             {"user", "somebody"}});
  CHECK(pictures_of(answer) == bags);
  CHECK(answer.at("data").at(0).at("revised_prompt") == "Bag");
  CHECK(answer.at("seed") == 3);
  CHECK(answer.at("size") == "32x32");
  CHECK(pictures_of(served.post("/v1/images/generations", {{"model", "fashion-tokens"},
                                                           {"prompt", "a dark coat"},
                                                           {"n", 2},
                                                           {"seed", 3},
                                                           {"guidance", 3},
                                                           {"top_k", 20}})) == coats);
  // Without a class each picture is of the next one, as heed draw has it; without a seed pictures differ.
  CHECK(pictures_of(served.post("/v1/images/generations", {{"n", 3}, {"seed", 5}})) ==
        drawn(folder, {fashion, "--seed", "5"}, 3));
  CHECK(served.post("/v1/images/generations", {{"prompt", "Bag"}}).at("data") !=
        served.post("/v1/images/generations", {{"prompt", "Bag"}}).at("data"));
  CHECK(served.get("/v1/models").at("data").at(1).at("size") == "32x32");
}

TEST_CASE("serve: pictures that cannot be had are refused by name") {
  const TempFolder folder;
  const Serving served({shipped(folder, "fashion"), shipped(folder, "fashion-tokens"), enlarging(folder)});
  const auto refused = [&](const Json& body, int status = 400) {
    return picture_error(served.post("/v1/images/generations", body, status));
  };
  CHECK(has(refused({{"prompt", "Bag"}, {"size", "64x64"}}), "size is 64x64, but the model draws 32x32"));
  CHECK(has(refused({{"prompt", "Bag"}, {"size", "big"}}), "size is \"big\", expected"));
  CHECK(has(refused({{"prompt", "Bag"}, {"response_format", "url"}}), "pictures are not kept here"));
  CHECK(has(refused({{"prompt", "Bag"}, {"output_format", "jpeg"}}), "output_format"));
  CHECK(has(refused({{"prompt", "Bag"}, {"n", 65}}), "n is 65, expected an integer from 1 to 64"));
  CHECK(has(refused({{"prompt", "Bag"}, {"temperature", 1}}), "temperature is for models that draw a text"));
  CHECK(has(refused({{"prompt", "Bag"}, {"guidance", 2}}), "draws at once, without guidance"));
  CHECK(has(refused({{"prompt", "Bag"}, {"style", "vivid"}}), "style is not known here"));
  CHECK(has(refused({{"prompt", "spoon"}}), "Bag"));
  CHECK(has(refused({{"prompt", "a coat"}, {"model", "fashion-tokens"}, {"steps", 2}}),
            "steps is for models that draw noise"));
  CHECK(has(refused({{"prompt", "a spoon"}, {"model", "fashion-tokens"}}), "spoon"));
  CHECK(has(refused({{"model", "larger"}}), "model larger does not draw"));
  CHECK(
      has(refused({{"model", "none"}}, 404), "there is no model 'none' here, expected one of fashion, fashion-tokens"));
}

TEST_CASE("serve: a picture of a picture is the file that heed upscale writes, however it is sent") {
  const TempFolder folder;
  const std::string model = enlarging(folder);
  Picture picture{31, 20, 3, {}};
  Picture alpha{31, 20, 1, {}};
  for (int i = 0; i < 3 * 31 * 20; ++i) picture.values.push_back(static_cast<float>(i * 7 % 256) / 255.0f);
  for (int i = 0; i < 31 * 20; ++i) alpha.values.push_back(i % 31 < 9 ? 0.0f : 1.0f);
  write_png(folder.path() / "in.png", picture, alpha);
  const std::string output = (folder.path() / "out.png").string();
  const Finished finished = run_heed({"upscale", (folder.path() / "in.png").string(), "--model", model, "-o", output});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  const std::vector<std::string> expected = {bytes_of(output)};
  const std::string input = bytes_of(folder.path() / "in.png");

  const Serving served({model});
  auto client = served.client();
  const httplib::MultipartFormDataItems form = {
      {"image", input, "in.png", "image/png"}, {"prompt", "", "", ""}, {"n", "1", "", ""}, {"size", "93x60", "", ""}};
  const Json answer = json_of(client.Post("/v1/images/edits", form));
  CHECK(pictures_of(answer) == expected);
  CHECK(answer.at("size") == "93x60");
  CHECK(pictures_of(served.post("/v1/images/edits", {{"image", tools::base64(input)}, {"tile", 16}, {"overlap", 2}}))
            .size() == 1);
  CHECK(pictures_of(served.post("/v1/images/edits", {{"image", "data:image/png;base64," + tools::base64(input)}})) ==
        expected);

  const auto refused = [&](const Json& body) { return picture_error(served.post("/v1/images/edits", body, 400)); };
  CHECK(has(refused({{"image", tools::base64(input)}, {"size", "90x60"}}), "the picture becomes 93x60"));
  CHECK(has(refused({{"image", "@@"}}), "image is \"@@\", expected one PNG or JPEG file"));
  CHECK(has(refused({{"image", tools::base64("GIF89a")}}), "is neither PNG nor JPEG"));
  CHECK(has(refused({{"image", tools::base64(input.substr(0, 60))}}), "damaged"));
  CHECK(has(refused({{"image", tools::base64(input)}, {"prompt", "in oil"}}), "prompt is \"in oil\""));
  CHECK(has(refused({{"image", tools::base64(input)}, {"mask", "x"}}), "mask is not known here"));
  const httplib::MultipartFormDataItems two = {{"image", input, "in.png", "image/png"},
                                               {"mask", input, "mask.png", "image/png"}};
  CHECK(has(picture_error(json_of(client.Post("/v1/images/edits", two), 400)), "2 files were sent, expected one"));
  // Sizes that a header alone says, and pictures that would become too large.
  std::string large = input;
  large.replace(16, 8, std::string("\0\0\x20\0\0\0\x20\0", 8));
  CHECK(has(refused({{"image", tools::base64(large)}}), "8192x8192 pixels are more than the 16777216"));
  const Picture wide{4096, 2048, 3, std::vector<float>(3 * 4096 * 2048)};
  CHECK(has(refused({{"image", tools::base64(png_bytes(wide, {}, "wide"))}}),
            "image would become 12288x6144 pixels, more than the 67108864"));
}

TEST_CASE("serve: a drawing whose client has gone ends, and the next one is as if it had not been") {
  const TempFolder folder;
  const std::string tokens = shipped(folder, "fashion-tokens");
  const auto coat = drawn(folder, {tokens, "a dark coat", "--seed", "3"}, 1);
  const Serving served({tokens});
  const std::string kOutstanding = "heed_outstanding{model=\"fashion-tokens\"}";
  const auto wait_for = [&](double outstanding) {
    for (int i = 0; i < 3000 && picture_metric(served, kOutstanding) != outstanding; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return picture_metric(served, kOutstanding) == outstanding;
  };
  const Json many = {{"prompt", "a dark coat"}, {"n", 64}};
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  served.post("/v1/images/generations", many);
  const Clock::duration whole = Clock::now() - begin;
  // Fast devices may be done before it is seen that nobody waits.
  const bool takes_time = whole > std::chrono::seconds(2);
  if (!takes_time) MESSAGE("SKIPPED: 64 pictures are drawn too fast here to see that a drawing ends early");
  {
    // Goes as soon as the drawing has begun.
    auto client = served.client();
    std::thread asks([&] { client.Post("/v1/images/generations", many.dump(), "application/json"); });
    if (takes_time) CHECK(wait_for(1));
    client.stop();
    asks.join();
  }
  CHECK(wait_for(0));
  CHECK(pictures_of(served.post("/v1/images/generations", {{"prompt", "a dark coat"}, {"seed", 3}})) == coat);
  if (!takes_time) return;
  // The one that was left is no answer: it ended where it was.
  CHECK(picture_metric(served, "heed_answers_total{model=\"fashion-tokens\"}") == 65);
  CHECK(picture_metric(served, "heed_requests_total{path=\"/v1/images/generations\",status=\"499\"}") == 1);
}

TEST_CASE("serve: models that it has no interface for are said at the start") {
  const TempFolder folder;
  check_error(run_heed({"serve", enlarging(folder, "sound")}),
              "heed serve does not serve sound models; heed sound runs them");
  check_error(run_heed({"serve", enlarging(folder, "chess")}), "heed serve does not serve models of the task 'chess'");
}

}  // namespace heed::end_to_end
