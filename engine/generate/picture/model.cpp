#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "generate/metadata.h"
#include "generate/picture/state.h"
#include "graph/bind.h"
#include "heed/error.h"
#include "ops/sample.h"

namespace heed {

namespace {

const Graph& main_graph(const ModelFile& file) {
  const auto named = file.metadata().find("graph");
  return file.graph(named != file.metadata().end() && named->is_string() ? named->get<std::string>() : "");
}

/// As the metadata say, or as follows from the graph where they say nothing.
PictureRoles roles_of(const ModelFile& file, bool described, const std::string& where) {
  const std::optional<PictureRoles> plain = described ? std::nullopt : PictureRoles::plain(main_graph(file));
  return plain ? *plain : PictureRoles::of(file.metadata(), where);
}

/// Throws Error unless the model of a file makes pictures, and has that task.
void check_file_task(const std::filesystem::path& path, std::string_view task) {
  const ModelFile file = ModelFile::open(path);
  const bool described = file.metadata().contains("task");
  const std::string said = metadata_text(file, "task");
  if (described && said != "draw" && said != "image-to-image") check_task(file, task);
  check_picture_task(roles_of(file, described, path.string()), task, path.string());
}

}  // namespace

void check_picture_task(const PictureRoles& roles, std::string_view task, const std::string& where) {
  if (roles.task == task) return;
  throw Error(fmt::format("{}: {}", where,
                          task == "draw" ? "the model makes pictures from pictures; use 'heed upscale'"
                                         : "the model draws pictures from noise; use 'heed draw'"));
}

PictureModel::State::State(const Device& on, const std::filesystem::path& path)
    : device(on),
      file(ModelFile::open(path)),
      where(path.string()),
      described(file.metadata().contains("task")),
      roles(roles_of(file, described, where)),
      source(file),
      weights(device.gpu(), source),
      session(device.gpu(), weights) {
  graph = &main_graph(file);
  if (!roles.decode.empty()) decoder = &file.graph(roles.decode);
  const Graph& last = decoder == nullptr ? *graph : *decoder;
  result = need_output(last, "image");
  if (roles.task == "image-to-image") {
    image = need_input(*graph, "image");
  } else if (roles.schedule.steps > 0) {
    latent = roles.input(*graph, "latent");
    if (latent == nullptr) latent = need_input(*graph, "image");
    time = need_input(*graph, "time");
    label = roles.input(*graph, "label");
  } else {
    latent = need_input(*graph, "latent");
    label = roles.input(*graph, "label");
  }
  for (const ValueId id : graph->inputs) {
    const std::string& name = graph->value(id).name;
    const bool known = std::ranges::any_of(roles.roles, [&](const Role& role) { return role.name == name; });
    if (!known) throw Error(fmt::format("{}: metadata 'roles' does not say what input '{}' is", where, name));
  }
  for (const Role* role : {latent, time, image}) {
    if (role != nullptr) check_input(*role, true);
  }
  if (label != nullptr) check_label();
  if (label == nullptr) roles.classes.clear();  // names of what nobody can ask for
}

const Role* PictureModel::State::need_input(const Graph& of, const char* kind) const {
  const Role* role = roles.input(of, kind);
  if (role == nullptr) throw Error(fmt::format("{}: graph '{}' has no input of role '{}'", where, of.name, kind));
  return role;
}
const Role* PictureModel::State::need_output(const Graph& of, const char* kind) const {
  const Role* role = roles.output(of, kind);
  if (role == nullptr) throw Error(fmt::format("{}: graph '{}' has no output of role '{}'", where, of.name, kind));
  return role;
}

void PictureModel::State::check_input(const Role& role, bool floats) const {
  const Value& value = graph->value(graph->find(role.name));
  if (is_floating(value.dtype) == floats) return;
  throw Error(fmt::format("{}: input '{}' of role '{}' holds {}, expected {}; correct 'roles'", where, role.name,
                          role.kind, dtype_name(value.dtype), floats ? "floats" : "integers"));
}

void PictureModel::State::check_label() const {
  const bool columns = label->encoding != "index";
  check_input(*label, columns);
  if (roles.classes.empty() && roles.schedule.steps == 0)
    throw Error(fmt::format("{}: metadata 'classes' is missing: names, by number", where));
  const SymbolicShape& shape = graph->value(graph->find(label->name)).shape;
  const auto classes = static_cast<std::int64_t>(roles.classes.size());
  if (columns && (shape.size() != 2 || (shape[1].name.empty() && shape[1].size != classes))) {
    throw Error(fmt::format("{}: input '{}' is {}, expected a column for each of {} classes", where, label->name,
                            to_string(shape), classes));
  }
}

Shape PictureModel::State::shape_of(const Graph& of, const Role& role, std::int64_t batch) const {
  const Value& value = of.value(of.find(role.name));
  Shape shape;
  for (std::size_t i = 0; i < value.shape.size(); ++i) {
    const Dim& dim = value.shape[i];
    if (!dim.name.empty() && i > 0) {
      throw Error(fmt::format("{}: input '{}' of graph '{}' is {}; heed draws pictures of one size only", where,
                              role.name, of.name, to_string(value.shape)));
    }
    shape.push_back(dim.name.empty() ? dim.size : batch);
  }
  return shape;
}

std::vector<float> PictureModel::State::run(Executable& executable, const std::string& output, std::size_t count) {
  session.run(executable);
  std::vector<float> values(count);
  session.read_output(executable, output, std::as_writable_bytes(std::span(values)));
  return values;
}

void PictureModel::State::decode(std::vector<float>& values, Shape& shape) {
  if (decoder == nullptr) return;
  const Role* input = need_input(*decoder, "latent");
  const Bindings dims = bind_inputs(*decoder, {{input->name, shape}});
  Executable& executable = session.prepare(*decoder, dims);
  session.write(input->name, bytes_of(values));
  shape = output_shape(executable, *result);
  values = run(executable, result->name, static_cast<std::size_t>(element_count(shape)));
}

Shape PictureModel::State::output_shape(const Executable& executable, const Role& role) {
  const Plan& plan = executable.plan();
  return plan.tensors[plan.tensor_named(role.name)].type.shape;
}

Picture PictureModel::State::picture_of(const std::vector<float>& values, const Shape& shape, std::size_t index) const {
  if (shape.size() != 4 || (shape[1] != 1 && shape[1] != 3) || shape[0] <= static_cast<std::int64_t>(index)) {
    throw Error(fmt::format("{}: output '{}' is {}, expected pictures [batch, 1 or 3, height, width]", where,
                            result->name, to_string(shape)));
  }
  Picture picture{shape[3], shape[2], shape[1], {}};
  const auto count = static_cast<std::size_t>(shape[1] * shape[2] * shape[3]);
  picture.values.reserve(count);
  const double scale = 1.0 / (result->most - result->least);
  for (std::size_t i = 0; i < count; ++i) {
    picture.values.push_back(static_cast<float>((values[index * count + i] - result->least) * scale));
  }
  return picture;
}

void PictureModel::State::check_finite(const Picture& picture, const std::string& of) const {
  const auto is_finite = [](float value) { return std::isfinite(value); };
  const auto first = std::ranges::find_if_not(picture.values, is_finite);
  if (first == picture.values.end()) return;
  const auto bad = picture.values.end() - first - std::count_if(first, picture.values.end(), is_finite);
  const std::int64_t at = first - picture.values.begin();
  throw Error(fmt::format(
      "{}: {} has {} of {} values that are no finite numbers, the first in channel {} at {},{}; the model's "
      "weights are damaged, or the device computes wrongly: try 'heed conform'",
      where, of, bad, picture.values.size(), at / (picture.width * picture.height), at % picture.width,
      at / picture.width % picture.height));
}

PictureModel::PictureModel(const Device& device, const std::filesystem::path& file, const PictureRanges& ranges)
    : state_(std::make_unique<State>(device, file)) {
  if (draws() && (ranges.input || ranges.output)) {
    throw Error(
        fmt::format("{}: the model draws pictures; only those of 'heed upscale' are given ranges", state_->where));
  }
  if (!state_->described && !(ranges.input && ranges.output)) {
    assume(ranges);
    return;
  }
  if (ranges.input) state_->set_range(state_->image, *ranges.input);
  if (ranges.output) state_->set_range(state_->result, *ranges.output);
}
PictureModel::~PictureModel() = default;
PictureModel::PictureModel(PictureModel&&) noexcept = default;
PictureModel& PictureModel::operator=(PictureModel&&) noexcept = default;

void PictureModel::check_draws(const std::filesystem::path& file) { check_file_task(file, "draw"); }

void PictureModel::check_transforms(const std::filesystem::path& file) { check_file_task(file, "image-to-image"); }

bool PictureModel::draws() const { return state_->roles.task == "draw"; }

const std::string& PictureModel::assumed() const { return state_->assumed; }

const std::vector<std::string>& PictureModel::classes() const { return state_->roles.classes; }

std::int64_t PictureModel::class_named(std::string_view name) const {
  const std::vector<std::string>& names = classes();
  if (names.empty()) throw Error(fmt::format("{}: the model has no classes", state_->where));
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return found - names.begin();
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size() && number >= 0 &&
      number < static_cast<std::int64_t>(names.size())) {
    return number;
  }
  std::string known;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 64); ++i) known += (i == 0 ? "" : ", ") + names[i];
  throw Error(fmt::format("{}: there is no class '{}'; there are {} (or 0 to {})", state_->where, name, known,
                          names.size() - 1));
}

std::vector<float> PictureModel::noise(std::uint64_t seed, std::uint64_t index) const {
  if (state_->latent == nullptr) throw Error(fmt::format("{}: the model draws nothing from noise", state_->where));
  const std::size_t count = state_->noise_size();
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; i += 2) {
    // Two of the generator's words make two normal numbers (Box and Muller 1958).
    const std::array<std::uint32_t, 4> words =
        ops::philox({static_cast<std::uint32_t>(i / 2), static_cast<std::uint32_t>(index),
                     static_cast<std::uint32_t>(index >> 32), 1},
                    {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    const double radius = std::sqrt(-2.0 * std::log((words[0] + 1.0) / 4294967296.0));
    const double angle = 2.0 * std::numbers::pi * words[1] / 4294967296.0;
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return values;
}

}  // namespace heed
