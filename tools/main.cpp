// The `heed` program: finds the verb, and turns whatever goes wrong into one line and an exit code.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <new>

#include "file/model_file.h"
#include "generate/metadata.h"
#include "heed/error.h"
#include "runtime/cache_folder.h"
#include "runtime/crash_mark.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {

CLI::Validator integers(std::uint64_t min, std::uint64_t max) {
  return CLI::Validator(
      [min, max](std::string& text) -> std::string {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool whole = !text.empty() && end == text.data() + text.size();
        if (whole && (error == std::errc::result_out_of_range || (error == std::errc() && value > max))) {
          return fmt::format("{} is too large, expected at most {}", text, max);
        }
        if (!whole || error != std::errc() || value < min) {
          return max == INT64_MAX || max == UINT64_MAX
                     ? fmt::format("'{}' is not an integer of {} or more", text, min)
                     : fmt::format("'{}' is not an integer from {} to {}", text, min, max);
        }
        text = std::to_string(value);  // CLI11 would take "010" for 8
        return {};
      },
      "");
}

void let_last_count(CLI::App& verb, const std::vector<const CLI::Option*>& repeatable) {
  for (CLI::Option* option : verb.get_options()) {
    const bool adds_up = std::ranges::find(repeatable, option) != repeatable.end();
    if (option->nonpositional() && !adds_up) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

CLI::Option* add_cache_option(CLI::App& verb, CacheType& cache) {
  const auto set = [&cache](const std::string& name) {
    for (const CacheType type : {CacheType::Auto, CacheType::F32, CacheType::F16}) {
      if (name == cache_type_name(type)) cache = type;
    }
  };
  return verb
      .add_option_function<std::string>(
          "--cache", set,
          "Keep keys and values of what was read as f16, in half the memory, or as f32 (default: auto, f32 on CPU "
          "drivers and f16 on other devices)")
      ->transform(CLI::IsMember({"auto", "f32", "f16"}))
      ->type_name("TYPE");
}

void note_cache(CacheType wanted, CacheType used) {
  if (wanted != CacheType::F16 || used == CacheType::F16) return;
  write_error(
      "note: keys and values are kept as f32: f16 is for caches of attention whose heads are a multiple of four "
      "elements wide\n");
}

void add_device_option(CLI::App& verb, DeviceArguments& device) {
  verb.add_option("--device", device.name,
                  "Index, part of the name, or UUID, as 'heed devices' lists them (default: the best)")
      ->check([](const std::string& name) { return std::string(name.empty() ? "the name is empty" : ""); })
      ->type_name("DEVICE");
  verb.add_flag("--half-products", device.options.half_products,
                "Where the device has units for matrices, multiply in half precision: prompts, convolutions and large "
                "products take half the work or less, and numbers are rounded to 11 bits");
}

Device open_device(const DeviceArguments& device, const std::vector<std::string>& models, std::string_view task) {
  for (const std::string& model : models) {
    const ModelFile file = ModelFile::open(model);
    if (!task.empty()) check_task(file, task);
  }
  DeviceOptions options = device.options;
  options.before_measuring = [](std::string_view name) {
    write_error(fmt::format("measuring which kernels are fastest on {}, which takes a moment\n", name));
  };
  Device opened(device.name, options);
  if (opened.is_cpu()) {
    write_error(
        fmt::format("{} is a CPU driver: everything runs on the processor, no GPU is used\n", opened.info().name));
  }
  for (const std::string& note : opened.notes()) write_error("note: " + note + "\n");
  if (const std::string problem = cache_folder_problem(); !problem.empty()) {
    write_error(
        fmt::format("HEED_CACHE_DIR cannot be written ({}): what is measured and compiled is not kept\n", problem));
  }
  return opened;
}

namespace {

int fail(std::string message) {
  // Names from files and drivers may hold anything; the promise is one line.
  std::replace_if(
      message.begin(), message.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  write_error("heed: " + message + "\n");
  return kExitError;
}

std::string usage_problem(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const std::vector<CLI::App*> verbs = app.get_subcommands();
  if (!verbs.empty()) {
    return fmt::format("{}: {}; see 'heed {} --help'", verbs.back()->get_name(), error.what(),
                       verbs.back()->get_name());
  }
  std::string known;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); })) {
    known += (known.empty() ? "" : ", ") + verb->get_name();
  }
  if (argc < 2) return fmt::format("no verb given, expected one of {}; see 'heed --help'", known);
  if (argv[1][0] == '-') return fmt::format("{} is no option that comes before the verb; see 'heed --help'", argv[1]);
  return fmt::format("no verb '{}', expected one of {}; see 'heed --help'", argv[1], known);
}

int run_program(int argc, char** argv) {
  Program program;
  program.start = std::chrono::steady_clock::now();
  program.app.description("heed runs attention-based generative models on any Vulkan device.");
  program.app.name("heed");
  program.app.footer(
      "'heed VERB --help' says more about a verb, with an example.\n"
      "What is measured and compiled for a device is kept in the folder that the environment variable HEED_CACHE_DIR\n"
      "names, else in heed of $XDG_CACHE_HOME, else in ~/.cache/heed. Exit codes: 0 when all went well, 1 for "
      "whatever\n"
      "went wrong, 130 after Ctrl-C, 141 when nobody reads standard output any more.");
  program.app.require_subcommand(1);
  program.app.set_version_flag("--version", fmt::format("heed {}", kVersion));
  add_devices(program);
  add_convert(program);
  add_inspect(program);
  add_generate(program);
  add_chat(program);
  add_serve(program);
  add_translate(program);
  add_run(program);
  add_conform(program);
  add_verify(program);
  add_draw(program);
  add_sound(program);
  add_upscale(program);
  add_bench(program);
  add_documents(program);

  try {
    program.app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    write_output(program.app.help());
    return 0;
  } catch (const CLI::CallForVersion& version) {
    write_output(std::string(version.what()) + "\n");
    return 0;
  } catch (const CLI::ParseError& error) {
    return fail(usage_problem(program.app, error, argc, argv));
  }
  return program.run();
}

}  // namespace
}  // namespace heed::tools

namespace {

/// Ends the program as the signal does, but lays no blame on the kernels that are just being tried.
void stop(int signal) {
  heed::take_back_marks();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace heed::tools;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, stop) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
  // A reader that has gone is noticed where the write fails, so that caches are still kept on the way out.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file larger than the user's limit is an error like a full disk
  try {
    return run_program(argc, argv);
  } catch (const BrokenPipe&) {
    return kExitBrokenPipe;
  } catch (const Interrupted&) {
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}
