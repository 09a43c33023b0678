#include "tools/lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "heed/error.h"

namespace heed::tools {

std::string read_stream(std::FILE* stream, const std::string& name, std::size_t most) {
  std::string content;
  char block[65536];
  while (const std::size_t count = std::fread(block, 1, sizeof block, stream)) {
    content.append(block, count);
    if (content.size() > most) throw Error(fmt::format("{}: more than {} bytes, which no context holds", name, most));
  }
  if (std::ferror(stream)) throw Error(fmt::format("{}: cannot read: {}", name, std::strerror(errno)));
  return content;
}

std::string read_file(const std::string& path, std::size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) throw Error(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  return read_stream(file.get(), path, most);
}

void drop_line_end(std::string& line) {
  if (line.ends_with('\n')) line.pop_back();
  if (line.ends_with('\r')) line.pop_back();
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.emplace_back(text.substr(0, end));
    drop_line_end(lines.back());
    text.remove_prefix(end);
  }
  return lines;
}

}  // namespace heed::tools
