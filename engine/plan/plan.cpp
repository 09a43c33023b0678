#include "plan/plan.h"

#include <fmt/format.h>

#include "graph/integer.h"
#include "graph/shape.h"
#include "heed/error.h"

namespace heed {

std::uint64_t device_element_bytes(ValueKind kind, DType type) {
  return kind == ValueKind::State && type == DType::F16 ? 2 : 4;
}

std::uint32_t view_texel_bytes(View view) {
  switch (view) {
    case View::F32x4:
    case View::U32x4:
      return 16;
    case View::U32x2:
      return 8;
    case View::F32:
    case View::U32:
    case View::I32:
      return 4;
    case View::None:
      break;
  }
  return 1;
}

std::string Dispatch::module_key() const {
  std::string key = shader + (texel ? "-texel" : "-storage");
  for (const std::string& value : variant) key += "-" + value;
  return key;
}

std::string IndexCheck::message(std::int64_t element, std::int64_t value) const {
  const std::int64_t size = sizes[static_cast<std::size_t>(element) % sizes.size()];
  if (size <= 0)
    return fmt::format("{} '{}': {} {} (element {}) names a place among none", op, node, what, value, element);
  return fmt::format("{} '{}': {} {} (element {}) is outside {} to {}", op, node, what, value, element,
                     from_end ? -size : 0, size - 1);
}

std::size_t Plan::tensor_named(std::string_view name) const {
  std::string known;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Storage storage = tensors[i].storage;
    if (storage != Storage::Input && storage != Storage::Output && storage != Storage::State) continue;
    if (tensors[i].name == name) return i;
    known += (known.empty() ? "" : ", ") + tensors[i].name;
  }
  throw Error(fmt::format("graph '{}' has no input, output or state '{}'; it has {}", graph_name, name, known));
}

std::uint64_t Plan::flops() const {
  std::uint64_t sum = 0;
  for (const Dispatch& dispatch : dispatches) sum = saturating_sum(sum, dispatch.flops);
  return sum;
}

std::uint64_t Plan::bytes() const {
  std::uint64_t sum = 0;
  for (const Dispatch& dispatch : dispatches) sum = saturating_sum(sum, dispatch.bytes);
  return sum;
}

std::uint64_t Plan::memory() const {
  std::uint64_t sum = 0;
  for (const PlanTensor& tensor : tensors) {
    if (tensor.storage != Storage::Arena) sum = saturating_sum(sum, tensor.bytes);
  }
  for (const std::uint64_t block : arena_blocks) sum = saturating_sum(sum, block);
  return sum;
}

}  // namespace heed
