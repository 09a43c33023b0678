#include "tools/convert/gguf_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "heed/error.h"

namespace heed::convert {

namespace {

/// Keys that describe the file and its making and change nothing that the model computes; those of the tokenizer are
/// checked in gguf_tokenizer.cpp, those of several files in gguf_parts.cpp.
constexpr auto kHarmlessKeys = std::to_array<std::string_view>(
    {"general.", "quantize.", "mradermacher.", "tokenizer.chat_template", "tokenizer.huggingface.json",
     "tokenizer.ggml.", "split.no", "split.count", "split.tensors.count"});

}  // namespace

GgufKeys::GgufKeys(const Gguf& gguf, std::string architecture) : gguf_(gguf), architecture_(std::move(architecture)) {}

std::string GgufKeys::asked(std::string_view key) {
  std::string name = full(key);
  read_.insert(name);
  return name;
}

std::optional<std::int64_t> GgufKeys::find_size(std::string_view key) { return gguf_.find_size(asked(key)); }

std::int64_t GgufKeys::size(std::string_view key) {
  const auto size = find_size(key);
  if (!size) throw Error(fmt::format("GGUF metadata '{}' is missing", full(key)));
  return *size;
}

std::optional<std::int64_t> GgufKeys::find_size_of_layers(std::string_view key) {
  const auto counts = find_integers(key);
  if (!counts) return find_size(key);
  if (counts->empty() || std::ranges::any_of(*counts, [&](std::int64_t count) { return count != counts->front(); })) {
    throw Error(fmt::format("GGUF metadata '{}' differs from layer to layer, which heed does not support", full(key)));
  }
  if (counts->front() < 0 || counts->front() > INT32_MAX) {
    throw Error(fmt::format("GGUF metadata '{}' is not between 0 and {}", full(key), INT32_MAX));
  }
  return counts->front();
}

std::optional<double> GgufKeys::find_real(std::string_view key) {
  const auto value = gguf_.find_real(asked(key));
  if (!value) return value;
  if (!std::isfinite(*value)) throw Error(fmt::format("GGUF metadata '{}' is {}", full(key), *value));
  if (static_cast<double>(static_cast<float>(*value)) != *value) return value;  // not from f32
  return std::stod(fmt::format("{}", static_cast<float>(*value)));
}

double GgufKeys::positive(std::string_view key) {
  const auto value = find_real(key);
  if (!value) throw Error(fmt::format("GGUF metadata '{}' is missing", full(key)));
  if (!(*value > 0)) throw Error(fmt::format("GGUF metadata '{}' is {}; expected more than 0", full(key), *value));
  return *value;
}

double GgufKeys::positive(std::string_view key, double otherwise) { return find_real(key) ? positive(key) : otherwise; }

std::optional<bool> GgufKeys::find_boolean(std::string_view key) { return gguf_.find_boolean(asked(key)); }

const std::string* GgufKeys::find_text(std::string_view key) { return gguf_.find_text(asked(key)); }

std::optional<std::vector<std::int64_t>> GgufKeys::find_integers(std::string_view key) {
  const auto found = gguf_.metadata.find(asked(key));
  if (found == gguf_.metadata.end() || !std::holds_alternative<std::vector<std::int64_t>>(found->second)) return {};
  return std::get<std::vector<std::int64_t>>(found->second);
}

void GgufKeys::unsupported(std::string_view key, std::string_view expected) const {
  throw Error(
      fmt::format("GGUF metadata '{}' has a value that heed does not support; expected {}", full(key), expected));
}

void GgufKeys::refuse_unread() const {
  for (const auto& [key, value] : gguf_.metadata) {
    const auto is_prefix = [&name = key](std::string_view prefix) { return name.starts_with(prefix); };
    if (read_.contains(key) || std::ranges::any_of(kHarmlessKeys, is_prefix)) continue;
    throw Error(fmt::format("GGUF metadata '{}' is not known to heed and may change what the model computes", key));
  }
}

}  // namespace heed::convert
