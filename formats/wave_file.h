#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace heed {

/// Samples from -1 to 1 as 16-bit numbers; what is louder is cut.
std::vector<std::int16_t> to_pcm16(std::span<const float> samples);

/// The beginning of a WAV file of one channel and 16 bits whose length is not known: players and converters read what
/// follows until it ends, samples of two bytes, the lower one first.
std::string endless_wave_header(std::int64_t sample_rate);

/// A WAV file of one channel and 16 bits in the making, through a temporary file: without commit() nothing is left of
/// it. Throws Error when it cannot be written. For one thread.
class WaveFile {
 public:
  WaveFile(const std::filesystem::path& path, std::int64_t sample_rate);
  ~WaveFile();
  WaveFile(const WaveFile&) = delete;
  WaveFile& operator=(const WaveFile&) = delete;

  void append(std::span<const float> samples);
  /// Completes the file and puts it in its place.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The most samples that such a file holds: its length in bytes is a number of 32 bits.
inline constexpr std::int64_t kMostWaveSamples = (std::int64_t{0xffffffff} - 1024) / 2;

/// Throws Error when a sound must not be written to `output`: it is one of the files that are read, its name says that
/// it is of another format, or it holds fewer samples.
void check_wave_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read,
                     std::int64_t samples);

}  // namespace heed
