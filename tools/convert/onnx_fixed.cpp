#include "tools/convert/onnx_fixed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>

#include "heed/error.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

template <typename Number>
bool parse_number(const std::string& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Whether `text` is a value of the type.
bool parse_element(const std::string& text, DType type, double& value) {
  if (type == DType::Bool) {
    value = text == "true" || text == "1" ? 1.0 : 0.0;
    return value == 1.0 || text == "false" || text == "0";
  }
  if (is_floating(type)) return parse_number(text, value);
  std::int64_t integer = 0;
  if (!parse_number(text, integer)) return false;
  value = static_cast<double>(integer);
  // Numbers beyond 2^53 are no doubles, and sizes and rates are none of them.
  if (std::abs(value) > 0x1p53) return false;
  const bool is_unsigned = type == DType::U8 || type == DType::U16 || type == DType::U32 || type == DType::U64;
  if (is_unsigned && integer < 0) return false;
  if (type == DType::I32) return value >= -0x1p31 && value < 0x1p31;
  if (type == DType::U32) return value < 0x1p32;
  return wrap_integer(type, value) == value;
}

std::string shown_input(const std::string& name, DType type, const SymbolicShape& shape) {
  return fmt::format("{} ({} {})", in_quotes(name), dtype_name(type), to_string(shape));
}

}  // namespace

void add_fixed(FixedValues& fixed, const std::string& assignment) {
  const std::size_t at = assignment.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == assignment.size()) {
    throw Error(fmt::format("--set {}: expected NAME=VALUE, such as sampling_rate=16000", in_quotes(assignment)));
  }
  const std::string name = assignment.substr(0, at);
  if (!fixed.emplace(name, assignment.substr(at + 1)).second) {
    throw Error(fmt::format("--set {}: {} is set twice", in_quotes(assignment), in_quotes(name)));
  }
}

HostTensor fixed_tensor(const std::string& name, const std::string& text, DType type, const SymbolicShape& shape) {
  const std::vector<std::string> parts = parts_of(text);
  const auto count = static_cast<std::int64_t>(parts.size());
  const auto wrong_count = [&](const std::string& expected) -> Error {
    return Error(fmt::format("--set {}={}: {} value{} for the input {}, expected {}", name, text, count,
                             count == 1 ? "" : "s", shown_input(name, type, shape), expected));
  };
  HostTensor tensor{{type, {}}, {}};
  std::int64_t product = 1;
  int open = 0;
  for (const Dim& dim : shape) {
    if (!dim.name.empty()) {
      ++open;
    } else if (dim.size > 0 && product > kMaxElements / dim.size) {
      throw wrong_count("fewer: it has too many elements to be given here");
    } else {
      product *= dim.size;
    }
  }
  if (open > 1) throw wrong_count("the sizes of its dimensions first: --set DIMENSION=N");
  if (open == 1 && (product == 0 || count % product != 0)) throw wrong_count(fmt::format("a multiple of {}", product));
  if (open == 0 && count != product) throw wrong_count(std::to_string(product));
  for (const Dim& dim : shape) tensor.type.shape.push_back(dim.name.empty() ? dim.size : count / product);
  for (const std::string& part : parts) {
    double value = 0.0;
    if (!parse_element(part, type, value)) {
      throw Error(fmt::format("--set {}={}: {} is no value of {}, which is the type of the input {}", name, text,
                              in_quotes(part), type == DType::Bool ? "bool (true, false)" : dtype_name(type),
                              in_quotes(name)));
    }
    tensor.data.push_back(type == DType::F32 ? static_cast<double>(static_cast<float>(value)) : value);
  }
  return tensor;
}

std::int64_t fixed_size(const std::string& name, const std::string& text) {
  std::int64_t size = 0;
  if (!parse_number(text, size) || size < 0 || size > kMaxElements) {
    throw Error(
        fmt::format("--set {}={}: {} is no size of the dimension {}", name, text, in_quotes(text), in_quotes(name)));
  }
  return size;
}

void refuse_unused(const FixedValues& fixed, const FixedNames& names) {
  for (const auto& [name, text] : fixed) {
    if (names.used.contains(name)) continue;
    throw Error(fmt::format(
        "--set {}={}: there is no input or dimension {}; inputs are {}{}", name, text, in_quotes(name),
        fmt::join(names.inputs, ", "),
        names.dimensions.empty() ? "" : fmt::format("; dimensions are {}", fmt::join(names.dimensions, ", "))));
  }
}

}  // namespace heed::convert
