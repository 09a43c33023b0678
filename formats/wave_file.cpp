#include "formats/wave_file.h"

#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <exception>

#include "file/output_file.h"
#include "heed/error.h"

namespace heed {

std::vector<std::int16_t> to_pcm16(std::span<const float> samples) {
  std::vector<std::int16_t> numbers;
  numbers.reserve(samples.size());
  for (const float sample : samples) {
    numbers.push_back(static_cast<std::int16_t>(std::lround(std::clamp(sample, -1.0f, 1.0f) * 32767.0f)));
  }
  return numbers;
}

std::string endless_wave_header(std::int64_t sample_rate) {
  std::string header;
  const auto number = [&](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) header += static_cast<char>(value >> (8 * i) & 0xff);
  };
  header += "RIFF";
  number(0xffffffff, 4);  // until the end
  header += "WAVEfmt ";
  number(16, 4);
  number(1, 2);  // PCM
  number(1, 2);  // channels
  number(static_cast<std::uint64_t>(sample_rate), 4);
  number(static_cast<std::uint64_t>(sample_rate) * 2, 4);
  number(2, 2);   // bytes of a frame
  number(16, 2);  // bits
  header += "data";
  number(0xffffffff, 4);
  return header;
}

/// libsndfile writes through these, and OutputFile decides where to. An error is kept, for nothing may be thrown
/// through a library in C.
struct WaveFile::State {
  explicit State(const std::filesystem::path& path) : file(path) {}

  static State& of(void* user) { return *static_cast<State*>(user); }
  static sf_count_t length(void* user) { return static_cast<sf_count_t>(of(user).file.position()); }
  static sf_count_t seek(sf_count_t offset, int whence, void* user) {
    State& s = of(user);
    const sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s.place : length(user);
    return s.place = from + offset;
  }
  static sf_count_t read(void*, sf_count_t, void*) { return 0; }
  static sf_count_t tell(void* user) { return of(user).place; }
  static sf_count_t write(const void* data, sf_count_t count, void* user) {
    State& s = of(user);
    try {
      const std::span<const std::byte> bytes(static_cast<const std::byte*>(data), static_cast<std::size_t>(count));
      const auto within = static_cast<std::size_t>(std::clamp<sf_count_t>(length(user) - s.place, 0, count));
      if (within > 0) s.file.overwrite(static_cast<std::uint64_t>(s.place), bytes.first(within));
      s.file.append(bytes.subspan(within));
    } catch (...) {
      s.error = std::current_exception();
      return 0;
    }
    s.place += count;
    return count;
  }
  /// Throws what went wrong, if anything did.
  void check(bool fine) {
    if (error) std::rethrow_exception(error);
    if (!fine) throw Error(fmt::format("a WAV file cannot be written: {}", sf_strerror(sound)));
  }

  OutputFile file;
  SNDFILE* sound = nullptr;
  sf_count_t place = 0;
  std::exception_ptr error;
};

WaveFile::WaveFile(const std::filesystem::path& path, std::int64_t sample_rate)
    : state_(std::make_unique<State>(path)) {
  SF_VIRTUAL_IO io = {&State::length, &State::seek, &State::read, &State::write, &State::tell};
  SF_INFO info = {};
  info.samplerate = static_cast<int>(sample_rate);
  info.channels = 1;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  state_->sound = sf_open_virtual(&io, SFM_WRITE, &info, state_.get());
  state_->check(state_->sound != nullptr);
}

WaveFile::~WaveFile() {
  if (state_->sound != nullptr) sf_close(state_->sound);
}

void WaveFile::append(std::span<const float> samples) {
  const std::vector<std::int16_t> numbers = to_pcm16(samples);
  const auto count = static_cast<sf_count_t>(numbers.size());
  state_->check(sf_write_short(state_->sound, numbers.data(), count) == count);
}

void WaveFile::commit() {
  const bool closed = sf_close(state_->sound) == 0;
  state_->sound = nullptr;
  state_->check(closed);
  state_->file.commit();
}

void check_wave_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read,
                     std::int64_t samples) {
  std::string extension = output.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* other : {".mp3", ".ogg", ".flac", ".opus", ".aif", ".aiff", ".au", ".png"}) {
    if (extension == other) {
      throw Error(fmt::format("{}: heed writes WAV files; choose a name that ends in .wav", output.string()));
    }
  }
  if (samples > kMostWaveSamples) {
    throw Error(fmt::format("{}: {} samples do not fit a WAV file, which holds {}; write to standard output: -o -",
                            output.string(), samples, kMostWaveSamples));
  }
  check_output_path(output, read);
}

}  // namespace heed
