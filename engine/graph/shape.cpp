#include "graph/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "heed/error.h"

namespace heed {

std::int64_t element_count(const Shape& shape) {
  if (shape.size() > kMaxRank) {
    throw Error(
        fmt::format("shape {} has {} dimensions; heed handles up to {}", to_string(shape), shape.size(), kMaxRank));
  }
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) throw Error(fmt::format("shape {} has a negative size", to_string(shape)));
    if (size > 0 && count > kMaxElements / size) {
      throw Error(fmt::format("shape {} has more than {} elements", to_string(shape), kMaxElements));
    }
    count *= size;
  }
  return count;
}

std::uint64_t byte_size(DType type, const Shape& shape) {
  const DTypeInfo& info = dtype_info(type);
  const std::int64_t count = element_count(shape);
  if (info.block_elements > 1 && (shape.empty() || shape.back() % info.block_elements != 0)) {
    throw Error(fmt::format("shape {} cannot be stored as {}: its last dimension is not a multiple of {}",
                            to_string(shape), info.name, info.block_elements));
  }
  return static_cast<std::uint64_t>(count) / info.block_elements * info.block_bytes;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string to_string(const SymbolicShape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i].name.empty() ? std::to_string(shape[i].size) : shape[i].name;
  }
  return text + "]";
}

Shape bind(const SymbolicShape& shape, const Bindings& bindings) {
  Shape bound;
  bound.reserve(shape.size());
  for (const Dim& dim : shape) {
    if (dim.name.empty()) {
      bound.push_back(dim.size);
      continue;
    }
    const auto found = bindings.find(dim.name);
    if (found == bindings.end()) {
      throw Error(fmt::format("dimension '{}' of {} has no size; bind it before planning", dim.name, to_string(shape)));
    }
    bound.push_back(found->second);
  }
  element_count(bound);
  return bound;
}

}  // namespace heed
