// heed bench of a model that draws a text: whole pictures.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "heed/picture.h"
#include "tools/bench_report.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {

int bench_pictures(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start) {
  const Device device = open_device(arguments.device);
  const Clock::time_point loading = Clock::now();
  TextPictureModel model(device, arguments.model);
  const double load_seconds = seconds_since(loading);
  // Any token serves as a caption: with one there is guidance, and the work is the same for all.
  const std::vector<std::int32_t> caption = {0};
  TextDrawOptions options;
  const auto seconds = [&] {
    const Clock::time_point begin = Clock::now();
    model.draw(caption, 1, options);
    ++options.seed;
    return seconds_since(begin);
  };
  seconds();  // once without the clock: plans are made and recorded
  const double startup_seconds = seconds_since(start);
  std::vector<double> times;
  for (int i = 0; i < arguments.repeats; ++i) times.push_back(seconds());
  const double middle = median(times);
  const std::int64_t codes = model.code_rows() * model.code_columns();
  const std::uint64_t bytes = model.bytes_per_step();
  const std::size_t dispatches = model.dispatches_per_step();
  BenchReport report(arguments, file, device, load_seconds, startup_seconds);
  if (report.wrote_json({{"seconds_per_picture", middle},
                         {"codes", codes},
                         {"width", model.width()},
                         {"height", model.height()},
                         {"bytes_per_step", bytes},
                         {"dispatches_per_step", dispatches}}))
    return 0;
  report.line("a picture",
              fmt::format("{:.1f} ms ({}x{} of {} codes)", middle * 1e3, model.width(), model.height(), codes));
  report.line("read a step", format_bytes(bytes));
  report.line("dispatches a step", std::to_string(dispatches));
  report.line_of_loading();
  report.line_of_memory();
  std::string profile;
  if (arguments.profile) profile += profile_table(model.profile(), "a step");
  report.write(profile);
  return 0;
}

}  // namespace heed::tools
