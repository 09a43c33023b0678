#include "tools/serve/picture_request.h"

#include <fmt/format.h>

#include <charconv>
#include <random>

#include "tools/serve/base64.h"
#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

constexpr std::int64_t kMostDrawn = 64;
constexpr double kLargest = 1000.0;

std::optional<std::pair<std::int64_t, std::int64_t>> picture_size(RequestFields& fields) {
  const auto text = fields.text("size");
  if (!text || *text == "auto") return {};
  std::pair<std::int64_t, std::int64_t> size;
  const char* const end = text->data() + text->size();
  const auto width = std::from_chars(text->data(), end, size.first);
  const bool has_height = width.ec == std::errc() && width.ptr != end && *width.ptr == 'x';
  const auto height = has_height ? std::from_chars(width.ptr + 1, end, size.second) : width;
  if (!has_height || height.ec != std::errc() || height.ptr != end || size.first < 1 || size.second < 1) {
    fields.fail("size", "\"auto\", or a width and a height in pixels: \"32x32\"");
  }
  return size;
}

/// Of a field that may be left out, or be what is done anyway.
void need(RequestFields& fields, const char* name, std::initializer_list<std::string_view> fine,
          const std::string& expected) {
  const auto text = fields.text(name);
  if (!text) return;
  for (const std::string_view one : fine) {
    if (*text == one) return;
  }
  fields.fail(name, expected);
}

}  // namespace

PictureOptions PictureOptions::read(RequestFields& fields, std::int64_t most) {
  PictureOptions options;
  options.model = fields.text("model").value_or("");
  options.prompt = fields.text("prompt").value_or("");
  options.count = static_cast<std::size_t>(fields.integer("n", 1, most).value_or(1));
  options.size = picture_size(fields);
  need(fields, "response_format", {"b64_json"}, "\"b64_json\": pictures are not kept here, so there is no url");
  need(fields, "output_format", {"png"}, "\"png\"");
  need(fields, "quality", {"auto", "standard"}, "\"auto\": the model has no other");
  need(fields, "background", {"auto", "opaque"}, "\"auto\": the model says what there is");
  if (fields.boolean("stream").value_or(false)) fields.fail("stream", "false: pictures are sent whole");
  fields.ignore({"user", "moderation"});
  return options;
}

DrawRequest DrawRequest::read(const nlohmann::ordered_json& body) {
  RequestFields fields(body);
  DrawRequest request;
  request.options = PictureOptions::read(fields, kMostDrawn);
  const auto seed = fields.integer("seed", -1);  // -1 is "random", as in other servers
  request.seed = seed.value_or(-1) >= 0 ? static_cast<std::uint64_t>(*seed) : std::random_device()();
  request.guidance = fields.number("guidance", 0, kLargest);
  request.temperature = fields.number("temperature", 0, kLargest);
  request.top_p = fields.number("top_p", 0, 1);
  request.truncation = fields.number("truncation", 0, 10);
  if (const auto steps = fields.integer("steps", 1, 10000)) request.steps = static_cast<int>(*steps);
  if (const auto top_k = fields.integer("top_k", 0, 1 << 30)) request.top_k = static_cast<int>(*top_k);
  fields.refuse_unread();
  return request;
}

TransformRequest TransformRequest::read(PostedForm form) {
  const nlohmann::ordered_json values = form.with_values({"n", "stream", "tile", "overlap"});
  RequestFields fields(values);
  TransformRequest request;
  request.options = PictureOptions::read(fields, 1);
  if (!request.options.prompt.empty()) {
    fields.fail("prompt", "an empty text: models here that change pictures take no words");
  }
  request.tile = fields.integer("tile", 1, 16384).value_or(0);
  request.overlap = fields.integer("overlap", 0, 4096);

  const char* const expected = "one PNG or JPEG file: a file of a form, or its bytes in base64";
  if (form.files.size() > 1) {
    throw HttpError(400, fmt::format("{} files were sent, expected one, called image", form.files.size()), "image");
  }
  for (auto& [name, content] : form.files) {
    if (name != "image" && name != "image[]") {
      throw HttpError(400, fmt::format("the file '{}' is not known here, expected one called image", name), name);
    }
    request.picture = std::move(content);
  }
  if (form.files.empty()) {
    std::string text = fields.text("image").value_or("");
    // A page's own spelling: "data:image/png;base64,...".
    if (text.starts_with("data:") && text.find(";base64,") < 64) text.erase(0, text.find(',') + 1);
    auto bytes = from_base64(text);
    if (text.empty() || !bytes) fields.fail("image", expected);
    request.picture = std::move(*bytes);
  }
  fields.refuse_unread();
  return request;
}

}  // namespace heed::tools
