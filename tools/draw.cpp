// heed draw: pictures from noise.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <random>

#include "formats/heat_map.h"
#include "formats/picture_file.h"
#include "heed/error.h"
#include "heed/picture.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

struct DrawArguments {
  std::string model;
  std::string output;
  std::string device;
  std::string label;
  DrawOptions options;
  std::uint64_t seed = 0;
  bool has_seed = false;
  std::uint64_t count = 1;
  bool grid = false;
  std::vector<std::uint64_t> interpolate;  // two seeds and how many steps
  std::string maps;                        // the folder for attention maps; empty for none
};

/// From one noise to another along the sphere on which such noise lies (Shoemake 1985).
std::vector<float> between(const std::vector<float>& a, const std::vector<float>& b, double t) {
  double dot = 0.0;
  double length_a = 0.0;
  double length_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    length_a += static_cast<double>(a[i]) * a[i];
    length_b += static_cast<double>(b[i]) * b[i];
  }
  const double angle = std::acos(std::clamp(dot / std::sqrt(length_a * length_b), -1.0, 1.0));
  const bool straight = angle < 1e-4;
  const double from = straight ? 1.0 - t : std::sin((1.0 - t) * angle) / std::sin(angle);
  const double to = straight ? t : std::sin(t * angle) / std::sin(angle);
  std::vector<float> mixed(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) mixed[i] = static_cast<float>(from * a[i] + to * b[i]);
  return mixed;
}

/// "out.png" for one picture, "out-3.png" for the third of several.
std::string numbered(const std::string& output, std::size_t i, std::size_t count) {
  if (count == 1) return output;
  const std::filesystem::path path(output);
  return (path.parent_path() / fmt::format("{}-{}{}", path.stem().string(), i + 1, path.extension().string())).string();
}

/// Writes the attention maps of every picture to FOLDER/NAME.png.
void write_maps(const PictureModel& model, const std::vector<Picture>& pictures, const std::string& folder) {
  const std::vector<std::vector<AttentionMap>>& maps = model.attention_maps();
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    for (const AttentionMap& map : maps[i]) {
      std::string name = map.name + ".png";
      std::replace(name.begin(), name.end(), '/', '_');
      const std::string file = numbered((std::filesystem::path(folder) / name).string(), i, pictures.size());
      write_png(file, heat_map(pictures[i], map));
      const auto [least, most] = std::ranges::minmax(map.values);
      write_error(fmt::format("{}: {}x{}, {:.3g} to {:.3g}\n", file, map.width, map.height, least, most));
    }
  }
}

int run_draw(const DrawArguments& arguments) {
  check_png_path(arguments.output, {arguments.model});
  PictureModel model(open_device(arguments.device), arguments.model);
  DrawOptions options = arguments.options;
  options.maps = !arguments.maps.empty();
  model.check(options);
  const std::int64_t label = arguments.label.empty() ? -1 : model.class_named(arguments.label);
  if (!arguments.maps.empty()) {
    std::error_code error;
    std::filesystem::create_directories(arguments.maps, error);
    if (error) throw Error(fmt::format("{}: cannot make the folder: {}", arguments.maps, error.message()));
  }
  const std::uint64_t seed = arguments.has_seed ? arguments.seed : std::random_device()();
  const bool walks = !arguments.interpolate.empty();
  const std::size_t count = walks ? arguments.interpolate[2] : arguments.count;
  std::vector<std::vector<float>> noises;
  std::vector<std::int64_t> labels;
  const auto classes = static_cast<std::int64_t>(model.classes().size());
  for (std::size_t i = 0; i < count; ++i) {
    if (walks) {
      const double t = count == 1 ? 0.0 : static_cast<double>(i) / static_cast<double>(count - 1);
      noises.push_back(between(model.noise(arguments.interpolate[0], 0), model.noise(arguments.interpolate[1], 0), t));
    } else {
      noises.push_back(model.noise(seed, i));
    }
    const bool each_next = label < 0 && classes > 0;
    labels.push_back(each_next ? (walks ? 0 : static_cast<std::int64_t>(i) % classes) : label);
  }
  std::vector<Picture> pictures;
  {
    const InterruptFlag interrupt;
    Progress progress("drawing");
    options.progress = [&](std::int64_t done, std::int64_t total) {
      if (interrupt.raised()) throw Interrupted();
      progress.update(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
    };
    pictures = model.draw(noises, labels, options);
  }
  if (arguments.grid || walks) {
    const auto columns =
        static_cast<std::size_t>(walks ? static_cast<double>(count) : std::ceil(std::sqrt(static_cast<double>(count))));
    const bool rows_of_classes = !walks && label < 0 && classes > 0 && count % static_cast<std::size_t>(classes) == 0;
    write_png(arguments.output, grid_of(pictures, rows_of_classes ? static_cast<std::size_t>(classes) : columns));
  } else {
    for (std::size_t i = 0; i < pictures.size(); ++i) write_png(numbered(arguments.output, i, count), pictures[i]);
  }
  if (!arguments.maps.empty()) write_maps(model, pictures, arguments.maps);
  const std::string seeds = walks ? fmt::format("seeds {} to {}", arguments.interpolate[0], arguments.interpolate[1])
                                  : fmt::format("seed {}", seed);
  write_error(fmt::format("{}: {} picture{} of {}x{}, {}\n", arguments.output, count, count == 1 ? "" : "s",
                          pictures[0].width, pictures[0].height, seeds));
  return 0;
}

}  // namespace

void add_draw(Program& program) {
  CLI::App* verb = program.app.add_subcommand("draw", "Draw pictures from noise");
  verb->footer(
      "Without --class each picture is of the next class. Several pictures are numbered: out-1.png, out-2.png.\n"
      "Examples:\n"
      "  heed draw digits.heed -o seven.png --class 7 --seed 1\n"
      "  heed draw digits.heed -o grid.png --count 100 --grid\n"
      "  heed draw digits.heed -o walk.png --class 3 --interpolate 1 2 8\n"
      "  heed draw fashion.heed -o bag.png --class Bag --maps maps");
  auto arguments = std::make_shared<DrawArguments>();
  DrawOptions& options = arguments->options;
  verb->add_option("MODEL", arguments->model, "A .heed file with the task draw")->required();
  verb->add_option("-o,--output", arguments->output, "The PNG file; replaced when it exists")
      ->required()
      ->type_name("FILE");
  CLI::Option* seed = verb->add_option("--seed", arguments->seed, "Of the noise (default: another one each time)")
                          ->transform(integers(0, UINT64_MAX))
                          ->type_name("N");
  verb->add_option("--class", arguments->label, "Name or number of the class to draw")->type_name("NAME|N");
  CLI::Option* count = verb->add_option("--count", arguments->count, "How many pictures")
                           ->capture_default_str()
                           ->transform(integers(1, 4096))
                           ->type_name("N");
  verb->add_flag("--grid", arguments->grid, "All pictures in one");
  verb->add_option("--interpolate", arguments->interpolate,
                   "A row of STEPS pictures from the noise of seed A to that of seed B")
      ->expected(3)
      ->excludes(seed, count)
      ->type_name("A B STEPS");
  verb->add_option("--truncation", options.truncation, "Factor of the noise: below 1 pictures are more alike")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10.0))
      ->type_name("X");
  verb->add_option("--steps", options.steps, "Of models that draw in steps (default: as the model says)")
      ->transform(integers(1, 10000))
      ->type_name("N");
  verb->add_option("--guidance", options.guidance,
                   "How far to follow the class, 1 is plainly (default: as the model says)")
      ->check(CLI::Range(0.0, 1000.0))
      ->type_name("X");
  verb->add_option("--maps", arguments->maps,
                   "The folder for attention maps: what layers weighed, as heat over the picture, NAME.png each")
      ->type_name("DIR");
  add_device_option(*verb, arguments->device);
  verb->callback([&program, arguments, seed] {
    arguments->has_seed = seed->count() > 0;
    if (!arguments->interpolate.empty() && (arguments->interpolate[2] < 1 || arguments->interpolate[2] > 4096)) {
      throw CLI::ValidationError("--interpolate", "STEPS must be 1 to 4096");
    }
    program.run = [arguments] { return run_draw(*arguments); };
  });
}

}  // namespace heed::tools
