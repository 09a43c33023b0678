#include "tools/bench_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/output.h"

namespace heed::tools {

BenchReport::BenchReport(const BenchArguments& arguments, const ModelFile& file, const Device& device,
                         double load_seconds, double startup_seconds)
    : arguments_(arguments),
      device_(device.info()),
      type_(main_type(file)),
      load_seconds_(load_seconds),
      startup_seconds_(startup_seconds),
      memory_(peak_memory()),
      text_(fmt::format("{}, {}, {}\n", arguments.model, type_, device_.name)) {}

bool BenchReport::wrote_json(nlohmann::json figures) const {
  if (!arguments_.json) return false;
  figures.update({{"repeats", arguments_.repeats},
                  {"load_seconds", load_seconds_},
                  {"startup_seconds", startup_seconds_},
                  {"peak_memory_bytes", memory_},
                  {"device", device_.name},
                  {"driver", device_.driver},
                  {"model", arguments_.model},
                  {"type", type_}});
  write_output(json_text(figures, 2) + "\n");
  return true;
}

void BenchReport::line(const char* what, const std::string& value) { text_ += fmt::format("{:<24}{}\n", what, value); }

void BenchReport::line_of_loading() { line("loading", fmt::format("{:.3f} s", load_seconds_)); }

void BenchReport::line_of_memory() { line("peak memory", format_bytes(memory_)); }

void BenchReport::write(const std::string& behind) const { write_output(text_ + behind); }

}  // namespace heed::tools
