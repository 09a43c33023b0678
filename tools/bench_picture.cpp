// heed bench of a model that draws a text: whole pictures.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "heed/picture.h"
#include "tools/bench.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {

int bench_pictures(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start) {
  if (arguments.cache != CacheType::Auto) throw Error("--cache is for text and translation models");
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
  if (arguments.json) {
    write_output(json_text({{"seconds_per_picture", middle},
                            {"codes", codes},
                            {"width", model.width()},
                            {"height", model.height()},
                            {"repeats", arguments.repeats},
                            {"bytes_per_step", bytes},
                            {"dispatches_per_step", dispatches},
                            {"load_seconds", load_seconds},
                            {"startup_seconds", startup_seconds},
                            {"peak_memory_bytes", peak_memory()},
                            {"device", device.info().name},
                            {"driver", device.info().driver},
                            {"model", arguments.model},
                            {"type", main_type(file)}},
                           2) +
                 "\n");
    return 0;
  }
  std::string text = fmt::format("{}, {}, {}\n", arguments.model, main_type(file), device.info().name);
  const auto line = [&](const char* what, const std::string& value) { text += fmt::format("{:<24}{}\n", what, value); };
  line("a picture", fmt::format("{:.1f} ms ({}x{} of {} codes)", middle * 1e3, model.width(), model.height(), codes));
  line("read a step", format_bytes(bytes));
  line("dispatches a step", std::to_string(dispatches));
  line("loading", fmt::format("{:.3f} s", load_seconds));
  line("peak memory", format_bytes(peak_memory()));
  if (arguments.profile) text += profile_table(model.profile(), "a step");
  write_output(text);
  return 0;
}

}  // namespace heed::tools
