#include "tools/serve/posted_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "tools/serve/bounded_json.h"
#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

constexpr std::size_t kMostFields = 1024;
constexpr std::size_t kMostPartHeader = 8192;  // bytes of one part

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

std::string lower(std::string_view text) {
  std::string small(text);
  std::ranges::transform(small, small.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return small;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// "x;y" of the parameter name in 'form-data; name="x;y"'; nothing where it is not there.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at < header.size()) {
    const std::size_t equals = header.find_first_of("=;", at + 1);
    const std::string key = lower(trimmed(header.substr(at + 1, std::min(equals, header.size()) - at - 1)));
    if (equals == std::string_view::npos || header[equals] == ';') {
      at = equals;
      continue;
    }
    std::string value;
    std::size_t i = std::min(header.find_first_not_of(" \t", equals + 1), header.size());
    if (i < header.size() && header[i] == '"') {
      for (++i; i < header.size() && header[i] != '"'; ++i) {
        if (header[i] == '\\' && i + 1 < header.size()) ++i;
        value += header[i];
      }
      at = header.find(';', i);
    } else {
      at = header.find(';', i);
      value = trimmed(header.substr(i, std::min(at, header.size()) - i));
    }
    if (key == name) return value;
  }
  return std::nullopt;
}

struct Part {
  std::string name;
  bool is_file = false;
  std::string content;
};

HttpError no_parts(const std::string& why) { return HttpError(400, "the form's parts cannot be read: " + why); }

Part part_of(std::string_view header, std::string_view content) {
  Part part{.name = {}, .is_file = false, .content = std::string(content)};
  bool named = false;
  for (std::size_t begin = 0; begin < header.size();) {
    const std::size_t end = std::min(header.find("\r\n", begin), header.size());
    const std::string_view line = header.substr(begin, end - begin);
    begin = end + 2;
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string key = lower(trimmed(line.substr(0, colon)));
    const std::string_view value = trimmed(line.substr(std::min(colon + 1, line.size())));
    if (key == "content-transfer-encoding") {
      const std::string encoding = lower(value);
      if (encoding != "binary" && encoding != "8bit" && encoding != "7bit") {
        throw no_parts(fmt::format("one is encoded as {}, expected binary", encoding));
      }
    } else if (key == "content-disposition") {
      const auto name = parameter(value, "name");
      if (media_type(value) != "form-data" || !name) throw no_parts("one is no form-data with a name");
      named = true;
      part.name = *name;
      part.is_file = !parameter(value, "filename").value_or("").empty() || parameter(value, "filename*").has_value();
    }
  }
  if (!named) throw no_parts("one has no name");
  return part;
}

/// Where a line begins that separates parts, from `at` on; npos where none does. Others may begin like it.
std::size_t find_separator(std::string_view bytes, const std::string& separator, std::size_t at) {
  for (; (at = bytes.find(separator, at)) != std::string_view::npos; ++at) {
    const std::string_view behind = bytes.substr(at + separator.size(), 2);
    if (behind == "--" || behind == "\r\n" || behind.starts_with(' ') || behind.starts_with('\t')) return at;
  }
  return at;
}

std::vector<Part> parts_of(const PostedBody& body) {
  const std::string boundary = parameter(body.content_type, "boundary").value_or("");
  if (boundary.empty() || boundary.size() > 70) throw no_parts("Content-Type needs a boundary of 1 to 70 characters");
  const std::string_view bytes = body.bytes;
  const std::string separator = "\r\n--" + boundary;
  // The first line has none before it.
  const bool first = find_separator(bytes.substr(0, separator.size()), separator.substr(2), 0) == 0;
  std::size_t at = first ? separator.size() - 2 : find_separator(bytes, separator, 0);
  if (at == std::string_view::npos) throw no_parts("the boundary is not there");
  if (!first) at += separator.size();
  std::vector<Part> parts;
  while (bytes.substr(at, 2) != "--") {
    check_count(parts.size() + 1);
    at = bytes.find_first_not_of(" \t", at);
    if (at == std::string_view::npos || bytes.substr(at, 2) != "\r\n") throw no_parts("a boundary's line does not end");
    at += 2;
    const std::size_t size = bytes.substr(at, kMostPartHeader).find("\r\n\r\n");
    if (size == std::string_view::npos) {
      throw no_parts(fmt::format("one has no end of its header within {} bytes", kMostPartHeader));
    }
    const std::size_t content = at + size + 4;
    const std::size_t end = find_separator(bytes, separator, content);
    if (end == std::string_view::npos) throw no_parts("the last one does not end");
    parts.push_back(part_of(bytes.substr(at, size), bytes.substr(content, end - content)));
    at = end + separator.size();
  }
  return parts;
}

}  // namespace

std::string media_type(std::string_view content_type) {
  return lower(trimmed(content_type.substr(0, content_type.find(';'))));
}

nlohmann::ordered_json json_fields(const std::string& body) {
  nlohmann::ordered_json json = bounded_json<nlohmann::ordered_json>(body);
  if (json.is_discarded()) {
    throw HttpError(
        400, fmt::format("the body is not valid JSON of at most {} levels and {} values", kJsonDepth, kJsonValues));
  }
  if (!json.is_object()) throw HttpError(400, "the body is no JSON object");
  return json;
}

PostedForm PostedForm::read(PostedBody body) {
  PostedForm form;
  const std::string type = media_type(body.content_type);
  if (type == "application/json") {
    form.is_json = true;
    form.fields = json_fields(body.bytes);
  } else if (type == "application/x-www-form-urlencoded") {
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
  } else if (type == "multipart/form-data") {
    for (Part& part : parts_of(body)) {
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
