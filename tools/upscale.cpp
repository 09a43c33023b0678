// heed upscale: a picture from a picture, larger or in another style, as the model has learnt it.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <optional>

#include "formats/picture_alpha.h"
#include "formats/picture_file.h"
#include "heed/error.h"
#include "heed/picture.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

struct UpscaleArguments {
  std::string input;
  std::string output;
  std::string model;
  DeviceArguments device;
  std::string input_range;
  std::string output_range;
  TransformOptions options;
};

/// "LOW,HIGH" as two numbers; nothing for no text. Throws Error naming the option.
std::optional<std::pair<double, double>> range_of(const char* option, const std::string& text) {
  if (text.empty()) return std::nullopt;
  std::pair<double, double> range;
  const char* const end = text.data() + text.size();
  const auto low = std::from_chars(text.data(), end, range.first);
  const bool comma = low.ec == std::errc() && low.ptr != end && *low.ptr == ',';
  const auto high = comma ? std::from_chars(low.ptr + 1, end, range.second) : low;
  if (!comma || high.ec != std::errc() || high.ptr != end || !std::isfinite(range.first) ||
      !std::isfinite(range.second) || !(range.first < range.second)) {
    throw Error(fmt::format("{} '{}': expected the values of black and of full, such as 0,255", option, text));
  }
  return range;
}

int run_upscale(const UpscaleArguments& arguments) {
  const PictureRanges ranges = {range_of("--input-range", arguments.input_range),
                                range_of("--output-range", arguments.output_range)};
  check_png_path(arguments.output, {arguments.input, arguments.model});
  PictureFile file = read_picture(arguments.input);
  if (file.alpha) bleed_colours(file.colours, *file.alpha);
  const Picture& picture = file.colours;
  PictureModel::check_transforms(arguments.model);
  PictureModel model(open_device(arguments.device), arguments.model, ranges);
  if (!model.assumed().empty()) {
    write_error(fmt::format("note: {}; --input-range and --output-range say it\n", model.assumed()));
  }
  Picture made;
  {
    const InterruptFlag interrupt;
    Progress progress("working");
    TransformOptions options = arguments.options;
    options.progress = [&](std::int64_t done, std::int64_t total) {
      if (interrupt.raised()) throw Interrupted();
      progress.update(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
    };
    options.sized = [&](std::int64_t width, std::int64_t height, std::int64_t channels) {
      check_png_size(arguments.output, width, height, channels + (file.alpha ? 1 : 0));
    };
    made = model.transform(picture, options);
  }
  if (file.alpha) file.alpha = resampled(*file.alpha, made.width, made.height);
  write_png(arguments.output, made, file.alpha);
  if (file.bits > 8) {
    write_error(fmt::format("{}: has {} bits a channel, of which the model was given all; {} has 8\n", arguments.input,
                            file.bits, arguments.output));
  }
  if (made.channels < picture.channels) {
    write_error(fmt::format("note: {} has colours, but the model makes grey pictures: {} is grey\n", arguments.input,
                            arguments.output));
  }
  write_error(
      fmt::format("{}: {}x{} from {}x{}\n", arguments.output, made.width, made.height, picture.width, picture.height));
  return 0;
}

}  // namespace

void add_upscale(Program& program) {
  CLI::App* verb = program.app.add_subcommand("upscale", "Make a picture of a picture: larger, or in another style");
  verb->footer(
      "Pictures too large for the device are worked on in overlapping parts, which are blended. Photographs are "
      "turned\n"
      "as their Exif data say. Models see colours alone: transparency is kept, enlarged by cubic interpolation.\n"
      "Example:\n  heed upscale photo.png --model rfdn.heed -o large.png");
  auto arguments = std::make_shared<UpscaleArguments>();
  verb->add_option("INPUT", arguments->input, "A PNG or JPEG file")->required();
  verb->add_option("-o,--output", arguments->output, "The PNG file; replaced when it exists")
      ->required()
      ->type_name("FILE");
  verb->add_option("--model", arguments->model, "A .heed file that makes one picture of one")
      ->required()
      ->type_name("MODEL");
  verb->add_option("--tile", arguments->options.tile,
                   "Side of the parts in pixels of the input (default: as large as fits)")
      ->transform(integers(1, 16384))
      ->type_name("N");
  verb->add_option("--overlap", arguments->options.overlap,
                   "Pixels by which parts overlap on each side; of a model of one size at most a quarter of it")
      ->capture_default_str()
      ->transform(integers(0, 4096))
      ->type_name("N");
  verb->add_option("--input-range", arguments->input_range,
                   "Values of black and of full that the model takes (default: as its file says, or as a trial finds)")
      ->type_name("LOW,HIGH");
  verb->add_option("--output-range", arguments->output_range, "The same of what it makes")->type_name("LOW,HIGH");
  add_device_option(*verb, arguments->device);
  verb->callback([&program, arguments] { program.run = [arguments] { return run_upscale(*arguments); }; });
}

}  // namespace heed::tools
