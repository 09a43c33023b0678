#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/translation_tensors.h"

namespace heed::convert {

namespace {

constexpr const char* kShared = "token_embd.weight";
constexpr const char* kSource = "source_embd.weight";
constexpr const char* kTarget = "target_embd.weight";
constexpr const char* kOutput = "output.weight";

SourceTensor* find_tensor(Checkpoint& checkpoint, std::string_view name) {
  const auto found = std::ranges::find(checkpoint.tensors, name, &SourceTensor::name);
  return found == checkpoint.tensors.end() ? nullptr : &*found;
}

void erase_tensor(Checkpoint& checkpoint, std::string_view name) {
  std::erase_if(checkpoint.tensors, [&](const SourceTensor& tensor) { return tensor.name == name; });
}

[[noreturn]] void missing(const Checkpoint& checkpoint, const char* name, const char* why) {
  throw Error(fmt::format("tensor '{}' is missing{}", checkpoint.name_in_file(name), why));
}

/// Leaves the first of the three, under the name of the shared one.
void join_sides(Checkpoint& checkpoint) {
  const SourceTensor* first = nullptr;
  for (const char* name : {kShared, kSource, kTarget}) {
    const SourceTensor* tensor = find_tensor(checkpoint, name);
    if (tensor == nullptr) continue;
    if (first == nullptr) {
      first = tensor;
    } else if (!same_values(*first, *tensor)) {
      throw Error(
          fmt::format("tensors '{}' {} and '{}' {} hold different values, but the configuration says that both "
                      "sides share one embedding",
                      first->shown_name(), to_string(first->shape), tensor->shown_name(), to_string(tensor->shape)));
    }
  }
  if (first == nullptr) missing(checkpoint, kShared, "");
  SourceTensor kept = *first;
  for (const char* name : {kShared, kSource, kTarget}) erase_tensor(checkpoint, name);
  if (kept.in_file.empty()) kept.in_file = kept.name;
  kept.name = kShared;
  checkpoint.tensors.push_back(std::move(kept));
}

}  // namespace

void resolve_embeddings(const SharedEmbeddings& embeddings, Checkpoint& checkpoint) {
  if (embeddings.shared) {
    join_sides(checkpoint);
  } else {
    for (const char* name : {kSource, kTarget}) {
      if (find_tensor(checkpoint, name) == nullptr) missing(checkpoint, name, "");
    }
  }
  const SourceTensor* target = find_tensor(checkpoint, embeddings.shared ? kShared : kTarget);
  const SourceTensor* output = find_tensor(checkpoint, kOutput);
  if (output == nullptr) {
    if (!embeddings.tied) missing(checkpoint, kOutput, ", but config.json says it is not tied to the embedding");
    return;
  }
  if (same_values(*output, *target)) {
    erase_tensor(checkpoint, kOutput);
  } else if (embeddings.tied) {
    checkpoint.notes.push_back(
        fmt::format("config.json ties '{}' to the embedding, but it holds other values: they are used, as transformers "
                    "does",
                    output->shown_name()));
  }
}

SourceTensor sinusoidal_positions(std::string name, SinusoidLayout layout, std::int64_t rows, std::int64_t width,
                                  std::int64_t offset) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 28;
  if (rows > kMostElements / width) {
    throw Error(
        fmt::format("a table of {} positions of width {} has more than {} elements", rows, width, kMostElements));
  }
  std::vector<float> values(static_cast<std::size_t>(rows * width));
  const std::int64_t sines = layout == SinusoidLayout::Halves ? width - width / 2 : width / 2;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto position = static_cast<double>(row + offset);
    const auto put = [&](std::int64_t column, double value) {
      values[static_cast<std::size_t>(row * width + column)] = static_cast<float>(value);
    };
    if (layout == SinusoidLayout::HalvesM2M) {
      // Of an odd width the last column stays 0; with one sine alone there is one wavelength.
      const double rate = sines > 1 ? std::log(10000.0) / static_cast<double>(sines - 1) : 0.0;
      for (std::int64_t i = 0; i < sines; ++i) {
        const double angle = position * std::exp(-rate * static_cast<double>(i));
        put(i, std::sin(angle));
        put(sines + i, std::cos(angle));
      }
      continue;
    }
    for (std::int64_t column = 0; column < width; ++column) {
      const std::int64_t pair = column / 2;
      const double angle = position / std::pow(10000.0, 2.0 * static_cast<double>(pair) / static_cast<double>(width));
      const double value = column % 2 == 0 ? std::sin(angle) : std::cos(angle);
      put(layout == SinusoidLayout::Interleaved ? column : column % 2 == 0 ? pair : sines + pair, value);
    }
  }
  return make_f32_tensor(std::move(name), {rows, width}, values);
}

}  // namespace heed::convert
