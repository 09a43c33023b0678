#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "tools/serve/posted_form.h"
#include "tools/serve/request_fields.h"

namespace heed::tools {

/// What OpenAI's interfaces to pictures have in common.
struct PictureOptions {
  std::string model;
  std::string prompt;
  std::size_t count = 1;
  std::optional<std::pair<std::int64_t, std::int64_t>> size;  // width, height; none: whatever the model makes

  /// Throws HttpError 400 naming the field that makes no sense, or that asks for what is not done here.
  static PictureOptions read(RequestFields& fields, std::int64_t most);
};

/// A request of /v1/images/generations. What is not given is as the model says.
struct DrawRequest {
  PictureOptions options;
  std::uint64_t seed = 0;
  std::optional<double> guidance, temperature, top_p, truncation;
  std::optional<int> steps, top_k;

  static DrawRequest read(const nlohmann::ordered_json& body);
};

/// A request of /v1/images/edits.
struct TransformRequest {
  PictureOptions options;
  std::string picture;  // bytes of a PNG or JPEG file
  std::int64_t tile = 0;
  std::optional<std::int64_t> overlap;

  static TransformRequest read(PostedForm form);
};

}  // namespace heed::tools
