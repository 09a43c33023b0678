#include "tools/serve/translate_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tools/serve/http_server.h"
#include "tools/serve/request_fields.h"

namespace heed::tools {
namespace {

constexpr int kMostWays = 32;  // beams of a search
constexpr std::size_t kMostLines = 4096;

/// Forms have "\r\n" for the ends of lines, whatever there was.
std::string with_plain_ends(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    plain += text[i];
  }
  return plain;
}

}  // namespace

TranslateRequest TranslateRequest::read(const PostedForm& form) {
  const nlohmann::ordered_json values = form.with_values({"alternatives", "beams", "attention"});
  RequestFields fields(values);
  TranslateRequest request;
  request.model = fields.text("model").value_or("");
  request.source = fields.text("source").value_or("");
  request.target = fields.text("target").value_or("");
  const std::string format = fields.text("format").value_or("");
  if (format == "html") {
    fields.fail("format", "\"text\": tags would be translated like words; take the text out of the page first");
  }
  if (!format.empty() && format != "text") fields.fail("format", "\"text\"");
  request.alternatives = static_cast<int>(fields.integer("alternatives", 0, kMostWays - 1).value_or(0));
  if (const auto beams = fields.integer("beams", 1, kMostWays)) request.beams = static_cast<int>(*beams);
  request.attention = fields.boolean("attention").value_or(false);

  const char* const expected = "a text, or an array of texts, that is not empty";
  const nlohmann::ordered_json* const q = fields.any("q");
  if (q == nullptr) fields.fail("q", expected);
  request.is_array = q->is_array();
  if (request.is_array) {
    for (const nlohmann::ordered_json& text : *q) {
      if (!text.is_string()) fields.fail("q", expected);
      request.texts.push_back(text.get<std::string>());
    }
  } else if (q->is_string()) {
    request.texts.push_back(q->get<std::string>());
  }
  if (request.texts.empty() || (!request.is_array && request.texts.front().empty())) fields.fail("q", expected);
  if (!form.is_json) std::ranges::transform(request.texts, request.texts.begin(), with_plain_ends);
  // The key was looked at before; "apiKey" is the npm package libretranslate's name, "secret" is of its own pages.
  fields.ignore({"api_key", "apiKey", "secret"});
  fields.refuse_unread();
  for (const auto& [name, content] : form.files) {
    throw HttpError(400, fmt::format("{} is a file, which is not known here; leave it out", name), name);
  }
  return request;
}

TextLines::TextLines(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    first_.push_back(lines_.size());
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      std::string line = text.substr(begin, end - begin);
      carriage_.push_back(line.ends_with('\r'));
      if (carriage_.back()) line.pop_back();
      lines_.push_back(std::move(line));
      begin = end + 1;
    }
    if (lines_.size() > kMostLines) {
      throw HttpError(400, fmt::format("q has more than {} lines; send it in parts", kMostLines), "q");
    }
  }
}

std::pair<std::size_t, std::size_t> TextLines::lines_of(std::size_t text) const {
  return {first_[text], text + 1 < first_.size() ? first_[text + 1] : lines_.size()};
}

std::string TextLines::joined(std::size_t text, const std::vector<std::string>& translated) const {
  const auto [begin, end] = lines_of(text);
  std::string made;
  for (std::size_t line = begin; line < end; ++line) {
    if (line > begin) made += '\n';
    std::string one = translated[line];
    std::ranges::replace_if(
        one, [](char c) { return c == '\n' || c == '\r'; }, ' ');
    made += one;
    if (carriage_[line]) made += '\r';
  }
  return made;
}

std::string TextLines::with_place(std::string_view message, bool is_array) const {
  constexpr std::string_view kLine = "line ";
  std::size_t number = 0;
  const bool has_line = message.starts_with(kLine);
  const auto parsed =
      std::from_chars(message.data() + (has_line ? kLine.size() : 0), message.data() + message.size(), number);
  if (!has_line || !is_array || parsed.ec != std::errc() || number < 1 || number > lines_.size()) {
    return std::string(message);
  }
  const auto after = std::ranges::upper_bound(first_, number - 1);
  const auto text = static_cast<std::size_t>(after - first_.begin()) - 1;
  return fmt::format("q[{}], line {}{}", text, number - first_[text],
                     message.substr(static_cast<std::size_t>(parsed.ptr - message.data())));
}

}  // namespace heed::tools
