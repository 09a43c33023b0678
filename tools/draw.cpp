// heed draw: pictures from noise, or of a text.
#include "tools/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <random>

#include "formats/heat_map.h"
#include "formats/picture_file.h"
#include "heed/error.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

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

int run_draw(const DrawArguments& arguments) {
  std::vector<std::filesystem::path> read = {arguments.model};
  if (!arguments.complete.empty()) read.emplace_back(arguments.complete);
  check_png_path(arguments.output, read);
  if (TextPictureModel::is_one(arguments.model)) return draw_text(arguments);
  PictureModel::check_draws(arguments.model);
  if (arguments.of_text != nullptr) {
    throw Error(fmt::format("{}: {} is for models that draw a text, and this one draws noise; leave it out",
                            arguments.model, arguments.of_text->get_name()));
  }
  PictureModel model(open_device(arguments.device), arguments.model);
  DrawOptions options = arguments.options;
  options.maps = !arguments.maps.empty();
  model.check(options);
  const std::int64_t label = arguments.label.empty() ? -1 : model.class_named(arguments.label);
  if (options.maps) make_maps_folder(arguments.maps);
  const std::uint64_t seed = arguments.chosen_seed();
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
  if (options.maps) write_maps(model.attention_maps(), pictures, arguments.maps);
  const std::string seeds = walks ? fmt::format("seeds {} to {}", arguments.interpolate[0], arguments.interpolate[1])
                                  : fmt::format("seed {}", seed);
  write_error(fmt::format("{}: {} picture{} of {}x{}, {}\n", arguments.output, count, count == 1 ? "" : "s",
                          pictures[0].width, pictures[0].height, seeds));
  return 0;
}

}  // namespace

std::uint64_t DrawArguments::chosen_seed() const { return has_seed ? seed : std::random_device()(); }

std::string numbered(const std::string& output, std::size_t i, std::size_t count) {
  if (count == 1) return output;
  const std::filesystem::path path(output);
  return (path.parent_path() / fmt::format("{}-{}{}", path.stem().string(), i + 1, path.extension().string())).string();
}

void make_maps_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(fmt::format("{}: cannot make the folder: {}", folder, error.message()));
}

void write_maps(const std::vector<std::vector<AttentionMap>>& maps, const std::vector<Picture>& pictures,
                const std::string& folder) {
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

void add_draw(Program& program) {
  CLI::App* verb = program.app.add_subcommand("draw", "Draw pictures from noise, or of a text");
  verb->footer(
      "Without --class each picture is of the next class. Several pictures are numbered: out-1.png, out-2.png.\n"
      "A model that draws a text draws anything without CAPTION.\n"
      "Examples:\n"
      "  heed draw digits.heed -o seven.png --class 7 --seed 1\n"
      "  heed draw digits.heed -o grid.png --count 100 --grid\n"
      "  heed draw digits.heed -o walk.png --class 3 --interpolate 1 2 8\n"
      "  heed draw fashion.heed -o bag.png --class Bag --maps maps\n"
      "  heed draw fashion-tokens.heed \"a dark coat\" -o coats.png --count 9 --grid\n"
      "  heed draw fashion-tokens.heed \"a light coat\" -o other.png --complete coat.png");
  auto arguments = std::make_shared<DrawArguments>();
  DrawOptions& options = arguments->options;
  verb->add_option("MODEL", arguments->model, "A .heed file with the task draw or text-to-image")->required();
  CLI::Option* caption = verb->add_option("CAPTION", arguments->caption, "What to draw, of models that draw a text");
  verb->add_option("-o,--output", arguments->output, "The PNG file; replaced when it exists")
      ->required()
      ->type_name("FILE");
  CLI::Option* seed = verb->add_option("--seed", arguments->seed, "Of the noise (default: another one each time)")
                          ->transform(integers(0, UINT64_MAX))
                          ->type_name("N");
  CLI::Option* label =
      verb->add_option("--class", arguments->label, "Name or number of the class to draw")->type_name("NAME|N");
  CLI::Option* count = verb->add_option("--count", arguments->count, "How many pictures")
                           ->capture_default_str()
                           ->transform(integers(1, 4096))
                           ->type_name("N");
  verb->add_flag("--grid", arguments->grid, "All pictures in one");
  CLI::Option* interpolate = verb->add_option("--interpolate", arguments->interpolate,
                                              "A row of STEPS pictures from the noise of seed A to that of seed B")
                                 ->expected(3)
                                 ->excludes(seed, count)
                                 ->type_name("A B STEPS");
  CLI::Option* truncation =
      verb->add_option("--truncation", options.truncation, "Factor of the noise: below 1 pictures are more alike")
          ->capture_default_str()
          ->check(CLI::Range(0.0, 10.0))
          ->type_name("X");
  CLI::Option* steps =
      verb->add_option("--steps", options.steps, "Of models that draw in steps (default: as the model says)")
          ->transform(integers(1, 10000))
          ->type_name("N");
  verb->add_option("--guidance", options.guidance,
                   "How far to follow the class or the caption, 1 is plainly (default: as the model says)")
      ->check(CLI::Range(0.0, 1000.0))
      ->type_name("X");
  verb->add_option("--maps", arguments->maps,
                   "The folder for attention maps: what layers weighed, as heat over the picture, NAME.png each")
      ->type_name("DIR");
  TextDrawOptions& text = arguments->text;
  CLI::Option* temperature =
      verb->add_option("--temperature", text.temperature,
                       "Of a text: 0 takes the most probable code, always (default of these three: as the model says)")
          ->check(CLI::Range(0.0, 1000.0))
          ->type_name("T");
  CLI::Option* top_k = verb->add_option("--top-k", text.top_k, "Of a text: only the K most probable codes; 0 for all")
                           ->check(CLI::Range(0, 1 << 30))
                           ->type_name("K");
  CLI::Option* top_p =
      verb->add_option("--top-p", text.top_p, "Of a text: only the most probable codes that sum to P; 1 for all")
          ->check(CLI::Range(0.0, 1.0))
          ->type_name("P");
  CLI::Option* complete = verb->add_option("--complete", arguments->complete,
                                           "Of a text: a picture whose upper half is given, the rest is drawn")
                              ->type_name("IN.png");
  CLI::Option* tokens = verb->add_option("--tokens", arguments->tokens, "Token ids in place of CAPTION: 1,15,27")
                            ->type_name("IDS")
                            ->excludes(caption);
  add_device_option(*verb, arguments->device);
  const std::vector<const CLI::Option*> of_noise = {label, interpolate, truncation, steps};
  const std::vector<const CLI::Option*> of_text = {caption, tokens, temperature, top_k, top_p, complete};
  verb->callback([&program, arguments, seed, tokens, of_noise, of_text] {
    arguments->has_seed = seed->count() > 0;
    arguments->has_tokens = tokens->count() > 0;
    const auto first_given = [](const std::vector<const CLI::Option*>& among) {
      const auto given = std::ranges::find_if(among, [](const CLI::Option* option) { return option->count() > 0; });
      return given == among.end() ? nullptr : *given;
    };
    arguments->of_noise = first_given(of_noise);
    arguments->of_text = first_given(of_text);
    if (!arguments->interpolate.empty() && (arguments->interpolate[2] < 1 || arguments->interpolate[2] > 4096)) {
      throw CLI::ValidationError("--interpolate", "STEPS must be 1 to 4096");
    }
    program.run = [arguments] { return run_draw(*arguments); };
  });
}

}  // namespace heed::tools
