#include "tools/graph_arguments.h"

#include <fmt/format.h>

#include <charconv>

#include "heed/error.h"

namespace heed::tools {

std::pair<std::string, std::string> split_assignment(const std::string& text, const char* option, const char* form) {
  const std::size_t at = text.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
    throw Error(fmt::format("{} '{}': expected {}", option, text, form));
  }
  return {text.substr(0, at), text.substr(at + 1)};
}

void check_range(const std::string& where, DType type, const std::vector<std::int32_t>& elements) {
  const auto [least, most] = integer_range(type);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (elements[i] >= least && elements[i] <= most) continue;
    throw Error(fmt::format("{}: element {} is {}, expected {} to {} ({})", where, i, elements[i], least, most,
                            dtype_name(type)));
  }
}

Bindings bind_dims(const ModelFile& file, const Graph& graph, const std::vector<std::string>& binds, Bindings dims) {
  for (const std::string& text : binds) {
    const auto [name, value] = split_assignment(text, "--bind", "DIM=N, such as outputs=1");
    std::int64_t size = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    const std::string where = fmt::format("--bind '{}'", text);
    if (error != std::errc() || end != value.data() + value.size()) {
      throw Error(fmt::format("{}: '{}' is no size", where, value));
    }
    give_dim(graph, dims, name, size, where);
  }
  complete_dims(file, graph, dims, "give --bind {}=N");
  return dims;
}

}  // namespace heed::tools
