#include "tools/convert/onnx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <limits>
#include <set>

#include "file/picture_roles.h"
#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/onnx_import.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {
// Field 1 of ModelProto, ir_version, as its maintainers' tools write it: first.
constexpr char kVersionTag = 0x08;
constexpr int kMaxNesting = 100;  // messages in messages

void expect_keys(const nlohmann::json& object, const std::string& where, std::initializer_list<std::string_view> keys) {
  if (!object.is_object()) return;  // who reads it says so
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    throw Error(fmt::format("{} has {}, which is not known; known are: {} (engine/file/format.md)", where,
                            in_quotes(key), fmt::join(keys, ", ")));
  }
}

/// What is not read is a slip of the pen, or of a newer heed.
void refuse_unknown_keys(const nlohmann::json& description, const std::string& where) {
  expect_keys(description, where + ": the description",
              {"name", "task", "description", "licence", "graphs", "graph", "decode", "classes", "roles", "schedule"});
  const nlohmann::json roles = description.value("roles", nlohmann::json());
  if (roles.is_object()) {
    for (const auto& [name, role] : roles.items()) {
      const nlohmann::json kind = role.is_object() ? role.value("role", nlohmann::json()) : nlohmann::json();
      const std::string of_role = fmt::format("{}: the role of {}", where, in_quotes(name));
      if (kind == "image") {
        expect_keys(role, of_role, {"role", "range"});
      } else if (kind == "label") {
        expect_keys(role, of_role, {"role", "encoding"});
      } else if (kind == "attention") {
        expect_keys(role, of_role, {"role", "size", "normalised"});
      } else {
        expect_keys(role, of_role, {"role"});
      }
    }
  }
  expect_keys(description.value("schedule", nlohmann::json()), where + ": 'schedule'",
              {"predicts", "steps", "guidance", "guidance_from", "guidance_to"});
}

/// 0 for a table that is computed.
std::int64_t rows_of_table(const Graph& graph, ValueId id) {
  const Value& table = graph.value(id);
  if (table.kind == ValueKind::Weight) return table.shape.empty() ? 0 : table.shape.front().size;
  const auto made_by = std::ranges::find_if(
      graph.nodes, [&](const Node& node) { return std::ranges::find(node.outputs, id) != node.outputs.end(); });
  if (made_by == graph.nodes.end() || made_by->op != "constant") return 0;
  const std::vector<std::int64_t> shape = made_by->attributes.integers("shape");
  return shape.empty() ? 0 : shape.front();
}

/// Throws Error when the graph's table of classes has fewer rows, or its columns are not as many, as there are names.
void check_classes(const Graph& graph, const Role& label, std::size_t names, const std::string& where) {
  const auto count = static_cast<std::int64_t>(names);
  const ValueId input = graph.find(label.name);
  if (label.encoding == "one_hot") {
    const SymbolicShape& shape = graph.value(input).shape;
    if (!shape.empty() && shape.back().name.empty() && shape.back().size != count) {
      throw Error(fmt::format("{}: 'classes' has {} names, but the label '{}' has {} columns", where, count, label.name,
                              shape.back().size));
    }
    return;
  }
  std::set<ValueId> labels = {input};  // and what is computed of it, up to the tables that it chooses from
  for (const Node& node : graph.nodes) {
    const bool reads = std::ranges::any_of(node.inputs, [&](ValueId id) { return labels.contains(id); });
    if (!reads || node.op == "shape") continue;
    const bool gathers = node.op == "gather" && node.attributes.integer("axis", 0) == 0 && node.inputs.size() == 2;
    const bool chooses = gathers && labels.contains(node.inputs[1]);
    if (!chooses) {
      labels.insert(node.outputs.begin(), node.outputs.end());
      continue;
    }
    const std::int64_t rows = rows_of_table(graph, node.inputs[0]);
    // There may be one more, for no class.
    if (rows > 0 && rows < count) {
      throw Error(fmt::format("{}: 'classes' has {} names, but the table '{}' of the label '{}' has {} rows", where,
                              count, graph.value(node.inputs[0]).name, label.name, rows));
    }
  }
}

Checkpoint read_file(const std::shared_ptr<const SourceFile>& file, const FixedValues& fixed, FixedNames& names) {
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
    return OnnxImporter(model, std::filesystem::path(file->name()).parent_path(), fixed, names).import();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", file->name(), error.what()));
  }
}

void refuse_unused_in(const std::string& where, const FixedValues& fixed, const FixedNames& names) {
  try {
    refuse_unused(fixed, names);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", where, error.what()));
  }
}

}  // namespace

bool is_onnx(const SourceFile& file) {
  if (file.size() < 4) return false;
  const std::string start = file.read_text(0, 4);
  return start[0] == kVersionTag && start[1] > 0 && start[1] < 64;
}

Checkpoint read_onnx(const std::shared_ptr<const SourceFile>& file, const FixedValues& fixed) {
  FixedNames names;
  Checkpoint checkpoint;
  try {
    checkpoint = read_file(file, fixed, names);
  } catch (const Error&) {
    // A name that is not there may be why it got no further.
    if (!names.inputs.empty()) refuse_unused_in(file->name(), fixed, names);
    throw;
  }
  refuse_unused_in(file->name(), fixed, names);
  checkpoint.notes.insert(checkpoint.notes.end(), names.notes.begin(), names.notes.end());
  return checkpoint;
}

Checkpoint read_described_onnx(const std::filesystem::path& input, const std::filesystem::path& description,
                               const FixedValues& fixed) {
  constexpr std::uint64_t kMostBytes = 1 << 24;
  const std::string where = description.string();
  nlohmann::json metadata = parse_json(where, SourceFile::open(description)->read_all(kMostBytes));
  if (!metadata.is_object()) throw Error(fmt::format("{}: is no JSON object", where));
  refuse_unknown_keys(metadata, where);
  FixedNames names;
  const auto read = [&](const std::filesystem::path& path) {
    const auto file = SourceFile::open(path);
    if (!is_onnx(*file)) throw Error(fmt::format("{}: is no ONNX model; only those are described", path.string()));
    return read_file(file, fixed, names);
  };
  Checkpoint all;
  const nlohmann::json graphs = metadata.value("graphs", nlohmann::json::object());
  metadata.erase("graphs");
  if (!graphs.is_object()) throw Error(fmt::format("{}: 'graphs' is no object", where));
  if (graphs.empty()) {
    all = read(input);
  } else if (std::ranges::find(graphs, nlohmann::json(input.filename().string())) == graphs.end()) {
    throw Error(fmt::format("{}: is not among the 'graphs' of {}, which are read in its place: {}", input.string(),
                            where, graphs.dump()));
  }
  std::vector<std::string> notes = std::move(all.notes);
  for (const auto& [name, file] : graphs.items()) {
    if (!file.is_string()) throw Error(fmt::format("{}: graph '{}' names no file", where, name));
    Checkpoint one = read(input.parent_path() / file.get<std::string>());
    Graph& graph = one.graphs.front();
    graph.name = name;
    for (const std::string& note : one.notes) notes.push_back(fmt::format("graph {}: {}", in_quotes(name), note));
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
  refuse_unused_in(input.string(), fixed, names);
  all.notes = std::move(notes);
  all.notes.insert(all.notes.end(), names.notes.begin(), names.notes.end());
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
  for (const char* key : {"graph", "decode"}) {
    const auto name = metadata.find(key);
    const bool known = name == metadata.end() ||
                       std::ranges::any_of(all.graphs, [&](const Graph& graph) { return *name == graph.name; });
    if (!known) throw Error(fmt::format("{}: '{}' is {}, which is no graph of the model", where, key, shown(*name)));
  }
  if (metadata.contains("task")) {
    const PictureRoles roles = PictureRoles::of(metadata, where);
    for (const Graph& graph : all.graphs) {
      const Role* label = roles.input(graph, "label");
      if (label != nullptr && !roles.classes.empty()) check_classes(graph, *label, roles.classes.size(), where);
    }
  }
  all.metadata = std::move(metadata);
  return all;
}

}  // namespace heed::convert
