// OpenAI's interface to pictures: /v1/images/generations draws, /v1/images/edits makes a picture of a picture.
#include <fmt/format.h>

#include <chrono>
#include <span>
#include <utility>

#include "formats/picture_alpha.h"
#include "formats/picture_file.h"
#include "heed/error.h"
#include "tools/serve/base64.h"
#include "tools/serve/ids.h"
#include "tools/serve/picture_request.h"
#include "tools/serve/server.h"

namespace heed::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostPixelsIn = 1 << 24;   // of a picture that is sent
constexpr std::int64_t kMostPixelsOut = 1 << 26;  // and of what is made of it

/// Pictures as PNG files, packed where they were made: so there is one of them in memory at a time.
struct PicturesMade {
  std::vector<std::string> files;
  std::vector<std::string> drawn;  // what each shows, where the model says so
  std::int64_t width = 0, height = 0;
};

std::string size_text(std::int64_t width, std::int64_t height) { return fmt::format("{}x{}", width, height); }

/// Asked between steps; what it throws ends them.
void stop_if(const std::function<bool()>& cancelled) {
  if (cancelled()) throw HttpError(499, "the client has gone");
}

void pack(PicturesMade& made, const Picture& picture, const std::optional<Picture>& alpha = {}) {
  made.width = picture.width;
  made.height = picture.height;
  made.files.push_back(png_bytes(picture, alpha, "the picture"));
}

/// As `heed draw`: without a class each picture is of the next one.
PicturesMade draw_with(PictureModel& model, const DrawRequest& request, const std::function<bool()>& cancelled) {
  DrawOptions options;
  options.steps = request.steps.value_or(0);
  options.guidance = request.guidance.value_or(-1.0);
  options.truncation = request.truncation.value_or(1.0);
  options.progress = [&](std::int64_t, std::int64_t) { stop_if(cancelled); };
  model.check(options);
  const std::string& prompt = request.options.prompt;
  if (!prompt.empty() && model.classes().empty()) {
    throw HttpError(400, "the model draws without being told what; leave prompt empty", "prompt");
  }
  const std::int64_t label = prompt.empty() ? -1 : model.class_named(prompt);
  const auto classes = static_cast<std::int64_t>(model.classes().size());
  std::vector<std::vector<float>> noises;
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < request.options.count; ++i) {
    noises.push_back(model.noise(request.seed, i));
    labels.push_back(label < 0 && classes > 0 ? static_cast<std::int64_t>(i) % classes : label);
  }
  PicturesMade made;
  for (const Picture& picture : model.draw(noises, labels, options)) pack(made, picture);
  for (const std::int64_t number : labels) {
    if (number >= 0) made.drawn.push_back(model.classes()[static_cast<std::size_t>(number)]);
  }
  return made;
}

PicturesMade draw_with(TextPictureModel& model, const DrawRequest& request, const std::function<bool()>& cancelled) {
  TextDrawOptions options;
  options.temperature = request.temperature;
  options.top_k = request.top_k;
  options.top_p = request.top_p;
  options.guidance = request.guidance;
  options.seed = request.seed;
  options.progress = [&](std::int64_t, std::int64_t) { stop_if(cancelled); };
  const std::vector<std::int32_t> caption = model.tokenize(request.options.prompt);
  model.check(caption, options);
  PicturesMade made;
  for (const Picture& picture : model.draw(caption, request.options.count, options)) pack(made, picture);
  return made;
}

/// Fields that models of the other kind take.
void check_kind(const DrawRequest& request, bool of_text) {
  const auto refuse = [&](bool given, const char* name) {
    if (!given) return;
    throw HttpError(400, fmt::format("{} is for models that draw {}; leave it out", name, of_text ? "noise" : "a text"),
                    name);
  };
  refuse(of_text && request.steps, "steps");
  refuse(of_text && request.truncation, "truncation");
  refuse(!of_text && request.temperature, "temperature");
  refuse(!of_text && request.top_k, "top_k");
  refuse(!of_text && request.top_p, "top_p");
}

Json pictures_json(const PicturesMade& made) {
  Json data = Json::array();
  for (std::size_t i = 0; i < made.files.size(); ++i) {
    Json one = {{"b64_json", base64(made.files[i])}};
    if (!made.drawn.empty()) one["revised_prompt"] = made.drawn[i];
    data.push_back(std::move(one));
  }
  return {{"created", unix_time()},
          {"data", std::move(data)},
          {"output_format", "png"},
          {"size", size_text(made.width, made.height)}};
}

class Measured {
 public:
  Measured(Server& server, const Worker& worker) : server_(server), worker_(worker) {}
  void done(std::size_t pictures) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    server_.metrics().count_done(worker_.name(), pictures, 0, 0, 0, seconds);
  }

 private:
  Server& server_;
  const Worker& worker_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void draw(Server& server, const nlohmann::ordered_json& body, httplib::Response& response) {
  const DrawRequest request = DrawRequest::read(body);
  Worker& worker = server.model(request.options.model, {Worker::Kind::Draw, Worker::Kind::TextToImage}, "draw");
  check_kind(request, worker.kind() == Worker::Kind::TextToImage);
  const auto own = worker.drawn_size();
  if (request.options.size && *request.options.size != own) {
    throw HttpError(400,
                    fmt::format("size is {}, but the model draws {}; say that, \"auto\" or nothing",
                                size_text(request.options.size->first, request.options.size->second),
                                size_text(own.first, own.second)),
                    "size");
  }
  Measured measured(server, worker);
  const PicturesMade made = worker.call<PicturesMade>(
      server.limits().time, [request](Worker::Model& model, const std::function<bool()>& cancelled) {
        if (auto* const of_text = std::get_if<TextPictureModel>(&model.any)) {
          return draw_with(*of_text, request, cancelled);
        }
        return draw_with(std::get<PictureModel>(model.any), request, cancelled);
      });
  measured.done(made.files.size());
  Json answer = pictures_json(made);
  answer["seed"] = request.seed;
  set_json(response, answer);
}

PicturesMade transform_with(PictureModel& model, const TransformRequest& request,
                            const std::function<bool()>& cancelled) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(request.picture.data());
  PictureFile file = parse_picture({bytes, request.picture.size()}, "image", kMostPixelsIn);
  if (file.alpha) bleed_colours(file.colours, *file.alpha);
  TransformOptions options;
  options.tile = request.tile;
  options.overlap = request.overlap.value_or(options.overlap);
  options.progress = [&](std::int64_t, std::int64_t) { stop_if(cancelled); };
  options.sized = [&](std::int64_t width, std::int64_t height, std::int64_t) {
    if (width * height > kMostPixelsOut) {
      throw HttpError(400,
                      fmt::format("image would become {} pixels, more than the {} that are made here",
                                  size_text(width, height), kMostPixelsOut),
                      "image");
    }
    if (!request.options.size || *request.options.size == std::pair(width, height)) return;
    throw HttpError(
        400,
        fmt::format("size is {}, but the picture becomes {}; say that, \"auto\" or nothing",
                    size_text(request.options.size->first, request.options.size->second), size_text(width, height)),
        "size");
  };
  PicturesMade made;
  const Picture picture = model.transform(file.colours, options);
  if (file.alpha) file.alpha = resampled(*file.alpha, picture.width, picture.height);
  pack(made, picture, file.alpha);
  return made;
}

void transform(Server& server, const PostedForm& form, httplib::Response& response) {
  const auto request = std::make_shared<const TransformRequest>(TransformRequest::read(form));
  Worker& worker = server.model(request->options.model, {Worker::Kind::Transform}, "make pictures of pictures");
  Measured measured(server, worker);
  const PicturesMade made = worker.call<PicturesMade>(
      server.limits().time, [request](Worker::Model& model, const std::function<bool()>& cancelled) {
        return transform_with(std::get<PictureModel>(model.any), *request, cancelled);
      });
  measured.done(made.files.size());
  set_json(response, pictures_json(made));
}

}  // namespace

void add_picture_routes(Server& server) {
  server.http().post_json(
      "/v1/images/generations",
      [&server](const nlohmann::ordered_json& body, httplib::Response& response) { draw(server, body, response); });
  server.http().post_form("/v1/images/edits",
                          [&server](const httplib::Request&, const PostedForm& form, httplib::Response& response) {
                            transform(server, form, response);
                          },
                          {});
}

}  // namespace heed::tools
