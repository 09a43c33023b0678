#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace heed::chat {

struct Token {
  enum class Kind : unsigned char {
    Data,  // text between tags, as it is printed
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    String,  // `text` is its value
    Integer,
    Real,
    Operator,
    End,
  };
  Kind kind = Kind::End;
  std::string text;
  int line = 1;
};

/// The tokens of a template, as Jinja cuts it with trim_blocks and lstrip_blocks, which is how transformers reads chat
/// templates: comments are gone, {% raw %} is Data, and white space that tags take is too. Ends with an End. `source`
/// is valid UTF-8. Throws Error naming the line.
std::vector<Token> cut_template(std::string_view source);

}  // namespace heed::chat
