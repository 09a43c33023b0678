// heed sound: sound, sample by sample.
#include "heed/sound.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>

#include "formats/npy.h"
#include "formats/picture_file.h"
#include "formats/sound_picture.h"
#include "formats/wave_file.h"
#include "heed/error.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

struct SoundArguments {
  std::string model;
  std::string output;
  DeviceArguments device;
  std::string label;
  std::string text;
  bool has_text = false;
  std::string voice;
  std::string condition;
  std::string picture;
  SoundOptions options;
  bool has_seed = false;
};

SoundOptions options_of(const SoundArguments& arguments, const SoundModel& model) {
  SoundOptions options = arguments.options;
  if (!arguments.label.empty()) options.classes = {model.class_named(arguments.label)};
  if (arguments.has_text) options.classes = model.classes_of(arguments.text);
  if (!arguments.voice.empty()) options.voice = model.voice_named(arguments.voice);
  if (!arguments.condition.empty()) {
    const NpyArray array = read_npy(arguments.condition);
    if (model.feature_width() > 0 && (array.shape.size() != 2 || array.shape[1] != model.feature_width())) {
      throw Error(fmt::format("{}: is {}; expected [frames, {}], features of frames", arguments.condition,
                              to_string(array.shape), model.feature_width()));
    }
    options.features = array.floats(arguments.condition);
    if (options.features.empty()) throw Error(fmt::format("{}: holds no frames", arguments.condition));
  }
  if (!arguments.has_seed) options.seed = std::random_device()();
  return options;
}

/// Where samples go: a file that appears when it is whole, or standard output as they come.
class SoundOutput {
 public:
  SoundOutput(const std::string& path, std::int64_t rate) {
    if (path != "-") file_.emplace(path, rate);
    if (path == "-") write_output(endless_wave_header(rate));
  }
  void append(std::span<const float> samples) {
    if (file_) return file_->append(samples);
    std::string bytes;
    for (const std::int16_t number : to_pcm16(samples)) {
      bytes += static_cast<char>(number & 0xff);
      bytes += static_cast<char>(number >> 8 & 0xff);
    }
    write_output(bytes);
  }
  void commit() {
    if (file_) file_->commit();
  }

 private:
  std::optional<WaveFile> file_;
};

void check_outputs(const SoundArguments& arguments, std::int64_t samples) {
  std::vector<std::filesystem::path> read = {arguments.model};
  if (!arguments.condition.empty()) read.push_back(arguments.condition);
  if (arguments.output != "-") check_wave_path(arguments.output, read, samples);
  if (arguments.output == "-" && output_is_terminal()) {
    throw Error("-o -: standard output is a terminal; send the sound to a player or a file: | aplay");
  }
  if (arguments.picture.empty()) return;
  check_png_path(arguments.picture, read);
  std::error_code ignored;
  if (arguments.picture == arguments.output ||
      std::filesystem::equivalent(arguments.picture, arguments.output, ignored)) {
    throw Error(fmt::format("{}: --picture and --output name the same file", arguments.picture));
  }
  if (samples > kMostPictureSamples) {
    throw Error(fmt::format("--picture shows at most {} samples, and these are {}; leave it out, or ask for less",
                            kMostPictureSamples, samples));
  }
}

int run_sound(const SoundArguments& arguments) {
  SoundModel model(open_device(arguments.device, {arguments.model}, "sound"), arguments.model);
  SoundOptions options = options_of(arguments, model);
  const std::int64_t samples = model.length(options);
  check_outputs(arguments, samples);
  const InterruptFlag interrupt;  // before whoever reads standard output knows that there is something
  SoundOutput output(arguments.output, model.sample_rate());
  std::vector<float> kept;  // for the picture
  options.cancelled = [&] { return interrupt.raised(); };
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t made = 0;
  {
    Progress progress("sound");
    options.progress = [&](std::int64_t done, std::int64_t total) {
      progress.update(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
    };
    made = model.make(options, [&](std::span<const float> piece) {
      output.append(piece);
      if (!arguments.picture.empty()) kept.insert(kept.end(), piece.begin(), piece.end());
    });
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const bool interrupted = interrupt.raised();
  if (made == 0) return kExitInterrupted;  // nothing to keep
  output.commit();
  if (!arguments.picture.empty()) write_png(arguments.picture, sound_picture(kept, model.sample_rate()));
  const double seconds = static_cast<double>(made) / static_cast<double>(model.sample_rate());
  write_error(fmt::format("{}: {:.2f} seconds at {} Hz, seed {}, {:.2f} times real time\n",
                          arguments.output == "-" ? "standard output" : arguments.output, seconds, model.sample_rate(),
                          options.seed, seconds / taken.count()));
  return interrupted ? kExitInterrupted : 0;
}

}  // namespace

void add_sound(Program& program) {
  CLI::App* verb = program.app.add_subcommand("sound", "Make sound, sample by sample");
  verb->footer(
      "Without --seconds it is as long as what is said; longer ones say it again. With -o - the sound goes to "
      "standard\n"
      "output as it comes, so that a player can begin. Ctrl-C keeps what is there.\n"
      "Examples:\n"
      "  heed sound digits-voice.heed --class 7 -o seven.wav\n"
      "  heed sound digits-voice.heed --text 'three one four' --voice carl --seed 1 -o pi.wav --picture pi.png\n"
      "  heed sound digits-voice.heed --text 0123456789 --seconds 60 -o - | aplay");
  auto arguments = std::make_shared<SoundArguments>();
  verb->add_option("MODEL", arguments->model, "A .heed file with the task sound")->required();
  verb->add_option("-o,--output", arguments->output,
                   "The WAV file, 16 bits; replaced when it exists; -: standard output")
      ->required()
      ->type_name("FILE");
  CLI::Option* label =
      verb->add_option("--class", arguments->label, "Name or number of what to say")->type_name("NAME|N");
  CLI::Option* text = verb->add_option("--text", arguments->text, "Names of classes, said one after the other")
                          ->excludes(label)
                          ->type_name("TEXT");
  verb->add_option("--voice", arguments->voice, "Name or number of the voice (default: the first)")
      ->type_name("NAME|N");
  verb->add_option("--condition", arguments->condition,
                   "Features of frames, for models that want them: [frames, width]")
      ->type_name("FILE.npy");
  CLI::Option* seconds =
      verb->add_option("--seconds", arguments->options.seconds, "How long the sound is")->type_name("X");
  CLI::Option* temperature = verb->add_option("--temperature", arguments->options.temperature,
                                              "0 takes the likeliest sample each time (default: as the model says)")
                                 ->type_name("X");
  CLI::Option* seed =
      verb->add_option("--seed", arguments->options.seed, "The same seed gives the same bytes (default: another one)")
          ->transform(integers(0, UINT64_MAX))
          ->type_name("N");
  verb->add_option("--picture", arguments->picture, "A picture of the wave, and of its spectrum below")
      ->type_name("FILE.png");
  add_device_option(*verb, arguments->device);
  verb->callback([&program, arguments, seed, seconds, temperature, text] {
    arguments->has_seed = seed->count() > 0;
    arguments->has_text = text->count() > 0;
    if (seconds->count() > 0 && !(arguments->options.seconds > 0.0)) {
      throw CLI::ValidationError("--seconds", "expected a number above 0");
    }
    if (temperature->count() > 0 && !(arguments->options.temperature >= 0.0)) {
      throw CLI::ValidationError("--temperature", "expected 0 or more");
    }
    program.run = [arguments] { return run_sound(*arguments); };
  });
}

}  // namespace heed::tools
