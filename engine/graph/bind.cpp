#include "graph/bind.h"

#include <fmt/format.h>

#include "heed/error.h"

namespace heed {

void bind_dim(Bindings& dims, const std::string& name, std::int64_t size, const std::string& where) {
  const auto [known, added] = dims.try_emplace(name, size);
  if (!added && known->second != size) {
    throw Error(fmt::format("{}: dimension '{}' is {} here, but {} elsewhere", where, name, size, known->second));
  }
}

Bindings bind_inputs(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  Bindings dims;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    const std::string where = fmt::format("input '{}'", input.name);
    const auto found = shapes.find(input.name);
    if (found == shapes.end()) throw Error(where + " is missing");
    const Shape& shape = found->second;
    bool fits = shape.size() == input.shape.size();
    for (std::size_t i = 0; fits && i < shape.size(); ++i) {
      if (input.shape[i].name.empty()) {
        fits = shape[i] == input.shape[i].size;
      } else {
        bind_dim(dims, input.shape[i].name, shape[i], where);
      }
    }
    if (!fits)
      throw Error(fmt::format("{} has shape {}, expected {}", where, to_string(shape), to_string(input.shape)));
  }
  return dims;
}

}  // namespace heed
