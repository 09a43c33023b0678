// What a file's metadata say of a sound model.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "generate/metadata.h"
#include "generate/sound/state.h"
#include "heed/error.h"

namespace heed {
namespace {

/// Reads metadata 'sound'.
class SoundReader {
 public:
  SoundReader(const ModelFile& file, const Graph& graph) : where_(file.path().string()), graph_(graph) {
    const auto found = file.metadata().find("sound");
    if (found == file.metadata().end() || !found->is_object()) fail("is missing or no object");
    json_ = *found;
  }

  SoundRoles read() {
    const Node& net = wavenet();
    SoundRoles r;
    r.sample_rate = integer("sample_rate", 1, 1'000'000);
    r.levels = net.attributes.integer("levels", 0);
    const std::string output = json_.value("output", nlohmann::json()).is_string() ? json_["output"] : "";
    if (output != (r.levels > 0 ? "mu_law" : "mixture_of_logistics")) fail("'output' is not what the graph makes");
    r.hop = net.attributes.integer("hop", 1);
    if (r.hop < 1 || r.hop > 65536) fail(fmt::format("the graph has {} samples a frame; expected 1 to 65536", r.hop));
    read_inputs(r);
    if (json_.contains("voices")) {
      for (const nlohmann::json& name : list("voices")) r.voices.push_back(text(name, "voices"));
      if (std::ssize(r.voices) != r.global_ids) fail("'voices' are not as many as the rows of their table");
    }
    read_classes(r);
    r.start = number("start", 0.0);
    const double most = r.levels > 0 ? static_cast<double>(r.levels - 1) : 1.0;
    if (r.start > most || r.start < (r.levels > 0 ? 0.0 : -1.0)) fail("'start' is no sample");
    r.temperature = number("temperature", 1.0);
    if (r.temperature < 0.0) fail("'temperature' is below 0");
    return r;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: metadata 'sound': {}; convert the model again", where_, what));
  }
  const Node& wavenet() const {
    const auto found = std::ranges::find(graph_.nodes, "wavenet", &Node::op);
    if (found == graph_.nodes.end()) fail(fmt::format("graph '{}' makes no samples", graph_.name));
    return *found;
  }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) const {
    const nlohmann::json value = json_.value(key, nlohmann::json());
    if (!value.is_number_integer() || value < least || value > most) {
      fail(fmt::format("'{}' is {}; expected {} to {}", key, value.dump(), least, most));
    }
    return value.get<std::int64_t>();
  }
  double number(const char* key, double otherwise) const {
    const nlohmann::json value = json_.value(key, nlohmann::json(otherwise));
    if (!value.is_number() || !std::isfinite(value.get<double>())) fail(fmt::format("'{}' is no number", key));
    return value.get<double>();
  }
  nlohmann::json list(const char* key) const {
    const nlohmann::json value = json_.value(key, nlohmann::json());
    if (!value.is_array()) fail(fmt::format("'{}' is no list", key));
    return value;
  }
  std::string text(const nlohmann::json& value, const char* key) const {
    if (!value.is_string() || value.get<std::string>().empty()) fail(fmt::format("'{}' holds what is no name", key));
    return value.get<std::string>();
  }

  /// Rows of the table that an input chooses from.
  std::int64_t table_rows(ValueId id) const {
    for (const Node& node : graph_.nodes) {
      if (node.op == "embedding" && node.inputs.at(0) == id) return graph_.value(node.inputs.at(1)).shape.at(0).size;
    }
    return 0;
  }

  void read_inputs(SoundRoles& r) {
    for (const ValueId id : graph_.inputs) {
      const Value& input = graph_.value(id);
      if (input.name == "global_id") {
        r.global_ids = table_rows(id);
      } else if (input.name == "local_ids") {
        r.local_ids = true;
        frame_ids_ = table_rows(id);
      } else if (input.name == "local" && input.shape.size() == 2) {
        r.feature_width = input.shape[1].size;
      } else if (input.name != "local_mask") {
        fail(fmt::format("graph '{}' has an input '{}', which nobody knows", graph_.name, input.name));
      }
    }
    for (const Node& node : graph_.nodes) {
      if (node.op != "conv") continue;
      const SymbolicShape& weight = graph_.value(node.inputs.at(1)).shape;
      if (weight.size() == 3) r.around = (weight[2].size - 1) / 2;
    }
  }

  void read_classes(SoundRoles& r) {
    if (!json_.contains("classes")) return;
    for (const nlohmann::json& one : list("classes")) {
      if (!one.is_object()) fail("'classes' holds what is no object");
      SoundClass made;
      made.name = text(one.value("name", nlohmann::json()), "classes");
      for (const nlohmann::json& name : one.value("also", nlohmann::json::array())) {
        made.also.push_back(text(name, "classes"));
      }
      const nlohmann::json frames = one.value("frames", nlohmann::json::array());
      for (const nlohmann::json& id : frames) {
        if (!id.is_number_integer() || id < 0 || id >= frame_ids_) fail("a class has frames that are not there");
        made.frames.push_back(id.get<std::int32_t>());
      }
      if (made.frames.empty() == r.local_ids) fail("'classes' do not say what frames are, or there are none");
      r.classes.push_back(std::move(made));
    }
    if (!r.local_ids && std::ssize(r.classes) != r.global_ids) fail("'classes' are not as many as their table's rows");
    if (!r.local_ids && !r.voices.empty()) fail("has both voices and classes for one table");
  }

  std::string where_;
  const Graph& graph_;
  nlohmann::json json_;
  std::int64_t frame_ids_ = 0;
};

}  // namespace

SoundRoles SoundRoles::of(const ModelFile& file, const Graph& graph) { return SoundReader(file, graph).read(); }

}  // namespace heed
