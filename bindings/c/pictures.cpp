// heed.h: pictures.
#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <variant>

#include "bindings/c/common.h"
#include "heed/model.h"
#include "heed/picture.h"

namespace heed::c {

/// Either kind of model that heed_picture_model_open() opens.
struct AnyPictureModel {
  static constexpr const char* kKind = "picture model";
  AnyPictureModel(const Device& device, const char* path) : file(path) {
    if (TextPictureModel::is_one(file)) {
      of_text.emplace(device, file);
    } else {
      plain.emplace(device, file);
    }
  }
  std::string file;
  std::optional<PictureModel> plain;
  std::optional<TextPictureModel> of_text;
};

template <>
struct Described<heed_picture> {
  static constexpr const char* kName = "heed_picture";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_picture, data);
  static heed_picture defaults() { return {}; }
};

template <>
struct Described<heed_draw_options> {
  static constexpr const char* kName = "heed_draw_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_draw_options, user);
  static heed_draw_options defaults() {
    constexpr double kUnset = std::numeric_limits<double>::quiet_NaN();
    heed_draw_options options{};
    options.count = 1;
    options.guidance = kUnset;
    options.temperature = kUnset;
    options.top_p = kUnset;
    options.top_k = -1;
    options.truncation = kUnset;
    return options;
  }
};

template <>
struct Described<heed_transform_options> {
  static constexpr const char* kName = "heed_transform_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_transform_options, user);
  static heed_transform_options defaults() {
    heed_transform_options options{};
    options.overlap = TransformOptions().overlap;
    return options;
  }
};

namespace {

constexpr std::int64_t kMostSide = 1 << 20;

void check_format(std::int32_t format) {
  if (format == HEED_PLANES_F32 || format == HEED_INTERLEAVED_U8) return;
  throw InvalidArgument(fmt::format("format {}: expected HEED_PLANES_F32 or HEED_INTERLEAVED_U8", format));
}

std::vector<std::uint8_t> interleaved(const Picture& picture) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(picture.values.size());
  for (std::int64_t y = 0; y < picture.height; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x) {
      for (std::int64_t c = 0; c < picture.channels; ++c) {
        const float value = std::clamp(picture.at(c, y, x), 0.0F, 1.0F);
        bytes.push_back(static_cast<std::uint8_t>(std::lround(value * 255.0F)));
      }
    }
  }
  return bytes;
}

struct PictureResult : Result {
  PictureResult(Picture given, std::int32_t format) {
    view.size = sizeof view;
    view.width = given.width;
    view.height = given.height;
    view.channels = given.channels;
    view.format = format;
    if (format == HEED_INTERLEAVED_U8) {
      bytes = interleaved(given);
      view.data = bytes.data();
    } else {
      values = std::move(given.values);
      view.data = values.data();
    }
  }
  heed_picture view{};
  std::vector<float> values;
  std::vector<std::uint8_t> bytes;
};

struct PicturesResult : Result {
  PicturesResult(std::vector<Picture> made, std::int32_t format) {
    for (Picture& picture : made) views.push_back(&pictures.emplace_back(std::move(picture), format).view);
    view.count = views.size();
    view.pictures = views.data();
  }
  heed_pictures view{};
  std::deque<PictureResult> pictures;
  std::vector<const heed_picture*> views;
};

Picture picture_of(const heed_picture* given) {
  need(given, "the picture");
  const heed_picture read = read_options(given);
  check_format(read.format);
  if (read.width < 1 || read.height < 1 || read.width > kMostSide || read.height > kMostSide ||
      (read.channels != 1 && read.channels != 3)) {
    throw InvalidArgument(
        fmt::format("a picture of {}x{} and {} channels: expected sides of 1 to {}, and 1 or 3 channels", read.width,
                    read.height, read.channels, kMostSide));
  }
  need(read.data, "the picture's data");
  Picture picture{read.width, read.height, read.channels, {}};
  const auto count = static_cast<std::size_t>(read.width * read.height * read.channels);
  if (read.format == HEED_PLANES_F32) {
    picture.values = list_of(static_cast<const float*>(read.data), count, "the picture's data");
    return picture;
  }
  picture.values.resize(count);
  const auto* bytes = static_cast<const std::uint8_t*>(read.data);
  for (std::int64_t y = 0; y < read.height; ++y) {
    for (std::int64_t x = 0; x < read.width; ++x) {
      for (std::int64_t c = 0; c < read.channels; ++c) picture.at(c, y, x) = static_cast<float>(*bytes++) / 255.0F;
    }
  }
  return picture;
}

using Progress = std::function<void(std::int64_t, std::int64_t)>;

Progress progress_of(std::int32_t (*progress)(void*, std::int64_t, std::int64_t), void* user) {
  if (progress == nullptr) return {};
  return [=](std::int64_t done, std::int64_t total) {
    if (progress(user, done, total) != 0) throw Cancelled();
  };
}

[[noreturn]] void refuse(const AnyPictureModel& model, const char* option, const char* kind) {
  throw Error(fmt::format("{}: {} is for models that draw {}; leave it out", model.file, option, kind));
}

std::vector<Picture> draw_of_text(AnyPictureModel& any, const heed_draw_options& asked) {
  TextPictureModel& model = *any.of_text;
  if (asked.name != nullptr) refuse(any, "name", "noise of a class");
  if (asked.steps != 0) refuse(any, "steps", "in steps");
  if (!std::isnan(asked.truncation)) refuse(any, "truncation", "noise");
  TextDrawOptions options;
  if (!std::isnan(asked.guidance)) options.guidance = asked.guidance;
  if (!std::isnan(asked.temperature)) options.temperature = asked.temperature;
  if (!std::isnan(asked.top_p)) options.top_p = asked.top_p;
  if (asked.top_k >= 0) options.top_k = asked.top_k;
  options.seed = asked.seed;
  options.progress = progress_of(asked.progress, asked.user);
  const std::string caption = text_or_nothing(asked.caption);
  const std::vector<std::int32_t> tokens = caption.empty() ? std::vector<std::int32_t>() : model.tokenize(caption);
  return model.draw(tokens, static_cast<std::size_t>(asked.count), options);
}

std::vector<Picture> draw_of_noise(AnyPictureModel& any, const heed_draw_options& asked) {
  PictureModel& model = *any.plain;
  if (!model.draws())
    throw Error(fmt::format("{}: the model changes pictures and draws none; see heed_transform", any.file));
  if (asked.caption != nullptr) refuse(any, "caption", "a text");
  if (!std::isnan(asked.temperature)) refuse(any, "temperature", "a text");
  if (!std::isnan(asked.top_p)) refuse(any, "top_p", "a text");
  if (asked.top_k >= 0) refuse(any, "top_k", "a text");
  DrawOptions options;
  if (!std::isnan(asked.guidance)) options.guidance = asked.guidance;
  if (!std::isnan(asked.truncation)) options.truncation = asked.truncation;
  options.steps = asked.steps;
  options.progress = progress_of(asked.progress, asked.user);
  const auto classes = static_cast<std::int64_t>(model.classes().size());
  const std::int64_t label = asked.name == nullptr ? -1 : model.class_named(asked.name);
  std::vector<std::vector<float>> noises;
  std::vector<std::int64_t> labels;
  for (std::int32_t i = 0; i < asked.count; ++i) {
    noises.push_back(model.noise(asked.seed, static_cast<std::uint64_t>(i)));
    labels.push_back(label < 0 && classes > 0 ? i % classes : label);
  }
  return model.draw(noises, labels, options);
}

}  // namespace
}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

heed_status heed_picture_init(heed_picture* picture, size_t size) { return init_options(picture, size); }
heed_status heed_draw_options_init(heed_draw_options* options, size_t size) { return init_options(options, size); }
heed_status heed_transform_options_init(heed_transform_options* options, size_t size) {
  return init_options(options, size);
}

heed_status heed_picture_model_open(heed_device* device, const char* file, heed_picture_model** model) {
  return guarded([&] { open_model<AnyPictureModel>(device, file, model); });
}

heed_status heed_draw(heed_picture_model* handle, const heed_draw_options* given, const heed_pictures** pictures) {
  return guarded([&] {
    clear_out(pictures, "the place for the pictures");
    const heed_draw_options asked = read_options(given);
    check_format(asked.format);
    if (asked.count < 1) throw Error(fmt::format("{} pictures were asked for, expected 1 or more", asked.count));
    with_model<AnyPictureModel>(handle, [&](AnyPictureModel& model) {
      std::vector<Picture> made = model.of_text ? draw_of_text(model, asked) : draw_of_noise(model, asked);
      give(pictures, std::make_unique<PicturesResult>(std::move(made), asked.format));
    });
  });
}

heed_status heed_transform(heed_picture_model* handle, const heed_picture* picture, const heed_transform_options* given,
                           const heed_picture** result) {
  return guarded([&] {
    clear_out(result, "the place for the picture");
    const heed_transform_options asked = read_options(given);
    check_format(asked.format);
    const Picture source = picture_of(picture);
    TransformOptions options;
    options.tile = asked.tile;
    options.overlap = asked.overlap;
    options.progress = progress_of(asked.progress, asked.user);
    with_model<AnyPictureModel>(handle, [&](AnyPictureModel& model) {
      if (!model.plain || model.plain->draws()) {
        throw Error(fmt::format("{}: the model draws pictures and changes none; see heed_draw", model.file));
      }
      give(result, std::make_unique<PictureResult>(model.plain->transform(source, options), asked.format));
    });
  });
}
}
