#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "generate/metadata.h"
#include "generate/sound/state.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/sample.h"

namespace heed {
namespace {

// Long enough that its dispatches hide what a submission costs, short enough for Ctrl-C and for a player to begin.
constexpr std::int64_t kSamplesOfRun = 512;
constexpr std::int64_t kMostSamples = std::numeric_limits<std::int32_t>::max();

/// The value that a level of the mu-law stands for (ITU-T G.711, without its rounding).
float from_mu_law(float level, std::int64_t levels) {
  const double mu = static_cast<double>(levels - 1);
  const double x = 2.0 * static_cast<double>(level) / mu - 1.0;
  return static_cast<float>(std::copysign(std::expm1(std::abs(x) * std::log1p(mu)) / mu, x));
}

std::optional<std::int64_t> number_of(std::string_view text, std::size_t count) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool fits = error == std::errc() && end == text.data() + text.size() && number >= 0;
  return fits && number < static_cast<std::int64_t>(count) ? std::optional(number) : std::nullopt;
}

std::optional<std::int64_t> find_class(const std::vector<SoundClass>& classes, std::string_view name) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].name == name || std::ranges::find(classes[i].also, name) != classes[i].also.end()) {
      return static_cast<std::int64_t>(i);
    }
  }
  return std::nullopt;
}

std::string names_of(const std::vector<SoundClass>& classes) {
  constexpr std::size_t kShown = 40;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min(kShown, classes.size()); ++i) names.push_back(classes[i].name);
  return fmt::format("{}{}", fmt::join(names, ", "), classes.size() > kShown ? ", ..." : "");
}

}  // namespace

SoundModel::State::State(const Device& on, const std::filesystem::path& path)
    : device(on),
      file(ModelFile::open(path)),
      where(path.string()),
      graph(task_graph(file, "sound", "graph", "sound", {"past", "recent", "sampler", "samples"})),
      roles(SoundRoles::of(file, graph)),
      source(file),
      weights(device.gpu(), source),
      session(device.gpu(), weights),
      steps(roles.has_frames() ? roles.hop * std::max<std::int64_t>(1, kSamplesOfRun / roles.hop) : kSamplesOfRun) {
  executable();
}

Executable& SoundModel::State::executable() {
  Bindings dims = {{"steps", steps}};
  if (roles.has_frames()) dims["window"] = steps / roles.hop + 2 * roles.around;
  return session.prepare(graph, dims);
}

std::int64_t SoundModel::State::frames_of(const SoundOptions& options) const {
  if (roles.feature_width > 0) return static_cast<std::int64_t>(options.features.size()) / roles.feature_width;
  std::int64_t frames = 0;
  for (const std::int64_t number : options.classes) {
    frames += std::ssize(roles.classes[static_cast<std::size_t>(number)].frames);
  }
  return frames;
}

std::int64_t SoundModel::State::length(const SoundOptions& options) const {
  const auto refuse = [&](const std::string& what) { throw Error(fmt::format("{}: {}", where, what)); };
  for (const std::int64_t number : options.classes) {
    if (number < 0 || number >= std::ssize(roles.classes)) {
      refuse(fmt::format("there is no class {}; there are {}", number, roles.classes.size()));
    }
  }
  if (!roles.local_ids && options.classes.size() > 1) {
    refuse(fmt::format("{} classes; the model takes one, which holds for all of a sound", options.classes.size()));
  }
  const bool by_class = !roles.local_ids && !roles.classes.empty();
  if ((roles.local_ids || by_class) && options.classes.empty()) {
    refuse(fmt::format("the model says nothing without a class: --class or --text; there are {}",
                       names_of(roles.classes)));
  }
  if (options.voice >= 0 && options.voice >= std::ssize(roles.voices)) {
    refuse(roles.voices.empty()
               ? "the model has no voices to choose from; leave --voice out"
               : fmt::format("there is no voice {}; there are {}", options.voice, roles.voices.size()));
  }
  if (options.features.empty() != (roles.feature_width == 0)) {
    refuse(roles.feature_width == 0 ? "the model takes no features of frames; leave --condition out"
                                    : fmt::format("the model wants {} features for each frame of {} samples: "
                                                  "--condition FILE.npy",
                                                  roles.feature_width, roles.hop));
  }
  if (roles.feature_width > 0 && options.features.size() % static_cast<std::size_t>(roles.feature_width) != 0) {
    refuse(fmt::format("{} numbers are no whole frames of {}", options.features.size(), roles.feature_width));
  }
  if (!std::ranges::all_of(options.features, [](float value) { return std::isfinite(value); })) {
    refuse("the features hold what is no finite number");
  }
  if (!(options.seconds >= 0.0) || !std::isfinite(options.seconds)) {
    refuse(fmt::format("{} seconds: expected a number above 0", options.seconds));
  }
  if (std::isnan(options.temperature) || options.temperature > 100.0) {
    refuse(fmt::format("a temperature of {}: expected 0 to 100", options.temperature));
  }
  const auto rate = static_cast<double>(roles.sample_rate);
  if (options.seconds * rate > static_cast<double>(kMostSamples)) {
    refuse(fmt::format("{} seconds are more than {} samples, at {} a second; ask for {:.0f} at most", options.seconds,
                       kMostSamples, roles.sample_rate, std::floor(static_cast<double>(kMostSamples) / rate)));
  }
  if (options.seconds > 0.0) return std::max<std::int64_t>(1, std::llround(options.seconds * rate));
  if (!roles.has_frames()) return roles.sample_rate;
  const std::int64_t frames = frames_of(options);
  if (frames > kMostSamples / roles.hop) refuse(fmt::format("{} frames are too many", frames));
  return frames * roles.hop;
}

void SoundModel::State::begin(const SoundOptions& options) {
  session.clear("past");
  std::vector<float> recent(static_cast<std::size_t>(graph.value(graph.find("recent")).shape.at(0).size), 0.0f);
  recent.back() = static_cast<float>(roles.start);
  session.write("recent", std::as_bytes(std::span(recent)));
  ops::SamplerState sampler;
  sampler.seed_low = static_cast<std::uint32_t>(options.seed);
  sampler.seed_high = static_cast<std::uint32_t>(options.seed >> 32);
  sampler.temperature = static_cast<float>(options.temperature < 0.0 ? roles.temperature : options.temperature);
  session.write("sampler", std::as_bytes(std::span(&sampler, 1)));
  if (roles.global_ids == 0) return;
  const bool by_class = !roles.local_ids && !roles.classes.empty();
  const auto id =
      static_cast<std::int32_t>(by_class ? options.classes.front() : std::max<std::int64_t>(0, options.voice));
  session.write("global_id", std::as_bytes(std::span(&id, 1)));
}

void SoundModel::State::feed(const SoundOptions& options, const std::vector<std::int32_t>& ids, std::int64_t first,
                             std::int64_t length) {
  if (!roles.has_frames()) return;
  const std::int64_t window = steps / roles.hop + 2 * roles.around;
  const std::int64_t period = frames_of(options);
  const std::int64_t end = ceil_div(length, roles.hop);
  const std::int64_t begin = first / roles.hop - roles.around;
  std::vector<std::int32_t> rows;
  std::vector<float> mask;
  std::vector<float> features;
  for (std::int64_t frame = begin; frame < begin + window; ++frame) {
    // A sound ends where its frames do; what is cut within a frame still has all of it.
    const bool within = frame >= 0 && frame < end;
    const auto of_period = static_cast<std::size_t>(within ? frame % period : 0);
    mask.push_back(within ? 1.0f : 0.0f);
    rows.push_back(roles.local_ids ? ids[of_period] : 0);
    for (std::int64_t i = 0; i < roles.feature_width; ++i) {
      const std::size_t at = of_period * static_cast<std::size_t>(roles.feature_width) + static_cast<std::size_t>(i);
      features.push_back(within ? options.features[at] : 0.0f);
    }
  }
  if (roles.local_ids) {
    session.write("local_ids", std::as_bytes(std::span(rows)));
    session.write("local_mask", std::as_bytes(std::span(mask)));
  } else {
    session.write("local", std::as_bytes(std::span(features)));
  }
}

std::int64_t SoundModel::State::make(const SoundOptions& options,
                                     const std::function<void(std::span<const float>)>& on_samples) {
  const std::int64_t total = length(options);
  Executable& run = executable();
  begin(options);
  std::vector<std::int32_t> ids;
  for (const std::int64_t number : options.classes) {
    const std::vector<std::int32_t>& frames = roles.classes[static_cast<std::size_t>(number)].frames;
    ids.insert(ids.end(), frames.begin(), frames.end());
  }
  std::vector<float> samples(static_cast<std::size_t>(steps));
  std::int64_t done = 0;
  while (done < total && !(options.cancelled && options.cancelled())) {
    if (options.progress) options.progress(done, total);
    feed(options, ids, done, total);
    session.run(run);
    session.read_output(run, "samples", std::as_writable_bytes(std::span(samples)));
    const std::span<float> made(samples.data(), static_cast<std::size_t>(std::min(steps, total - done)));
    for (float& sample : made) {
      if (!std::isfinite(sample)) {
        throw Error(
            fmt::format("{}: sample {} is no finite number; the model's weights are damaged, or the device "
                        "computes wrongly: 'heed verify' tells which on {}",
                        where, done + (&sample - made.data()), device.gpu().caps().name));
      }
      if (roles.levels > 0) sample = from_mu_law(sample, roles.levels);
    }
    on_samples(made);
    done += std::ssize(made);
  }
  if (options.progress) options.progress(done, total);
  return done;
}

SoundModel::SoundModel(const Device& device, const std::filesystem::path& file)
    : state_(std::make_unique<State>(device, file)) {}
SoundModel::~SoundModel() = default;
SoundModel::SoundModel(SoundModel&&) noexcept = default;
SoundModel& SoundModel::operator=(SoundModel&&) noexcept = default;

std::int64_t SoundModel::sample_rate() const { return state_->roles.sample_rate; }
const std::vector<SoundClass>& SoundModel::classes() const { return state_->roles.classes; }
const std::vector<std::string>& SoundModel::voices() const { return state_->roles.voices; }
std::int64_t SoundModel::feature_width() const { return state_->roles.feature_width; }

std::int64_t SoundModel::class_named(std::string_view name) const {
  if (const auto found = find_class(classes(), name)) return *found;
  if (const auto number = number_of(name, classes().size())) return *number;
  if (classes().empty()) throw Error(fmt::format("{}: the model has no classes to choose from", state_->where));
  throw Error(fmt::format("{}: there is no class '{}'; there are {}", state_->where, name, names_of(classes())));
}

std::int64_t SoundModel::voice_named(std::string_view name) const {
  const auto found = std::ranges::find(voices(), name);
  if (found != voices().end()) return found - voices().begin();
  if (const auto number = number_of(name, voices().size())) return *number;
  if (voices().empty()) throw Error(fmt::format("{}: the model has no voices to choose from", state_->where));
  throw Error(fmt::format("{}: there is no voice '{}'; there are {}", state_->where, name, fmt::join(voices(), ", ")));
}

std::vector<std::int64_t> SoundModel::classes_of(std::string_view text) const {
  std::vector<std::int64_t> found;
  const std::string_view between = " \t\r\n,;.!?-";
  for (std::size_t at = text.find_first_not_of(between); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(between, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    if (const auto number = find_class(classes(), word)) {
      found.push_back(*number);
    } else {
      for (std::size_t i = 0; i < word.size(); ++i) {
        const auto of_character = find_class(classes(), word.substr(i, 1));
        if (!of_character) {
          throw Error(fmt::format("{}: '{}' of the text is nothing that the model says; it says {}", state_->where,
                                  word, names_of(classes())));
        }
        found.push_back(*of_character);
      }
    }
    at = text.find_first_not_of(between, end);
  }
  if (found.empty()) throw Error(fmt::format("{}: the text has no words", state_->where));
  return found;
}

std::int64_t SoundModel::length(const SoundOptions& options) const { return state_->length(options); }
std::int64_t SoundModel::make(const SoundOptions& options,
                              const std::function<void(std::span<const float>)>& on_samples) {
  return state_->make(options, on_samples);
}

std::int64_t SoundModel::samples_per_run() const { return state_->steps; }
std::size_t SoundModel::dispatches_per_run() { return state_->executable().plan().dispatches.size(); }
std::uint64_t SoundModel::flops_per_run() { return state_->executable().plan().flops(); }

}  // namespace heed
