#include "tools/convert/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

struct SafetensorsType {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr auto kTensorTypes = std::to_array<SafetensorsType>({{"BOOL", 1},
                                                              {"U8", 1},
                                                              {"I8", 1},
                                                              {"F8_E5M2", 1},
                                                              {"F8_E4M3", 1},
                                                              {"I16", 2},
                                                              {"U16", 2},
                                                              {"F16", 2},
                                                              {"BF16", 2},
                                                              {"I32", 4},
                                                              {"U32", 4},
                                                              {"F32", 4},
                                                              {"F64", 8},
                                                              {"I64", 8},
                                                              {"U64", 8}});

std::vector<std::uint64_t> unsigned_list(const nlohmann::json& entry, const char* key, const std::string& where) {
  const auto found = entry.find(key);
  const bool fits = found != entry.end() && found->is_array() && found->size() <= kMaxRank &&
                    std::ranges::all_of(*found, [](const nlohmann::json& item) { return natural(item).has_value(); });
  if (!fits) throw Error(fmt::format("{} has no list '{}' of up to {} unsigned integers", where, key, kMaxRank));
  return found->get<std::vector<std::uint64_t>>();
}

SafetensorsEntry read_entry(const std::string& name, const nlohmann::json& json, std::uint64_t data,
                            const SourceFile& file) {
  const std::string where = fmt::format("{}: tensor {}", file.name(), in_quotes(name));
  if (!is_plain_name(name)) throw Error(fmt::format("{} has a name that is not plain", where));
  if (!json.is_object()) throw Error(fmt::format("{} is not described by an object", where));
  for (const auto& [key, value] : json.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      throw Error(fmt::format("{} has the unknown property {}", where, in_quotes(key)));
    }
  }
  SafetensorsEntry entry;
  entry.name = name;
  const auto type = json.find("dtype");
  if (type == json.end() || !type->is_string()) throw Error(fmt::format("{} has no dtype", where));
  entry.type = type->get<std::string>();
  for (const std::uint64_t size : unsigned_list(json, "shape", where)) {
    if (size > static_cast<std::uint64_t>(kMaxElements)) throw Error(fmt::format("{} has a size of {}", where, size));
    entry.shape.push_back(static_cast<std::int64_t>(size));
  }
  const auto range = unsigned_list(json, "data_offsets", where);
  if (range.size() != 2 || range[0] > range[1] || range[1] > file.size() - data) {
    throw Error(
        fmt::format("{} does not lie within the file of {} bytes; it is truncated or damaged", where, file.size()));
  }
  entry.offset = data + range[0];
  entry.size = range[1] - range[0];
  const auto elements = static_cast<std::uint64_t>(element_count(entry.shape));
  const auto* known = std::ranges::find(kTensorTypes, entry.type, &SafetensorsType::name);
  if (known != kTensorTypes.end() && entry.size != elements * known->bytes) {
    throw Error(fmt::format("{} of type {} and shape {} has {} bytes; expected {}", where, entry.type,
                            to_string(entry.shape), entry.size, elements * known->bytes));
  }
  return entry;
}

}  // namespace

std::vector<SafetensorsEntry> read_safetensors(const SourceFile& file) {
  SourceCursor cursor(file);
  const auto header_bytes = cursor.read<std::uint64_t>("the header's length");
  if (header_bytes > kMaxHeaderBytes) {
    throw Error(fmt::format("{}: claims a header of {} bytes; a safetensors file has at most {}", file.name(),
                            header_bytes, kMaxHeaderBytes));
  }
  const nlohmann::json header = parse_json(file.name(), cursor.text("the header", header_bytes));
  if (!header.is_object()) throw Error(fmt::format("{}: the header is not a JSON object", file.name()));
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name != "__metadata__") entries.push_back(read_entry(name, json, cursor.offset(), file));
  }
  std::ranges::sort(entries, [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.offset, a.size) < std::pair(b.offset, b.size);
  });
  std::uint64_t end = cursor.offset();
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset != end) {
      throw Error(fmt::format("{}: tensor '{}' begins at byte {}, but the one before ends at {}", file.name(),
                              entry.name, entry.offset, end));
    }
    end += entry.size;
  }
  if (end != file.size()) {
    throw Error(fmt::format("{}: the last tensor ends at byte {}, but the file has {}", file.name(), end, file.size()));
  }
  return entries;
}

SourceTensor safetensors_tensor(const std::shared_ptr<const SourceFile>& file, const SafetensorsEntry& entry) {
  DType dtype = DType::F32;
  if (entry.type == "F16") {
    dtype = DType::F16;
  } else if (entry.type == "BF16") {
    dtype = DType::BF16;
  } else if (entry.type != "F32") {
    throw Error(fmt::format("{}: tensor '{}' is of type {}; heed reads F32, F16 and BF16", file->name(), entry.name,
                            in_quotes(entry.type)));
  }
  return {entry.name, dtype, entry.shape,
          [file, offset = entry.offset, size = entry.size] { return file->read_bytes(offset, size); }};
}

}  // namespace heed::convert
