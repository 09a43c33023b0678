#include "file/header.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "graph/json.h"
#include "graph/json_field.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::size_t kMaxGraphs = 64;
constexpr std::size_t kMaxTensors = std::size_t{1} << 17;
constexpr std::size_t kMaxFiles = 1024;
constexpr std::size_t kMaxFileNameBytes = 128;
constexpr std::size_t kMaxMetadataTextBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxEndTokens = 1024;
constexpr std::uint64_t kMaxOffset = std::uint64_t{1} << 62;  // leaves room to align and add

std::string checksum_to_text(std::uint64_t checksum) { return fmt::format("{:016x}", checksum); }

std::uint64_t checksum_from_json(const JsonField& field) {
  const std::string& text = field.text(16);
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (result.ec != std::errc() || checksum_to_text(value) != text) {
    field.fail("expected 16 lower-case hexadecimal digits");
  }
  return value;
}

std::uint64_t bytes_from_json(const JsonField& field) {
  return static_cast<std::uint64_t>(field.integer(0, static_cast<std::int64_t>(kMaxOffset)));
}

TensorInfo tensor_from_json(const JsonField& field) {
  field.check_keys({"name", "dtype", "shape", "offset", "size", "checksum"});
  TensorInfo tensor;
  tensor.name = field.at("name").name(kMaxNameBytes);
  const JsonField dtype = field.at("dtype");
  const auto type = dtype_from_name(dtype.name(kMaxNameBytes));
  if (!type) dtype.fail(fmt::format("'{}' is not a type this version of heed knows", dtype.name(kMaxNameBytes)));
  tensor.dtype = *type;
  tensor.shape = field.at("shape").integers(0, kMaxElements, kMaxRank);
  tensor.offset = bytes_from_json(field.at("offset"));
  tensor.size = bytes_from_json(field.at("size"));
  tensor.checksum = checksum_from_json(field.at("checksum"));
  std::uint64_t expected = 0;
  try {
    expected = byte_size(tensor.dtype, tensor.shape);
  } catch (const Error& error) {
    field.fail(fmt::format("tensor '{}': {}", tensor.name, error.what()));
  }
  if (tensor.size != expected) {
    field.fail(fmt::format("tensor '{}' of type {} and shape {} has {} bytes, but its entry says {}", tensor.name,
                           dtype_name(tensor.dtype), to_string(tensor.shape), expected, tensor.size));
  }
  return tensor;
}

// The name may become a file on somebody's disk one day.
void check_file_name(const JsonField& field, const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (name.front() == '.' || !std::all_of(name.begin(), name.end(), allowed)) {
    field.fail(
        fmt::format("'{}' is not a name for an embedded file: letters, digits, '.', '_' and '-' only, and no '.' "
                    "in front",
                    name));
  }
}

FileInfo file_from_json(const JsonField& field) {
  field.check_keys({"name", "offset", "size", "checksum"});
  FileInfo file;
  file.name = field.at("name").name(kMaxFileNameBytes);
  check_file_name(field.at("name"), file.name);
  file.offset = bytes_from_json(field.at("offset"));
  file.size = bytes_from_json(field.at("size"));
  file.checksum = checksum_from_json(field.at("checksum"));
  return file;
}

// Entries follow each other in table order, so that none can overlap another, the header or the end of the file.
class LayoutChecker {
 public:
  LayoutChecker(std::uint64_t data_bytes, const std::string& where) : data_bytes_(data_bytes), where_(where) {}

  void add(const char* kind, const std::string& name, std::uint64_t offset, std::uint64_t size) {
    const std::uint64_t expected = align_up(end_);
    if (offset != expected) {
      throw Error(
          fmt::format("{}: {} '{}' begins at data offset {}, expected {}: entries follow each other, aligned to {}",
                      where_, kind, name, offset, expected, kTensorAlignment));
    }
    if (offset > data_bytes_ || size > data_bytes_ - offset) {
      throw Error(
          fmt::format("{}: {} '{}' takes {} bytes from data offset {}, but the file has {} bytes of data; it is "
                      "truncated or damaged, fetch or convert it again",
                      where_, kind, name, size, offset, data_bytes_));
    }
    end_ = offset + size;
  }

  void finish() const {
    if (end_ == data_bytes_) return;
    throw Error(fmt::format("{}: {} bytes follow the last tensor or embedded file; the file is damaged", where_,
                            data_bytes_ - end_));
  }

 private:
  std::uint64_t data_bytes_;
  const std::string& where_;
  std::uint64_t end_ = 0;
};

template <typename Entry>
void check_unique(const std::vector<Entry>& entries, const char* kind, const std::string& where) {
  std::set<std::string_view> names;
  for (const Entry& entry : entries) {
    if (!names.insert(entry.name).second)
      throw Error(fmt::format("{}: two {} are named '{}'", where, kind, entry.name));
  }
}

// Consumers rely on these types, so they are settled here once.
void check_metadata(const JsonField& metadata, const std::vector<Graph>& graphs) {
  if (!metadata.json().is_object()) metadata.fail("expected an object");
  for (const char* key : {"name", "task", "graph", "architecture", "source", "licence", "description"}) {
    if (metadata.has(key)) metadata.at(key).text(kMaxMetadataTextBytes);
  }
  for (const char* key : {"context", "vocabulary"}) {
    if (metadata.has(key)) metadata.at(key).integer(1, std::numeric_limits<std::int32_t>::max());
  }
  if (metadata.has("end_tokens")) {
    metadata.at("end_tokens").integers(0, std::numeric_limits<std::int32_t>::max(), kMaxEndTokens);
  }
  if (metadata.has("parameters") && !metadata.at("parameters").json().is_object()) {
    metadata.at("parameters").fail("expected an object");
  }
  if (!metadata.has("graph")) return;
  const std::string name = metadata.at("graph").name(kMaxNameBytes);
  if (std::none_of(graphs.begin(), graphs.end(), [&](const Graph& graph) { return graph.name == name; })) {
    metadata.at("graph").fail(fmt::format("the file has no graph '{}'", name));
  }
}

using TensorIndex = std::map<std::string_view, const TensorInfo*>;
using StateIndex = std::map<std::string_view, std::pair<const Value*, const Graph*>>;

void check_weight(const Graph& graph, const Value& value, const TensorIndex& tensors, const std::string& where) {
  const auto found = tensors.find(value.name);
  if (found == tensors.end()) {
    throw Error(
        fmt::format("{}: graph '{}' needs the tensor '{}', which the file lacks", where, graph.name, value.name));
  }
  const TensorInfo& tensor = *found->second;
  const SymbolicShape shape(tensor.shape.begin(), tensor.shape.end());
  if (value.dtype != tensor.dtype || value.shape != shape) {
    throw Error(fmt::format("{}: graph '{}' expects the tensor '{}' as {} {}, but the file has it as {} {}", where,
                            graph.name, value.name, dtype_name(value.dtype), to_string(value.shape),
                            dtype_name(tensor.dtype), to_string(tensor.shape)));
  }
}

// A state is shared by all graphs that name it, so they must agree on it.
void check_state(const Graph& graph, const Value& value, StateIndex& states, const std::string& where) {
  const auto [entry, added] = states.try_emplace(value.name, &value, &graph);
  const auto& [other, other_graph] = entry->second;
  if (added || (other->dtype == value.dtype && other->shape == value.shape)) return;
  throw Error(fmt::format("{}: the state '{}' is {} {} in graph '{}' but {} {} in graph '{}'", where, value.name,
                          dtype_name(other->dtype), to_string(other->shape), other_graph->name, dtype_name(value.dtype),
                          to_string(value.shape), graph.name));
}

void check_graphs(const ModelHeader& model, const std::string& where) {
  TensorIndex tensors;
  for (const TensorInfo& tensor : model.tensors) tensors.emplace(tensor.name, &tensor);
  StateIndex states;
  for (const Graph& graph : model.graphs) {
    try {
      validate(graph, nullptr);
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", where, error.what()));
    }
    for (const Value& value : graph.values) {
      if (value.kind == ValueKind::Weight) check_weight(graph, value, tensors, where);
      if (value.kind == ValueKind::State) check_state(graph, value, states, where);
    }
  }
}

Graph graph_at(const JsonField& field, const std::string& where) {
  try {
    return graph_from_json(field.json());
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", where, error.what()));
  }
}

}  // namespace

std::uint64_t lay_out(std::vector<TensorInfo>& tensors, std::vector<FileInfo>& files) {
  std::uint64_t end = 0;
  const auto place = [&](std::uint64_t& offset, std::uint64_t size, const std::string& name) {
    offset = align_up(end);
    if (size > kMaxOffset || offset > kMaxOffset - size) {
      throw Error(
          fmt::format("'{}' with {} bytes does not fit a model file of at most {} bytes", name, size, kMaxOffset));
    }
    end = offset + size;
  };
  for (TensorInfo& tensor : tensors) {
    try {
      tensor.size = byte_size(tensor.dtype, tensor.shape);
    } catch (const Error& error) {
      throw Error(fmt::format("tensor '{}': {}", tensor.name, error.what()));
    }
    place(tensor.offset, tensor.size, tensor.name);
  }
  for (FileInfo& file : files) place(file.offset, file.size, file.name);
  return end;
}

std::string header_text(const ModelHeader& model, const std::vector<FileInfo>& files) {
  nlohmann::json graphs = nlohmann::json::array();
  for (const Graph& graph : model.graphs) graphs.push_back(graph_to_json(graph));
  nlohmann::json tensors = nlohmann::json::array();
  for (const TensorInfo& tensor : model.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"dtype", dtype_name(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"offset", tensor.offset},
                       {"size", tensor.size},
                       {"checksum", checksum_to_text(tensor.checksum)}});
  }
  nlohmann::json embedded = nlohmann::json::array();
  for (const FileInfo& file : files) {
    embedded.push_back({{"name", file.name},
                        {"offset", file.offset},
                        {"size", file.size},
                        {"checksum", checksum_to_text(file.checksum)}});
  }
  try {
    return nlohmann::json({{"metadata", model.metadata},
                           {"graphs", std::move(graphs)},
                           {"tensors", std::move(tensors)},
                           {"files", std::move(embedded)}})
        .dump();
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("the model's header cannot be written as JSON: {}", error.what()));
  }
}

ParsedHeader parse_header(std::string_view text, std::uint64_t data_bytes, const std::string& where) {
  const nlohmann::json json = parse_json(text, where + ": header");
  const JsonField header(json, where + ": header");
  header.check_keys({"metadata", "graphs", "tensors", "files"});

  ParsedHeader parsed;
  const JsonField graphs = header.at("graphs");
  for (std::size_t i = 0; i < graphs.array_size(kMaxGraphs); ++i) {
    parsed.model.graphs.push_back(graph_at(graphs.at(i), where));
  }
  const JsonField tensors = header.at("tensors");
  for (std::size_t i = 0; i < tensors.array_size(kMaxTensors); ++i) {
    parsed.model.tensors.push_back(tensor_from_json(tensors.at(i)));
  }
  const JsonField files = header.at("files");
  for (std::size_t i = 0; i < files.array_size(kMaxFiles); ++i) parsed.files.push_back(file_from_json(files.at(i)));

  LayoutChecker layout(data_bytes, where);
  for (const TensorInfo& tensor : parsed.model.tensors) layout.add("tensor", tensor.name, tensor.offset, tensor.size);
  for (const FileInfo& file : parsed.files) layout.add("embedded file", file.name, file.offset, file.size);
  layout.finish();

  check_unique(parsed.model.graphs, "graphs", where);
  check_unique(parsed.model.tensors, "tensors", where);
  check_unique(parsed.files, "embedded files", where);
  check_graphs(parsed.model, where);
  check_metadata(header.at("metadata"), parsed.model.graphs);
  parsed.model.metadata = json.at("metadata");
  return parsed;
}

std::string preamble(std::string_view header) {
  std::string bytes(kPreambleBytes, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  std::memcpy(bytes.data() + 4, &kFormatVersion, sizeof kFormatVersion);
  std::memcpy(bytes.data() + 8, &length, sizeof length);
  Checksum checksum;
  checksum.update(std::as_bytes(std::span(bytes.data(), kChecksummedPreambleBytes)));
  checksum.update(std::as_bytes(std::span(header)));
  const std::uint64_t digest = checksum.digest();
  std::memcpy(bytes.data() + kChecksummedPreambleBytes, &digest, sizeof digest);
  return bytes;
}

}  // namespace heed
