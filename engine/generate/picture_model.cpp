#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>

#include "file/model_file.h"
#include "generate/attention_map.h"
#include "generate/picture_roles.h"
#include "generate/picture_tiles.h"
#include "graph/bind.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "heed/picture.h"
#include "ops/sample.h"
#include "runtime/session.h"

namespace heed {
namespace {

/// Memory of a plan's own tensors above which pictures are worked on in parts.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kSmallestTile = 32;
constexpr std::size_t kMostAtOnce = 64;    // pictures that are drawn in one run of the graph
constexpr std::int64_t kTileMultiple = 8;  // sizes that networks with strides like

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::uint64_t planned_bytes(const Plan& plan) {
  std::uint64_t bytes = 0;
  for (const std::uint64_t block : plan.arena_blocks) bytes += block;
  for (const PlanTensor& tensor : plan.tensors) {
    if (tensor.storage == Storage::Input || tensor.storage == Storage::Output) bytes += tensor.bytes;
  }
  return bytes;
}

}  // namespace

struct PictureModel::State {
  State(const Device& on, const std::filesystem::path& path)
      : device(on),
        file(ModelFile::open(path)),
        where(path.string()),
        roles(PictureRoles::of(file.metadata(), where)),
        source(file),
        weights(device.gpu(), source),
        session(device.gpu(), weights) {
    const auto named = file.metadata().find("graph");
    graph = &file.graph(named != file.metadata().end() && named->is_string() ? named->get<std::string>() : "");
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
  }

  const Role* need_input(const Graph& of, const char* kind) const {
    const Role* role = roles.input(of, kind);
    if (role == nullptr) throw Error(fmt::format("{}: graph '{}' has no input of role '{}'", where, of.name, kind));
    return role;
  }
  const Role* need_output(const Graph& of, const char* kind) const {
    const Role* role = roles.output(of, kind);
    if (role == nullptr) throw Error(fmt::format("{}: graph '{}' has no output of role '{}'", where, of.name, kind));
    return role;
  }

  void check_input(const Role& role, bool floats) const {
    const Value& value = graph->value(graph->find(role.name));
    if (is_floating(value.dtype) == floats) return;
    throw Error(fmt::format("{}: input '{}' of role '{}' holds {}, expected {}; correct 'roles'", where, role.name,
                            role.kind, dtype_name(value.dtype), floats ? "floats" : "integers"));
  }

  /// Throws Error unless the labels that write_labels() makes fit the input.
  void check_label() const {
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

  /// The shape of an input for `batch` pictures: whatever is named and first is the batch.
  Shape shape_of(const Graph& of, const Role& role, std::int64_t batch) const {
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

  std::vector<float> run(Executable& executable, const std::string& output, std::size_t count) {
    session.run(executable);
    std::vector<float> values(count);
    session.read_output(executable, output, std::as_writable_bytes(std::span(values)));
    return values;
  }

  void write_labels(const std::vector<std::int64_t>& labels) {
    if (label == nullptr) return;
    if (label->encoding == "index") {
      session.write(label->name, bytes_of(std::vector<std::int32_t>(labels.begin(), labels.end())));
      return;
    }
    std::vector<float> rows(labels.size() * roles.classes.size(), 0.0f);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] >= 0) rows[i * roles.classes.size() + static_cast<std::size_t>(labels[i])] = 1.0f;
    }
    session.write(label->name, bytes_of(rows));
  }

  std::vector<float> draw_in_steps(Executable& executable, std::vector<float> x,
                                   const std::vector<std::int64_t>& labels, const DrawOptions& options);
  /// Makes pictures of the main graph's result, where another graph does that.
  void decode(std::vector<float>& values, Shape& shape);
  static Shape output_shape(const Executable& executable, const Role& role);
  Picture picture_of(const std::vector<float>& values, const Shape& shape, std::size_t index) const;
  bool is_map(const Role& role) const;
  /// Appends to `maps` those of the first `wanted` of `count` pictures that a run drew.
  void read_maps(const Executable& executable, std::size_t count, std::size_t wanted);
  /// How many pictures the graph draws in a run: what its latent's shape says, or as many as are wanted up to a limit.
  std::size_t batch_for(std::size_t wanted) const;
  /// Draws in one run of the graph, and keeps the maps of the first `wanted` pictures.
  std::vector<Picture> draw_batch(const std::vector<std::vector<float>>& noises,
                                  const std::vector<std::int64_t>& labels, std::size_t wanted,
                                  const DrawOptions& options);

  Device device;
  ModelFile file;
  std::string where;
  PictureRoles roles;
  FileWeights source;
  WeightStore weights;
  Session session;
  const Graph* graph = nullptr;
  const Graph* decoder = nullptr;
  const Role* latent = nullptr;
  const Role* label = nullptr;
  const Role* time = nullptr;
  const Role* image = nullptr;
  const Role* result = nullptr;
  std::vector<std::vector<AttentionMap>> maps;  // of the last drawing, by picture
};

PictureModel::PictureModel(const Device& device, const std::filesystem::path& file)
    : state_(std::make_unique<State>(device, file)) {}
PictureModel::~PictureModel() = default;
PictureModel::PictureModel(PictureModel&&) noexcept = default;
PictureModel& PictureModel::operator=(PictureModel&&) noexcept = default;

bool PictureModel::draws() const { return state_->roles.task == "draw"; }
const std::vector<std::string>& PictureModel::classes() const { return state_->roles.classes; }

std::int64_t PictureModel::class_named(std::string_view name) const {
  const std::vector<std::string>& names = state_->roles.classes;
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
  const std::int64_t all = element_count(state_->shape_of(*state_->graph, *state_->latent, 1));
  const auto count = static_cast<std::size_t>(all) / std::max<std::size_t>(1, state_->batch_for(1));
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

std::vector<float> PictureModel::State::draw_in_steps(Executable& executable, std::vector<float> x,
                                                      const std::vector<std::int64_t>& labels,
                                                      const DrawOptions& options) {
  const Schedule& s = roles.schedule;
  const int steps = options.steps > 0 ? options.steps : s.steps;
  const double guidance = options.guidance >= 0.0 ? options.guidance : s.guidance;
  const Role* output = roles.output(*graph, "latent");
  if (output == nullptr) output = need_output(*graph, "image");
  const std::vector<std::int64_t> none(labels.size(), -1);
  const auto velocity = [&](double t, const std::vector<std::int64_t>& with) {
    write_labels(with);
    std::vector<float> v = run(executable, output->name, x.size());
    if (!s.predicts_clean) return v;
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = (v[i] - x[i]) / static_cast<float>(1.0 - t);
    return v;
  };
  for (int step = 0; step < steps; ++step) {
    if (options.progress) options.progress(step, steps);
    const double t = static_cast<double>(step) / steps;
    session.write(latent->name, bytes_of(x));
    session.write(time->name, bytes_of(std::vector<float>(labels.size(), static_cast<float>(t))));
    std::vector<float> without;
    const bool guided = label != nullptr && guidance != 1.0 && t > s.guidance_from - 1e-9 && t < s.guidance_to + 1e-9;
    if (guided) without = velocity(t, none);
    std::vector<float> v = velocity(t, labels);  // the later one, of which attention maps are
    if (guided) {
      const auto factor = static_cast<float>(guidance);
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = without[i] + factor * (v[i] - without[i]);
    }
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += v[i] / static_cast<float>(steps);
  }
  if (options.progress) options.progress(steps, steps);
  return x;
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

bool PictureModel::State::is_map(const Role& role) const {
  const auto is_output = [&](ValueId id) { return graph->value(id).name == role.name; };
  return (role.kind == "map" || role.kind == "attention") && std::ranges::any_of(graph->outputs, is_output);
}

bool PictureModel::has_attention_maps() const {
  return std::ranges::any_of(state_->roles.roles, [&](const Role& role) { return state_->is_map(role); });
}

void PictureModel::State::read_maps(const Executable& executable, std::size_t count, std::size_t wanted) {
  const std::size_t first = maps.size();
  maps.resize(first + wanted);
  for (const Role& role : roles.roles) {
    if (!is_map(role)) continue;
    const TensorType& type = executable.plan().tensors[executable.plan().tensor_named(role.name)].type;
    if (!is_floating(type.dtype)) {
      throw Error(fmt::format("{}: output '{}' of role '{}' is {}, expected floats", where, role.name, role.kind,
                              dtype_name(type.dtype)));
    }
    std::vector<float> values(static_cast<std::size_t>(element_count(type.shape)));
    session.read_output(executable, role.name, std::as_writable_bytes(std::span(values)));
    std::vector<AttentionMap> of_role = split_maps(role, type.shape, values, count, where);
    for (std::size_t i = 0; i < wanted; ++i) maps[first + i].push_back(std::move(of_role[i]));
  }
}

const std::vector<std::vector<AttentionMap>>& PictureModel::attention_maps() const { return state_->maps; }

std::size_t PictureModel::State::batch_for(std::size_t wanted) const {
  const SymbolicShape& shape = graph->value(graph->find(latent->name)).shape;
  if (!shape.empty() && !shape[0].name.empty()) return std::min(wanted, kMostAtOnce);
  return shape.size() < 2 ? 1 : static_cast<std::size_t>(shape[0].size);
}

std::vector<Picture> PictureModel::State::draw_batch(const std::vector<std::vector<float>>& noises,
                                                     const std::vector<std::int64_t>& labels, std::size_t wanted,
                                                     const DrawOptions& options) {
  const auto batch = static_cast<std::int64_t>(noises.size());
  std::map<std::string, Shape> shapes;
  for (const Role* role : {latent, label, time}) {
    if (role != nullptr) shapes[role->name] = shape_of(*graph, *role, batch);
  }
  std::vector<float> x;
  for (const std::vector<float>& noise : noises) {
    for (const float value : noise) x.push_back(static_cast<float>(value * options.truncation));
  }
  if (x.size() != static_cast<std::size_t>(element_count(shapes[latent->name]))) {
    throw Error(fmt::format("{}: {} numbers of noise, expected {}", where, x.size(), to_string(shapes[latent->name])));
  }
  Executable& executable = session.prepare(*graph, bind_inputs(*graph, shapes));
  std::vector<float> values;
  Shape shape;
  if (roles.schedule.steps == 0) {
    if (options.progress) options.progress(0, 1);
    session.write(latent->name, bytes_of(x));
    write_labels(labels);
    shape = output_shape(executable, *result);
    values = run(executable, result->name, static_cast<std::size_t>(element_count(shape)));
  } else {
    values = draw_in_steps(executable, std::move(x), labels, options);
    shape = shapes[latent->name];
  }
  if (options.maps) read_maps(executable, noises.size(), wanted);
  decode(values, shape);
  if (shape.empty() || shape[0] != batch) {
    throw Error(fmt::format("{}: output '{}' is {} for {} pictures; draw as many as it makes", where, result->name,
                            to_string(shape), batch));
  }
  std::vector<Picture> pictures;
  for (std::size_t i = 0; i < wanted; ++i) pictures.push_back(picture_of(values, shape, i));
  return pictures;
}

std::vector<Picture> PictureModel::draw(const std::vector<std::vector<float>>& noises,
                                        const std::vector<std::int64_t>& labels, const DrawOptions& options) {
  State& s = *state_;
  if (!draws()) throw Error(fmt::format("{}: the model makes pictures from pictures; use 'heed upscale'", s.where));
  const auto most = static_cast<std::int64_t>(s.roles.classes.size());
  for (const std::int64_t label : labels) {
    if (label < -1 || label >= most) {
      throw Error(fmt::format("{}: there is no class {}; there are {}", s.where, label, most));
    }
    if (label == -1 && s.label != nullptr && s.roles.schedule.steps == 0) {
      throw Error(fmt::format("{}: the model draws nothing without a class", s.where));
    }
  }
  s.maps.clear();
  std::vector<Picture> pictures;
  const std::size_t batch = s.batch_for(noises.size());
  const std::size_t batches = batch == 0 ? 0 : ceil_div(noises.size(), batch);
  for (std::size_t i = 0; i < batches; ++i) {
    const std::size_t first = i * batch;
    const std::size_t wanted = std::min(batch, noises.size() - first);
    std::vector<std::vector<float>> noises_of(noises.begin() + static_cast<std::ptrdiff_t>(first),
                                              noises.begin() + static_cast<std::ptrdiff_t>(first + wanted));
    std::vector<std::int64_t> labels_of(labels.begin() + static_cast<std::ptrdiff_t>(first),
                                        labels.begin() + static_cast<std::ptrdiff_t>(first + wanted));
    // A graph of a fixed batch draws the last picture again for what is not wanted.
    const std::size_t run = s.batch_for(wanted);
    noises_of.resize(run, noises_of.back());
    labels_of.resize(run, labels_of.back());
    DrawOptions of_batch = options;
    of_batch.progress = [&](std::int64_t done, std::int64_t total) {
      if (options.progress)
        options.progress(static_cast<std::int64_t>(i) * total + done, total * static_cast<std::int64_t>(batches));
    };
    for (Picture& picture : s.draw_batch(noises_of, labels_of, wanted, of_batch))
      pictures.push_back(std::move(picture));
  }
  return pictures;
}

Picture PictureModel::transform(const Picture& picture, const TransformOptions& options) {
  State& s = *state_;
  if (draws()) throw Error(fmt::format("{}: the model draws pictures from noise; use 'heed draw'", s.where));
  const Value& input = s.graph->value(s.graph->find(s.image->name));
  if (input.shape.size() != 4) {
    throw Error(fmt::format("{}: input '{}' is {}, expected [batch, channels, height, width]", s.where, input.name,
                            to_string(input.shape)));
  }
  const Dim& channels = input.shape[1];
  const std::int64_t planes = channels.name.empty() ? channels.size : 3;
  const Picture given = with_channels(picture, planes);
  const auto bind = [&](std::int64_t height, std::int64_t width) {
    return bind_inputs(*s.graph, {{input.name, {1, planes, height, width}}});
  };
  const auto fits = [&](std::int64_t height, std::int64_t width) {
    try {
      return planned_bytes(make_plan(*s.graph, bind(height, width), s.device.gpu().caps(), s.device.gpu().tuning())) <=
             kMostBytes;
    } catch (const Error&) {
      return false;
    }
  };
  // Graphs that were exported for one size take parts of it, and nothing else.
  const auto side_for = [](const Dim& dim, std::int64_t side) { return dim.name.empty() ? dim.size : side; };
  const std::int64_t only_height = side_for(input.shape[2], given.height);
  const std::int64_t only_width = side_for(input.shape[3], given.width);
  const bool fixed = input.shape[2].name.empty() || input.shape[3].name.empty();
  if (only_height > given.height || only_width > given.width || (fixed && options.tile > 0)) {
    throw Error(fmt::format(
        "{}: the model takes {} by {} pixels and no others{}; export it with named (dynamic) height and width", s.where,
        only_width, only_height, options.tile > 0 ? "" : fmt::format(", not {} by {}", given.width, given.height)));
  }
  Tiling tiling{given.width, given.height, options.overlap};
  if (fixed) {
    tiling = {only_width, only_height, options.overlap};
  } else if (options.tile > 0) {
    tiling = {std::min(options.tile, given.width), std::min(options.tile, given.height), options.overlap};
  } else if (!fits(given.height, given.width)) {
    std::int64_t side = std::max(given.width, given.height);
    do {
      side = side / 2 / kTileMultiple * kTileMultiple;
      if (side < kSmallestTile) {
        // Says which limit it is.
        make_plan(*s.graph, bind(given.height, given.width), s.device.gpu().caps(), s.device.gpu().tuning());
        throw Error(fmt::format("{}: not even parts of {} pixels fit the device", s.where, kSmallestTile));
      }
      tiling = {std::min(side, given.width), std::min(side, given.height), options.overlap};
    } while (!fits(tiling.height, tiling.width));
  }
  const auto apply = [&](const Picture& part) {
    const Bindings dims = bind(part.height, part.width);
    Executable& executable = s.session.prepare(*s.graph, dims);
    std::vector<float> values = part.values;
    for (float& value : values) {
      value = static_cast<float>(s.image->least + value * (s.image->most - s.image->least));
    }
    s.session.write(input.name, bytes_of(values));
    const Role& made = s.decoder == nullptr ? *s.result : *s.need_output(*s.graph, "latent");
    Shape shape = State::output_shape(executable, made);
    std::vector<float> result = s.run(executable, made.name, static_cast<std::size_t>(element_count(shape)));
    s.decode(result, shape);
    return s.picture_of(result, shape, 0);
  };
  return apply_in_tiles(given, tiling, apply, options);
}

}  // namespace heed
