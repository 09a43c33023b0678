// Pictures from noise.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "generate/picture/attention_map.h"
#include "generate/picture/state.h"
#include "graph/bind.h"
#include "graph/integer.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::size_t kMostAtOnce = 64;  // pictures that are drawn in one run of the graph

}  // namespace

void PictureModel::State::check(const DrawOptions& options) const {
  if (!std::isfinite(options.truncation)) {
    throw Error(fmt::format("{}: --truncation {}: expected a number", where, options.truncation));
  }
  if (options.steps < 0 || options.guidance != options.guidance) {
    throw Error(fmt::format("{}: {} steps and a guidance of {}: expected 0 or more, and a number", where, options.steps,
                            options.guidance));
  }
  const bool at_once = roles.schedule.steps == 0;
  if (options.steps > 0 && at_once) {
    throw Error(fmt::format("{}: --steps {}: the model draws at once, it has no steps; leave --steps out", where,
                            options.steps));
  }
  if (options.guidance >= 0.0 && (at_once || label == nullptr || roles.classes.empty())) {
    throw Error(fmt::format("{}: --guidance {}: the model {}; leave --guidance out", where, options.guidance,
                            at_once ? "draws at once, without guidance" : "takes no class to be guided to"));
  }
  const bool shows = std::ranges::any_of(roles.roles, [&](const Role& role) { return is_map(role); });
  if (options.maps && !shows) {
    throw Error(
        fmt::format("{}: the model shows no attention: its file names no output of role 'map' or 'attention'", where));
  }
}

void PictureModel::State::check(const std::vector<std::vector<float>>& noises,
                                const std::vector<std::int64_t>& labels) const {
  if (labels.size() != noises.size()) {
    throw Error(fmt::format("{}: {} labels for {} noises, expected a label for each; -1 is no class", where,
                            labels.size(), noises.size()));
  }
  for (std::size_t i = 0; i < noises.size(); ++i) {
    if (noises[i].size() != noise_size()) {
      throw Error(fmt::format("{}: noise {} has {} numbers, expected {}", where, i, noises[i].size(), noise_size()));
    }
  }
  const auto most = static_cast<std::int64_t>(roles.classes.size());
  for (const std::int64_t number : labels) {
    if (number != -1 && label == nullptr) {
      throw Error(fmt::format("{}: class {}: the model has no input that takes a class", where, number));
    }
    if (number < -1 || number >= most) {
      throw Error(fmt::format("{}: there is no class {}; there are {}", where, number, most));
    }
    if (number == -1 && label != nullptr && roles.schedule.steps == 0) {
      throw Error(fmt::format("{}: the model draws nothing without a class", where));
    }
  }
}

void PictureModel::check(const DrawOptions& options) const {
  check_picture_task(state_->roles, "draw", state_->where);
  state_->check(options);
}

std::size_t PictureModel::State::noise_size() const {
  return static_cast<std::size_t>(element_count(shape_of(*graph, *latent, 1))) / std::max<std::size_t>(1, batch_for(1));
}

void PictureModel::State::write_labels(const std::vector<std::int64_t>& labels) {
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
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      throw Error(
          fmt::format("{}: output '{}' of role '{}' has values that are no finite numbers; the model's weights "
                      "are damaged, or the device computes wrongly: try 'heed conform'",
                      where, role.name, role.kind));
    }
    std::vector<AttentionMap> of_role = split_maps(role, type.shape, values, count, where);
    for (std::size_t i = 0; i < wanted; ++i) maps[first + i].push_back(std::move(of_role[i]));
  }
}

std::pair<std::int64_t, std::int64_t> PictureModel::drawn_size() const {
  const State& s = *state_;
  if (!draws()) return {0, 0};
  const auto batch = static_cast<std::int64_t>(s.batch_for(1));
  std::map<std::string, Shape> shapes;
  for (const Role* role : {s.latent, s.label, s.time}) {
    if (role != nullptr) shapes[role->name] = s.shape_of(*s.graph, *role, batch);
  }
  const Shape shape =
      s.result_shape(bind_inputs(*s.graph, shapes), s.roles.schedule.steps == 0 ? *s.result : *s.latent);
  return {shape[3], shape[2]};
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
  check_picture_task(s.roles, "draw", s.where);
  s.check(options);
  s.check(noises, labels);
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
    for (Picture& picture : s.draw_batch(noises_of, labels_of, wanted, of_batch)) {
      s.check_finite(picture, fmt::format("picture {} of {}", pictures.size() + 1, noises.size()));
      pictures.push_back(std::move(picture));
    }
  }
  return pictures;
}

}  // namespace heed
