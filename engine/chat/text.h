#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heed::chat {

/// A text of a template's run, in UTF-8, which knows which of its bytes are given: they come from the request's
/// messages, however the template cut and joined them, and no special token may be made of those. What is made of a
/// text in any other way is given as a whole where a byte of that is.
class Text {
 public:
  struct Range {
    std::size_t begin = 0, end = 0;
    bool operator==(const Range&) const = default;
  };

  Text() = default;
  /// All of it the template's own, or all of it given.
  explicit Text(std::string bytes, bool given = false);

  const std::string& bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool has_given() const { return !given_.empty(); }
  /// The given bytes: ascending, apart from each other, none empty.
  const std::vector<Range>& given() const { return given_; }

  /// A part of it; `part` is a view of bytes().
  Text part(std::string_view part) const;
  Text& operator+=(const Text& other);
  /// Adds text of the template's own, or given one.
  void add(std::string_view bytes, bool given = false);

 private:
  void add_given(std::size_t begin, std::size_t end);

  std::string bytes_;
  std::vector<Range> given_;
};

}  // namespace heed::chat
