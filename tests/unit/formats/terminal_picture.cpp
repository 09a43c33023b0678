#include "formats/terminal_picture.h"

#include <doctest/doctest.h>

namespace heed {

TEST_CASE("terminal picture: a character is two pixels, black below the last row") {
  const Picture grey{2, 3, 1, {0.0f, 1.0f, 0.5f, 2.0f, 1.0f, -1.0f}};
  const std::vector<std::string> lines = terminal_lines(grey, 64);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] ==
        "\x1b[38;2;0;0;0m\x1b[48;2;128;128;128m\u2580\x1b[38;2;255;255;255m\x1b[48;2;255;255;255m\u2580\x1b[0m");
  CHECK(lines[1] == "\x1b[38;2;255;255;255m\x1b[48;2;0;0;0m\u2580\x1b[38;2;0;0;0m\x1b[48;2;0;0;0m\u2580\x1b[0m");
}

TEST_CASE("terminal picture: colours, and fewer columns for wide pictures") {
  Picture colours{5, 1, 3, std::vector<float>(15, 0.0f)};
  colours.at(0, 0, 0) = 1.0f;
  colours.at(1, 0, 2) = 1.0f;
  colours.at(2, 0, 4) = 1.0f;
  const std::vector<std::string> lines = terminal_lines(colours, 3);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] ==
        "\x1b[38;2;255;0;0m\x1b[48;2;0;0;0m\u2580\x1b[38;2;0;255;0m\x1b[48;2;0;0;0m\u2580"
        "\x1b[38;2;0;0;255m\x1b[48;2;0;0;0m\u2580\x1b[0m");
}

}  // namespace heed
