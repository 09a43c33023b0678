#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace heed::tools {

/// A line on standard error that counts up to 100 % in place, and goes away in the end. Nothing is shown when standard
/// error is no terminal.
class Progress {
 public:
  explicit Progress(std::string label);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// May be called as often as one likes.
  void update(std::uint64_t done, std::uint64_t total);
  /// Takes the line away, before something else is written; the next update() brings it back.
  void hide();

 private:
  std::string label_;
  bool shown_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace heed::tools
