// Numbers that a plan itself holds: what ops ask of Lowering::constant().
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "graph/integer.h"
#include "plan/lowering.h"

namespace heed {
namespace {

/// What an integer beyond 32 bits is to an op that computes with 32 of them.
enum class BeyondWord { Refused, Saturates, Wraps };

/// Ops that look at the order of numbers alone take the nearest one; those that wrap around take the lower bits, which
/// are all that matters to them where their results have no more than 32 bits.
BeyondWord beyond_word(const Node& node, DType type) {
  if (node.attributes.has("then")) return BeyondWord::Refused;  // which of its two ops reads it?
  const std::string_view op = node.op;
  for (const std::string_view orders : {"max", "min", "less", "less_equal", "greater", "greater_equal"}) {
    if (op == orders) return BeyondWord::Saturates;
  }
  for (const std::string_view bits : {"bitwise_and", "bitwise_or", "bitwise_xor"}) {
    if (op == bits) return BeyondWord::Wraps;
  }
  if (type != DType::U32) return BeyondWord::Refused;
  for (const std::string_view modular : {"add", "sub", "mul", "equal"}) {
    if (op == modular) return BeyondWord::Wraps;
  }
  return BeyondWord::Refused;
}

}  // namespace

Binding Lowering::constant(const std::string& name, std::span<const float> values, View view) {
  return constant_words("constant:", name, std::as_bytes(values), DType::F32, view);
}

Binding Lowering::constant(const std::string& name, std::span<const std::int32_t> values, View view) {
  return constant_words("constant:", name, std::as_bytes(values), DType::I32, view);
}

Binding Lowering::constant(const std::string& name, const std::function<std::vector<float>()>& make, View view) {
  constexpr const char* kKind = "made:";
  if (const auto made = tensor_of_key_.find(kKind + name); made != tensor_of_key_.end()) {
    return {made->second, 0, plan_.tensors[made->second].bytes, Access::Read, view};
  }
  return constant_words(kKind, name, std::as_bytes(std::span<const float>(make())), DType::F32, view);
}

Binding Lowering::constant(const std::string& name, const HostTensor& tensor, View view) {
  if (is_floating(tensor.type.dtype)) {
    return constant(name, std::vector<float>(tensor.data.begin(), tensor.data.end()), view);
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const BeyondWord beyond = beyond_word(*node_, tensor.type.dtype);
  std::vector<std::int32_t> words;
  words.reserve(tensor.data.size());
  for (const double element : tensor.data) {
    const std::int64_t integer = to_integer(element);
    if (integer >= -kMost - 1 && integer <= kMost) {
      words.push_back(static_cast<std::int32_t>(integer));
    } else if (beyond == BeyondWord::Saturates || is_end_of_integers(element)) {
      words.push_back(static_cast<std::int32_t>(integer < 0 ? -kMost - 1 : kMost));
    } else if (beyond == BeyondWord::Wraps && std::abs(element) < kMostInteger) {
      words.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(integer)));
    } else {
      fail(fmt::format("reads {} of '{}', which needs more than 32 bits; heed computes with integers of 32", element,
                       name));
    }
  }
  return constant(name, words, view);
}

Binding Lowering::constant_words(const char* kind, const std::string& name, std::span<const std::byte> words,
                                 DType dtype, View view) {
  std::string key = kind + name;
  for (auto known = tensor_of_key_.find(key); known != tensor_of_key_.end(); known = tensor_of_key_.find(key += "'")) {
    const PlanTensor& tensor = plan_.tensors[known->second];
    const std::vector<std::byte>& data = plan_.constants[tensor.source];
    const bool same = tensor.type.dtype == dtype &&
                      tensor.type.shape[0] * 4 == static_cast<std::int64_t>(words.size()) &&
                      std::ranges::equal(words, std::span(data).first(words.size()));
    if (same) return {known->second, 0, tensor.bytes, Access::Read, view};
  }
  PlanTensor tensor;
  tensor.name = name;
  tensor.storage = Storage::Constant;
  tensor.type = {dtype, {static_cast<std::int64_t>(words.size() / 4)}};
  tensor.bytes = std::max<std::uint64_t>(16, round_up(words.size(), 16));
  tensor.source = plan_.constants.size();
  std::vector<std::byte> data(tensor.bytes);
  std::ranges::copy(words, data.begin());
  plan_.constants.push_back(std::move(data));
  const std::uint64_t size = tensor.bytes;
  return {add_keyed_tensor(key, std::move(tensor)), 0, size, Access::Read, view};
}

}  // namespace heed
