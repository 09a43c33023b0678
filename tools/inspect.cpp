// heed inspect: what is in a .heed file.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "file/model_file.h"
#include "heed/error.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"
#include "tools/symbolic_shapes.h"

namespace heed::tools {
namespace {

std::string list_text(const auto& items) {
  std::string text;
  for (const auto& item : items) text += fmt::format("{}{}", text.empty() ? "" : ", ", item);
  return "[" + text + "]";
}

std::string attribute_text(const Attribute& attribute) {
  if (const auto* integer = std::get_if<std::int64_t>(&attribute)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&attribute)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&attribute)) return json_text(*text);
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&attribute)) return list_text(*integers);
  return list_text(std::get<std::vector<double>>(attribute));
}

/// "h, w" with "_" for what is absent.
std::string names_text(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (const ValueId id : ids) text += (text.empty() ? "" : ", ") + (id == kNoValue ? "_" : graph.value(id).name);
  return text;
}

std::string node_text(const Graph& graph, const Node& node, const SymbolicShapes& shapes) {
  std::string attributes;
  for (const auto& [name, attribute] : node.attributes) {
    attributes += fmt::format("{}{}={}", attributes.empty() ? "" : ", ", name, attribute_text(attribute));
  }
  if (!attributes.empty()) attributes = " {" + attributes + "}";
  std::string made;
  for (const ValueId id : node.outputs) {
    made += (made.empty() ? "" : ", ") + (id == kNoValue ? "_" : shapes.shapes[static_cast<std::size_t>(id)]);
  }
  return fmt::format("{} = {}({}){} -> {}", names_text(graph, node.outputs), node.op, names_text(graph, node.inputs),
                     attributes, made);
}

std::string graph_text(const Graph& graph) {
  const SymbolicShapes shapes = symbolic_shapes(graph);
  std::string text = fmt::format("\ngraph {}\n", graph.name);
  if (!shapes.problem.empty()) text += fmt::format("  shapes are not known: {}\n", shapes.problem);
  const auto list = [&](const char* what, ValueId id) {
    text += fmt::format("  {:<6} {}: {}\n", what, graph.value(id).name, shapes.shapes[static_cast<std::size_t>(id)]);
  };
  for (const ValueId id : graph.inputs) list("input", id);
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].kind == ValueKind::State) list("state", static_cast<ValueId>(i));
  }
  for (const ValueId id : graph.outputs) list("output", id);
  text += fmt::format("  {} nodes\n", graph.nodes.size());
  for (const Node& node : graph.nodes) text += "    " + node_text(graph, node, shapes) + "\n";
  return text;
}

/// Which templates there are, since they are long; --json has them whole.
std::string chat_text(const nlohmann::json& chat) {
  std::string text;
  if (!chat.is_object()) return json_text(chat);
  const nlohmann::json templates = chat.value("templates", nlohmann::json::object());
  for (const auto& [name, source] : templates.items()) {
    if (source.is_string())
      text += fmt::format("{}{} of {}", text.empty() ? "template " : ", ", json_text(name),
                          format_bytes(source.get_ref<const std::string&>().size()));
  }
  const nlohmann::json tokens = chat.value("tokens", nlohmann::json::object());
  return text + (tokens.empty() ? "" : ", " + json_text(tokens));
}

std::string as_text(const ModelFile& file) {
  std::string text = fmt::format("{}: heed file, version {}, {}\n\nmetadata\n", file.path().string(), kFormatVersion,
                                 format_bytes(file.size()));
  for (const auto& [key, value] : file.metadata().items()) {
    text += fmt::format("  {}: {}\n", key, key == "chat" ? chat_text(value) : json_text(value));
  }
  for (const Graph& graph : file.header().graphs) text += graph_text(graph);

  Table table({Table::Align::Left, Table::Align::Left, Table::Align::Left, Table::Align::Right});
  table.add({"tensor", "type", "shape", "bytes"});
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : file.header().tensors) {
    table.add({tensor.name, std::string(dtype_name(tensor.dtype)), to_string(tensor.shape), format_count(tensor.size)});
    elements += static_cast<std::uint64_t>(element_count(tensor.shape));
    bytes += tensor.size;
  }
  text += "\n" + table.text();
  text += fmt::format("{} tensors, {} elements, {} bytes\n", file.header().tensors.size(), format_count(elements),
                      format_count(bytes));

  const std::vector<std::string> names = file.file_names();
  text += names.empty() ? "\nno embedded files\n" : "\nembedded files\n";
  for (const std::string& name : names) {
    text += fmt::format("  {}, {} bytes\n", name, format_count(file.read_file(name).size()));
  }
  return text;
}

nlohmann::json graph_json(const Graph& graph) {
  const SymbolicShapes shapes = symbolic_shapes(graph);
  const auto value_json = [&](ValueId id) -> nlohmann::json {
    if (id == kNoValue) return nullptr;
    const std::string& type = shapes.shapes[static_cast<std::size_t>(id)];
    return {{"name", graph.value(id).name}, {"type", type}};
  };
  nlohmann::json json = {{"name", graph.name},
                         {"inputs", nlohmann::json::array()},
                         {"states", nlohmann::json::array()},
                         {"outputs", nlohmann::json::array()},
                         {"nodes", nlohmann::json::array()}};
  for (const ValueId id : graph.inputs) json["inputs"].push_back(value_json(id));
  for (const ValueId id : graph.outputs) json["outputs"].push_back(value_json(id));
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].kind == ValueKind::State) json["states"].push_back(value_json(static_cast<ValueId>(i)));
  }
  for (const Node& node : graph.nodes) {
    nlohmann::json made = {{"op", node.op},
                           {"name", node.name},
                           {"inputs", nlohmann::json::array()},
                           {"outputs", nlohmann::json::array()},
                           {"attributes", nlohmann::json::object()}};
    for (const ValueId id : node.inputs) {
      made["inputs"].push_back(id == kNoValue ? nlohmann::json() : nlohmann::json(graph.value(id).name));
    }
    for (const ValueId id : node.outputs) made["outputs"].push_back(value_json(id));
    for (const auto& [name, attribute] : node.attributes) {
      std::visit([&, &key = name](const auto& value) { made["attributes"][key] = value; }, attribute);
    }
    json["nodes"].push_back(std::move(made));
  }
  return json;
}

std::string as_json(const ModelFile& file, bool checked) {
  nlohmann::json json = {
      {"file", file.path().string()},    {"format_version", kFormatVersion},  {"bytes", file.size()},
      {"metadata", file.metadata()},     {"graphs", nlohmann::json::array()}, {"tensors", nlohmann::json::array()},
      {"files", nlohmann::json::array()}};
  for (const Graph& graph : file.header().graphs) json["graphs"].push_back(graph_json(graph));
  for (const TensorInfo& tensor : file.header().tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"type", dtype_name(tensor.dtype)},
                               {"shape", tensor.shape},
                               {"bytes", tensor.size},
                               {"checksum", fmt::format("{:016x}", tensor.checksum)}});
  }
  for (const std::string& name : file.file_names()) {
    json["files"].push_back({{"name", name}, {"bytes", file.read_file(name).size()}});
  }
  if (checked) json["checksums"] = "agree";
  return json_text(json, 2) + "\n";
}

/// Compares the checksums of all tensors; those of embedded files are compared whenever they are read.
void check_tensors(const ModelFile& file) {
  Progress progress("checking");
  std::uint64_t done = 0;
  for (const TensorInfo& tensor : file.header().tensors) {
    file.read_all(tensor);
    done += tensor.size;
    progress.update(done, file.size());
  }
}

struct InspectArguments {
  std::string model;
  bool json = false;
  bool check = false;
};

int run_inspect(const InspectArguments& arguments) {
  const ModelFile file = ModelFile::open(arguments.model);
  if (arguments.check) check_tensors(file);
  std::string text = arguments.json ? as_json(file, arguments.check) : as_text(file);
  if (arguments.check && !arguments.json) {
    text += fmt::format("\nchecked: the checksums of {} tensors agree\n", file.header().tensors.size());
  }
  write_output(text);
  return 0;
}

}  // namespace

void add_inspect(Program& program) {
  CLI::App* verb = program.app.add_subcommand("inspect", "Show metadata, graphs and tensors of a .heed file");
  verb->footer("Example:\n  heed inspect stories.heed");
  auto arguments = std::make_shared<InspectArguments>();
  verb->add_option("MODEL", arguments->model, "A .heed file")->required();
  verb->add_flag("--check", arguments->check, "Compare the checksums of all tensors too");
  verb->add_flag("--json", arguments->json, "Print JSON");
  verb->callback([&program, arguments] { program.run = [arguments] { return run_inspect(*arguments); }; });
}

}  // namespace heed::tools
