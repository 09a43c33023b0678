#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "heed/cache_type.h"
#include "heed/device.h"
#include "tools/device_arguments.h"
#include "tools/version.h"

namespace heed::tools {

/// Exit codes besides 0: everything that went wrong is 1. The others are what a shell reports for a program that the
/// signal ended, so scripts see the same whether heed ended in its own time or at once.
inline constexpr int kExitError = 1;
inline constexpr int kExitInterrupted = 130;  // Ctrl-C
inline constexpr int kExitDeviceLost = 75;    // of a server that should be started afresh: EX_TEMPFAIL of sysexits.h
inline constexpr int kExitBrokenPipe = 141;   // whoever read standard output has gone

/// The command line, and what is to be done once it is parsed.
struct Program {
  CLI::App app;
  std::chrono::steady_clock::time_point start;  // of the process, near enough
  std::function<int()> run;                     // set by the verb that was asked for; gives the exit code
};

/// Each adds one verb, its options and its example. The verb runs after parsing, and throws heed::Error.
void add_devices(Program& program);
void add_convert(Program& program);
void add_inspect(Program& program);
void add_generate(Program& program);
void add_chat(Program& program);
void add_serve(Program& program);
void add_translate(Program& program);
void add_run(Program& program);
void add_conform(Program& program);
void add_verify(Program& program);
void add_draw(Program& program);
void add_sound(Program& program);
void add_upscale(Program& program);
void add_bench(Program& program);
void add_documents(Program& program);

/// For transform() of an option: an integer of `min` to `max`, in decimal and as large as it is written. CLI11's own
/// check compares as floating point, and what does not fit 64 bits becomes the largest that does.
CLI::Validator integers(std::uint64_t min, std::uint64_t max = INT64_MAX);

/// Of an option of a verb that is given twice the last counts, so that scripts can have defaults (tools/demo.sh); those
/// of `repeatable` add up. Call it when the verb has all its options.
void let_last_count(CLI::App& verb, const std::vector<const CLI::Option*>& repeatable);

/// Adds --cache to a verb.
CLI::Option* add_cache_option(CLI::App& verb, CacheType& cache);
/// Says on standard error where a model cannot keep what --cache asked for.
void note_cache(CacheType wanted, CacheType used);

/// Adds --device and --half-products to a verb.
void add_device_option(CLI::App& verb, DeviceArguments& device);
/// Opens what --device asked for. Says on standard error when it is a CPU driver, and when HEED_CACHE_DIR is no folder
/// that can be written. `models`, files that nobody has opened yet, are looked at before: throws what ModelFile::open()
/// does for one that is none, and check_task() for one of another `task`, where that is given, so that nobody waits for
/// kernels to be measured only to learn of a wrong path.
Device open_device(const DeviceArguments& device, const std::vector<std::string>& models = {},
                   std::string_view task = {});

}  // namespace heed::tools
