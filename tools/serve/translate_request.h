#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/serve/posted_form.h"

namespace heed::tools {

/// A request of LibreTranslate's /translate.
struct TranslateRequest {
  std::string model;  // heed's own field; empty: whichever has the languages
  std::string source, target;
  std::vector<std::string> texts;
  bool is_array = false;  // texts came as an array, and go back so
  int alternatives = 0;
  std::optional<int> beams;
  bool attention = false;

  /// Throws HttpError 400 naming the field that makes no sense or is not known.
  static TranslateRequest read(const PostedForm& form);
};

/// The lines of texts, which models translate one by one, and the way back.
class TextLines {
 public:
  explicit TextLines(const std::vector<std::string>& texts);

  const std::vector<std::string>& lines() const { return lines_; }
  std::size_t texts() const { return first_.size(); }
  /// The lines of a text: the first, and the one behind the last.
  std::pair<std::size_t, std::size_t> lines_of(std::size_t text) const;
  /// A text whose lines became these; those were `lines()`. What breaks lines within one becomes a space.
  std::string joined(std::size_t text, const std::vector<std::string>& translated) const;
  /// "q[1], line 2: ..." for "line 5: ...", where the fifth line of all is that.
  std::string with_place(std::string_view message, bool is_array) const;

 private:
  std::vector<std::string> lines_;  // without their ends
  std::vector<bool> carriage_;      // whether "\r\n" was a line's end
  std::vector<std::size_t> first_;  // line of each text
};

}  // namespace heed::tools
