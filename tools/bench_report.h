#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "heed/device.h"
#include "tools/bench.h"

namespace heed::tools {

/// What heed bench says of a model: JSON, or a heading and a line for each figure.
class BenchReport {
 public:
  /// Takes the peak of memory as it is now.
  BenchReport(const BenchArguments& arguments, const ModelFile& file, const Device& device, double load_seconds,
              double startup_seconds);

  /// Where --json asks for it, writes the figures, with those that every model has, and gives true.
  bool wrote_json(nlohmann::json figures) const;
  void line(const char* what, const std::string& value);
  void line_of_loading();
  void line_of_memory();
  /// Writes the lines, and what comes behind them.
  void write(const std::string& behind = {}) const;

 private:
  const BenchArguments& arguments_;
  DeviceInfo device_;
  std::string type_;
  double load_seconds_;
  double startup_seconds_;
  std::uint64_t memory_;
  std::string text_;
};

}  // namespace heed::tools
