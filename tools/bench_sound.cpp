// heed bench of a sound model.
#include <fmt/format.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "heed/sound.h"
#include "tools/bench_report.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

constexpr std::int64_t kRuns = 8;  // of the graph, in a measurement

/// Of all threads of the process: on a busy machine, what the clock says is not what the work takes.
double processor_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int bench_sound(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start) {
  const Device device = open_device(arguments.device);
  const Clock::time_point loading = Clock::now();
  SoundModel model(device, arguments.model);
  const double load_seconds = seconds_since(loading);
  const std::int64_t samples = kRuns * model.samples_per_run();
  const auto rate = static_cast<double>(model.sample_rate());
  SoundOptions options;
  options.seconds = static_cast<double>(samples) / rate;
  if (!model.classes().empty()) options.classes = {0};
  options.features.assign(static_cast<std::size_t>(model.feature_width()), 0.5f);  // of one frame, again and again
  const auto make = [&] { model.make(options, [](std::span<const float>) {}); };
  make();  // once without the clock: the plan is recorded
  const double startup_seconds = seconds_since(start);
  std::vector<double> times;
  std::vector<double> processor;
  for (int i = 0; i < arguments.repeats; ++i) {
    ++options.seed;
    const double before = processor_seconds();
    const Clock::time_point begin = Clock::now();
    make();
    times.push_back(seconds_since(begin) / static_cast<double>(samples));
    processor.push_back((processor_seconds() - before) / static_cast<double>(samples));
  }
  const double seconds = median(times);
  const double processor_time = median(processor);
  const std::uint64_t flops = model.flops_per_run() / static_cast<std::uint64_t>(model.samples_per_run());
  BenchReport report(arguments, file, device, load_seconds, startup_seconds);
  if (report.wrote_json({{"sample_rate", model.sample_rate()},
                         {"real_time_factor", 1.0 / (seconds * rate)},
                         {"samples_per_second", 1.0 / seconds},
                         {"seconds_per_sample", seconds},
                         {"processor_seconds_per_sample", processor_time},
                         {"flops_per_sample", flops},
                         {"samples_per_run", model.samples_per_run()},
                         {"dispatches_per_run", model.dispatches_per_run()}}))
    return 0;
  report.line("speed", fmt::format("{:.2f} times real time, {:.0f} samples/s", 1.0 / (seconds * rate), 1.0 / seconds));
  report.line("a sample",
              fmt::format("{:.1f} microseconds, {:.1f} of processor time", seconds * 1e6, processor_time * 1e6));
  report.line("work", fmt::format("{:.3f} MFLOP a sample, {:.1f} GFLOP/s", static_cast<double>(flops) * 1e-6,
                                  static_cast<double>(flops) * 1e-9 / seconds));
  report.line("a submission",
              fmt::format("{} samples, {} dispatches", model.samples_per_run(), model.dispatches_per_run()));
  report.line_of_loading();
  report.line("start to first sound", fmt::format("{:.3f} s", startup_seconds));
  report.line_of_memory();
  report.write();
  return 0;
}

}  // namespace heed::tools
