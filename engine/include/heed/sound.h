#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "heed/device.h"

namespace heed {

/// Something that a sound model can be asked for.
struct SoundClass {
  std::string name;
  std::vector<std::string> also;     // other names
  std::vector<std::int32_t> frames;  // what is said, frame by frame; empty where the class holds for all of a sound
};

struct SoundOptions {
  /// Of models whose classes have frames: said one after the other. Of others: none, or one.
  std::vector<std::int64_t> classes;
  std::int64_t voice = -1;  // of models that have voices; -1: the first
  /// Of models that are given features of each frame: rows of feature_width() numbers.
  std::vector<float> features;
  /// How long the sound is; 0: as long as the classes or features take, or a second. What takes less is said again.
  double seconds = 0.0;
  double temperature = -1.0;  // 0: the likeliest sample each time; below 0: as the model says
  std::uint64_t seed = 0;
  std::function<bool()> cancelled;                                      // asked between submissions
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // samples
};

/// A model that makes sound sample by sample. Used by one thread at a time.
class SoundModel {
 public:
  /// Opens a .heed file whose metadata has the task "sound" and makes it ready. Throws Error when it has not, or when
  /// the metadata do not fit the graph.
  SoundModel(const Device& device, const std::filesystem::path& file);
  ~SoundModel();
  SoundModel(SoundModel&&) noexcept;
  SoundModel& operator=(SoundModel&&) noexcept;

  std::int64_t sample_rate() const;
  const std::vector<SoundClass>& classes() const;
  const std::vector<std::string>& voices() const;
  /// Numbers of a frame that the model wants to be given; 0 where it wants none.
  std::int64_t feature_width() const;
  /// The number of a class or voice by its name or number. Throw Error listing what there is.
  std::int64_t class_named(std::string_view name) const;
  std::int64_t voice_named(std::string_view name) const;
  /// The classes that a text names: words, or characters of a word that is no name. Throws Error naming the word.
  std::vector<std::int64_t> classes_of(std::string_view text) const;

  /// Samples of the sound that options ask for. Throws Error for options that the model cannot use or that make no
  /// sense, and for a sound of more than 2^31 - 1 samples.
  std::int64_t length(const SoundOptions& options) const;
  /// Makes it. `on_samples` gets the samples, from -1 to 1, as they come; memory does not grow with their number. The
  /// same model, device and options give the same samples, with the same tuning verdict in the cache folder. Returns
  /// how many there are: fewer than length() where it was cancelled. Throws Error as length() does, and when a sample
  /// is no finite number.
  std::int64_t make(const SoundOptions& options, const std::function<void(std::span<const float>)>& on_samples);

  /// For bench: samples of a run, its dispatches, and its operations.
  std::int64_t samples_per_run() const;
  std::size_t dispatches_per_run();
  std::uint64_t flops_per_run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
