#pragma once

#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace heed::tools {

inline constexpr std::size_t kAnySize = std::numeric_limits<std::size_t>::max();

/// All of a stream or file. Throws Error, naming it, when it cannot be read, or holds more than `most` bytes.
std::string read_stream(std::FILE* stream, const std::string& name, std::size_t most = kAnySize);
std::string read_file(const std::string& path, std::size_t most = kAnySize);

/// Takes one line end, \n or \r\n, off the end.
void drop_line_end(std::string& line);
/// The lines of a text, without their ends.
std::vector<std::string> split_lines(std::string_view text);

}  // namespace heed::tools
