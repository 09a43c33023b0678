#include "tools/convert/onnx.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <limits>

#include "generate/picture_roles.h"
#include "heed/error.h"
#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {
// Field 1 of ModelProto, ir_version, as its maintainers' tools write it: first.
constexpr char kVersionTag = 0x08;
constexpr int kMaxNesting = 100;  // messages in messages
}  // namespace

bool is_onnx(const SourceFile& file) {
  if (file.size() < 4) return false;
  const std::string start = file.read_text(0, 4);
  return start[0] == kVersionTag && start[1] > 0 && start[1] < 64;
}

Checkpoint read_onnx(const std::shared_ptr<const SourceFile>& file) {
  // Protobuf messages have at most 2^31 - 1 bytes; larger models keep their tensors in other files.
  const std::string bytes = file->read_all(std::numeric_limits<std::int32_t>::max());
  onnx::ModelProto model;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kMaxNesting);
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    throw Error(fmt::format("{}: is no ONNX model, or is damaged: its protobuf message does not parse", file->name()));
  }
  if (!model.has_graph()) throw Error(fmt::format("{}: the ONNX model has no graph", file->name()));
  try {
    return OnnxImporter(model, std::filesystem::path(file->name()).parent_path()).import();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", file->name(), error.what()));
  }
}

Checkpoint read_described_onnx(const std::filesystem::path& input, const std::filesystem::path& description) {
  constexpr std::uint64_t kMostBytes = 1 << 24;
  const std::string where = description.string();
  nlohmann::json metadata;
  try {
    metadata = nlohmann::json::parse(SourceFile::open(description)->read_all(kMostBytes));
  } catch (const nlohmann::json::exception&) {
    throw Error(fmt::format("{}: is no JSON", where));
  }
  if (!metadata.is_object()) throw Error(fmt::format("{}: is no JSON object", where));
  const auto read = [](const std::filesystem::path& path) {
    const auto file = SourceFile::open(path);
    if (!is_onnx(*file)) throw Error(fmt::format("{}: is no ONNX model; only those are described", path.string()));
    return read_onnx(file);
  };
  Checkpoint all;
  const nlohmann::json graphs = metadata.value("graphs", nlohmann::json::object());
  metadata.erase("graphs");
  if (!graphs.is_object()) throw Error(fmt::format("{}: 'graphs' is no object", where));
  if (graphs.empty()) all = read(input);
  for (const auto& [name, file] : graphs.items()) {
    if (!file.is_string()) throw Error(fmt::format("{}: graph '{}' names no file", where, name));
    Checkpoint one = read(input.parent_path() / file.get<std::string>());
    Graph& graph = one.graphs.front();
    graph.name = name;
    // Files have tensors of the same names.
    for (Value& value : graph.values) {
      if (value.kind == ValueKind::Weight) value.name = name + "." + value.name;
    }
    for (SourceTensor& tensor : one.tensors) {
      tensor.name = name + "." + tensor.name;
      all.tensors.push_back(std::move(tensor));
    }
    if (all.graphs.empty()) {
      one.tensors = std::move(all.tensors);
      all = std::move(one);
    } else {
      all.graphs.push_back(std::move(graph));
    }
  }
  if (const auto roles = metadata.find("roles"); roles != metadata.end() && roles->is_object()) {
    for (const auto& [name, role] : roles->items()) {
      const bool known = std::ranges::any_of(all.graphs, [&, &wanted = name](const Graph& graph) {
        const ValueId id = graph.find(wanted);
        return id != kNoValue && (graph.value(id).kind == ValueKind::Input ||
                                  std::ranges::find(graph.outputs, id) != graph.outputs.end());
      });
      if (!known) throw Error(fmt::format("{}: 'roles' names '{}', which is no input or output", where, name));
    }
  }
  if (metadata.contains("task")) PictureRoles::of(metadata, where);
  all.metadata = std::move(metadata);
  return all;
}

}  // namespace heed::convert
