#include "tests/op_cases/case_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "plan/plan.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

/// FNV-1a, 64 bits.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return value;
}

/// The i-th number of the stream `key`, in [-1, 1): the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
double random_number(std::uint64_t key, std::uint64_t i) {
  std::uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 40) / 8388608.0 - 1.0;
}

std::vector<float> numbers_for(const OpCase& op_case, const Value& value, std::size_t count) {
  const auto given = op_case.values.find(value.name);
  if (given != op_case.values.end() && given->second.size() != count) {
    throw Error(fmt::format("case '{}': '{}' has {} values, expected {}", op_case.name, value.name,
                            given->second.size(), count));
  }
  const std::uint64_t key = hash(op_case.name + "/" + value.name);
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double number = given != op_case.values.end() ? given->second[i] : random_number(key, i);
    numbers[i] = static_cast<float>(number);
  }
  return numbers;
}

/// Integers are taken as they are; those that no case gives are zero.
std::vector<double> integers_for(const OpCase& op_case, const Value& value, std::size_t count) {
  const auto given = op_case.values.find(value.name);
  if (given == op_case.values.end()) return std::vector<double>(count, 0.0);
  if (given->second.size() != count) {
    throw Error(fmt::format("case '{}': '{}' has {} values, expected {}", op_case.name, value.name,
                            given->second.size(), count));
  }
  return given->second;
}

}  // namespace

CaseData make_case_data(const OpCase& op_case) {
  CaseData data;
  std::map<std::string, std::vector<double>>& decoded = data.decoded_weights;
  for (const Value& value : op_case.graph.values) {
    if (value.kind == ValueKind::Intermediate) continue;
    const TensorType type{value.dtype, bind(value.shape, op_case.dims)};
    const auto count = static_cast<std::size_t>(element_count(type.shape));
    if (value.kind == ValueKind::Weight && type.dtype == DType::I32) {
      const std::vector<double> integers = integers_for(op_case, value, count);
      const std::vector<std::int32_t> words(integers.begin(), integers.end());
      const auto bytes = std::as_bytes(std::span(words));
      data.weights.add(value.name, type, {bytes.begin(), bytes.end()});
      decoded[value.name] = integers;
      continue;
    }
    if (value.kind == ValueKind::Weight) {
      std::vector<float> numbers = numbers_for(op_case, value, count);
      std::vector<std::byte> bytes(byte_size(type.dtype, type.shape));
      if (count > 0) {
        encode_from_f32(type.dtype, numbers, bytes);
        decode_to_f32(type.dtype, bytes, count, numbers.data());
      }
      decoded[value.name] = std::vector<double>(numbers.begin(), numbers.end());
      data.weights.add(value.name, type, std::move(bytes));
      continue;
    }
    HostTensor tensor{type, {}};
    if (!is_floating(type.dtype)) {
      tensor.data = integers_for(op_case, value, count);
    } else {
      const std::vector<float> numbers = numbers_for(op_case, value, count);
      tensor.data.assign(numbers.begin(), numbers.end());
      if (device_element_bytes(value.kind, value.dtype) == 2) {
        for (double& number : tensor.data) number = f16_to_f32(f32_to_f16(static_cast<float>(number)));
      }
    }
    (value.kind == ValueKind::Input ? data.inputs : data.states_before)[value.name] = std::move(tensor);
  }

  std::map<std::string, HostTensor> tensors = data.inputs;
  tensors.insert(data.states_before.begin(), data.states_before.end());
  const WeightLookup lookup = [&](const std::string& name, std::size_t) { return decoded.at(name); };
  data.outputs = evaluate(op_case.graph, op_case.dims, lookup, tensors);
  for (const auto& [name, before] : data.states_before) data.states_after[name] = tensors.at(name);

  if (moves_words(op_case.graph)) return data;
  for (const auto& taken_for : {with_denormals_flushed, with_signs_of_zeros_lost}) {
    tensors = data.inputs;
    bool other = false;
    for (auto& [name, tensor] : tensors) {
      if (!is_floating(tensor.type.dtype)) continue;
      for (double& value : tensor.data) {
        const double read = taken_for(value);
        other |= std::bit_cast<std::uint64_t>(read) != std::bit_cast<std::uint64_t>(value);
        value = read;
      }
    }
    tensors.insert(data.states_before.begin(), data.states_before.end());
    if (!other) continue;
    std::map<std::string, HostTensor>& right = data.also_right.emplace_back();
    right = evaluate(op_case.graph, op_case.dims, lookup, tensors);
    for (const auto& [name, before] : data.states_before) right[name] = tensors.at(name);
  }
  return data;
}

}  // namespace heed::op_cases
