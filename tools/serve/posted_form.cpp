#include "tools/serve/posted_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/serve/bounded_json.h"
#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

constexpr std::size_t kMostFields = 1024;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// "a b" of "a+b" and "a%20b"; what is no code stays as it is.
std::string decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      plain += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      plain += text[i] == '+' ? ' ' : text[i];
    }
  }
  return plain;
}

void add_field(nlohmann::ordered_json& fields, const std::string& name, std::string value) {
  const auto found = fields.find(name);
  if (found == fields.end()) {
    fields[name] = std::move(value);
  } else if (found->is_array()) {
    found->push_back(std::move(value));
  } else {
    *found = nlohmann::ordered_json::array({*found, std::move(value)});
  }
}

void check_count(std::size_t count) {
  if (count > kMostFields) throw HttpError(400, fmt::format("the form has more than {} fields", kMostFields));
}

}  // namespace

std::string media_type(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  std::ranges::transform(type, type.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return type;
}

nlohmann::ordered_json json_fields(const std::string& body) {
  nlohmann::ordered_json json = bounded_json<nlohmann::ordered_json>(body);
  if (json.is_discarded()) {
    throw HttpError(400, fmt::format("the body is not valid JSON of at most {} levels", kJsonDepth));
  }
  if (!json.is_object()) throw HttpError(400, "the body is no JSON object");
  return json;
}

PostedForm PostedForm::read(PostedBody body) {
  PostedForm form;
  if (body.type == "application/json") {
    form.is_json = true;
    form.fields = json_fields(body.bytes);
  } else if (body.type == "application/x-www-form-urlencoded") {
    const std::string_view text = body.bytes;
    check_count(static_cast<std::size_t>(std::ranges::count(text, '&')));
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('&', begin), text.size());
      const std::string_view field = text.substr(begin, end - begin);
      const std::size_t equals = std::min(field.find('='), field.size());
      if (!field.empty()) {
        add_field(form.fields, decoded(field.substr(0, equals)),
                  decoded(field.substr(std::min(equals + 1, field.size()))));
      }
      begin = end + 1;
    }
  } else if (body.type == "multipart/form-data") {
    check_count(body.parts.size());
    for (PostedBody::Part& part : body.parts) {
      if (!part.is_file) {
        add_field(form.fields, part.name, std::move(part.content));
      } else if (!form.files.emplace(part.name, std::move(part.content)).second) {
        throw HttpError(400, fmt::format("the form has several files called '{}', expected one", part.name), part.name);
      }
    }
  } else {
    throw HttpError(415,
                    "the body must be application/json, application/x-www-form-urlencoded or multipart/form-data, and "
                    "its Content-Type must say so");
  }
  return form;
}

nlohmann::ordered_json PostedForm::with_values(std::initializer_list<std::string_view> names) const {
  nlohmann::ordered_json values = fields;
  if (is_json) return values;
  for (const std::string_view name : names) {
    const auto found = values.find(name);
    if (found == values.end() || !found->is_string()) continue;
    if (found->get_ref<const std::string&>().empty()) {
      *found = nullptr;  // a field that was left empty
      continue;
    }
    auto value = bounded_json<nlohmann::ordered_json>(found->get_ref<const std::string&>());
    if (value.is_number() || value.is_boolean()) *found = std::move(value);
  }
  return values;
}

}  // namespace heed::tools
