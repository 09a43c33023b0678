#include "file/picture_roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "heed/error.h"

namespace heed {
namespace {

constexpr std::size_t kMostClasses = 65536;
constexpr std::int64_t kMostSide = 16384;

class Reader {
 public:
  Reader(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw Error(where_ + " is no object");
  }
  [[noreturn]] void fail(const char* key, const char* expected) const {
    throw Error(fmt::format("{}: '{}' is missing or wrong, expected {}", where_, key, expected));
  }
  double real(const char* key, double otherwise, double least, double most) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return otherwise;
    if (!found->is_number() || !(found->get<double>() >= least && found->get<double>() <= most)) {
      fail(key, fmt::format("a number from {} to {}", least, most).c_str());
    }
    return found->get<double>();
  }
  std::string choice(const char* key, std::initializer_list<const char*> choices, const char* otherwise) const {
    const auto found = object_.find(key);
    if (found == object_.end() && otherwise != nullptr) return otherwise;
    std::string known;
    for (const char* one : choices) {
      if (found != object_.end() && found->is_string() && found->get<std::string>() == one) return one;
      known += (known.empty() ? "" : " or ") + std::string(one);
    }
    fail(key, known.c_str());
  }
  std::string text(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return "";
    if (!found->is_string()) fail(key, "a string");
    return found->get<std::string>();
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
};

const Role* find(const std::vector<Role>& roles, const Graph& graph, const std::vector<ValueId>& ids,
                 std::string_view kind) {
  for (const ValueId id : ids) {
    for (const Role& role : roles) {
      if (role.kind == kind && role.name == graph.value(id).name) return &role;
    }
  }
  return nullptr;
}

}  // namespace

PictureRoles PictureRoles::of(const nlohmann::json& metadata, const std::string& where) {
  const Reader reader(metadata, where);
  PictureRoles result;
  const auto task = metadata.find("task");
  if (task == metadata.end() || (*task != "draw" && *task != "image-to-image")) {
    throw Error(
        fmt::format("{}: this model makes no pictures, or its file does not say how: metadata 'task' is {}; "
                    "convert it with --describe",
                    where, task == metadata.end() ? "missing" : task->dump()));
  }
  result.task = task->get<std::string>();
  const auto roles = metadata.find("roles");
  if (roles == metadata.end() || !roles->is_object()) reader.fail("roles", "an object");
  for (const auto& [name, description] : roles->items()) {
    const Reader role_reader(description, fmt::format("{}: role of '{}'", where, name));
    Role role;
    role.name = name;
    role.kind = role_reader.choice("role", {"latent", "label", "time", "image", "map", "attention"}, nullptr);
    role.encoding = role_reader.choice("encoding", {"index", "one_hot"}, "index");
    if (const auto range = description.find("range"); range != description.end()) {
      if (!range->is_array() || range->size() != 2 || !(*range)[0].is_number() || !(*range)[1].is_number() ||
          !((*range)[0].get<double>() < (*range)[1].get<double>())) {
        role_reader.fail("range", "two numbers, the smaller one first");
      }
      role.least = (*range)[0].get<double>();
      role.most = (*range)[1].get<double>();
    }
    if (role.kind == "attention") {
      const auto size = description.find("size");
      const auto is_side = [](const nlohmann::json& side) {
        return side.is_number_integer() && side >= 1 && side <= kMostSide;
      };
      if (size == description.end() || !size->is_array() || size->size() != 2 || !is_side((*size)[0]) ||
          !is_side((*size)[1])) {
        role_reader.fail("size", "height and width of what the weights are of");
      }
      role.height = (*size)[0].get<std::int64_t>();
      role.width = (*size)[1].get<std::int64_t>();
      role.sums_over_rows = role_reader.choice("normalised", {"rows", "columns"}, "rows") == "columns";
    }
    result.roles.push_back(std::move(role));
  }
  if (const auto classes = metadata.find("classes"); classes != metadata.end()) {
    if (!classes->is_array() || classes->size() > kMostClasses) reader.fail("classes", "an array of names");
    for (const auto& name : *classes) {
      if (!name.is_string()) reader.fail("classes", "an array of names");
      result.classes.push_back(name.get<std::string>());
    }
  }
  if (const auto schedule = metadata.find("schedule"); schedule != metadata.end()) {
    const Reader s(*schedule, where + ": 'schedule'");
    result.schedule.steps = static_cast<int>(s.real("steps", 25, 1, 10000));
    result.schedule.predicts_clean = s.choice("predicts", {"clean", "velocity"}, nullptr) == "clean";
    result.schedule.guidance = s.real("guidance", 1.0, 0.0, 1000.0);
    result.schedule.guidance_from = s.real("guidance_from", 0.0, 0.0, 1.0);
    result.schedule.guidance_to = s.real("guidance_to", 1.0, 0.0, 1.0);
  }
  result.decode = reader.text("decode");
  return result;
}

std::optional<PictureRoles> PictureRoles::plain(const Graph& graph) {
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1) return std::nullopt;
  const Value& input = graph.value(graph.inputs[0]);
  if (!is_floating(input.dtype) || input.shape.size() != 4 || !input.shape[1].name.empty() ||
      (input.shape[1].size != 1 && input.shape[1].size != 3)) {
    return std::nullopt;
  }
  PictureRoles result;
  result.task = "image-to-image";
  for (const ValueId id : {graph.inputs[0], graph.outputs[0]}) {
    Role role;
    role.kind = "image";
    role.name = graph.value(id).name;
    result.roles.push_back(std::move(role));
  }
  return result;
}

const Role* PictureRoles::input(const Graph& graph, std::string_view kind) const {
  return find(roles, graph, graph.inputs, kind);
}

const Role* PictureRoles::output(const Graph& graph, std::string_view kind) const {
  return find(roles, graph, graph.outputs, kind);
}

}  // namespace heed
