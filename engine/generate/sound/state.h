#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "heed/sound.h"
#include "runtime/session.h"

namespace heed {

/// What a model's metadata say of its sound (engine/file/format.md, `sound`), checked against its graph.
struct SoundRoles {
  std::int64_t sample_rate = 0;
  std::int64_t levels = 0;  // of the mu-law; 0: the graph makes values
  std::int64_t hop = 1;     // samples of a frame
  std::int64_t global_ids = 0;
  bool local_ids = false;          // frames are numbers of rows
  std::int64_t feature_width = 0;  // frames are features
  std::int64_t around = 0;         // frames before, and behind, one that it depends on
  std::vector<std::string> voices;
  std::vector<SoundClass> classes;
  double start = 0.0;  // what the first sample reads
  double temperature = 1.0;

  /// Throws Error naming the key.
  static SoundRoles of(const ModelFile& file, const Graph& graph);
  bool has_frames() const { return local_ids || feature_width > 0; }
};

/// What a SoundModel holds.
struct SoundModel::State {
  State(const Device& on, const std::filesystem::path& path);

  /// Frames of the sound before any is said again: ids, or rows of features.
  std::int64_t frames_of(const SoundOptions& options) const;
  std::int64_t length(const SoundOptions& options) const;
  std::int64_t make(const SoundOptions& options, const std::function<void(std::span<const float>)>& on_samples);
  Executable& executable();
  void begin(const SoundOptions& options);
  /// Feeds the frames of the run that begins with sample `first`.
  void feed(const SoundOptions& options, const std::vector<std::int32_t>& ids, std::int64_t first, std::int64_t length);

  Device device;
  ModelFile file;
  std::string where;
  const Graph& graph;
  SoundRoles roles;
  FileWeights source;
  WeightStore weights;
  Session session;
  std::int64_t steps;  // samples of a run: whole frames
};

}  // namespace heed
