#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "heed/cache_type.h"
#include "heed/dispatch_time.h"
#include "tools/device_arguments.h"

namespace heed::tools {

using Clock = std::chrono::steady_clock;

struct BenchArguments {
  std::string model;
  DeviceArguments device;
  std::string graph;
  std::vector<std::string> binds;  // DIM=N
  std::int64_t prompt_tokens = 64;
  std::int64_t generated_tokens = 16;
  CacheType cache = CacheType::Auto;
  std::int64_t depth = 0;   // tokens that a text model has in its cache when it begins to generate
  std::int64_t lines = 32;  // of a translation model
  std::int64_t beams = 4;
  int repeats = 3;
  bool json = false;
  bool profile = false;
  bool kernels = false;
  std::vector<std::string> only;   // of the kernels: words that a line has
  std::vector<std::string> given;  // options that were given, of those that not all models read
};

/// Prompt and generation of a text model. `start` is that of the program. Gives the exit code.
int bench_text(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start);
/// Translations of lines of random tokens.
int bench_translation(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start);
/// Pictures of a model that draws a text, one at a time, without a caption.
int bench_pictures(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start);

/// A sound model: samples, each read by the next.
int bench_sound(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start);
/// Runs of any graph on numbers that mean nothing.
int bench_graph(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start);
/// Single kernels, without a model.
int bench_kernels(const BenchArguments& arguments);

double seconds_since(Clock::time_point begin);
double median(std::vector<double> values);
/// The most memory that the process has had, in bytes.
std::uint64_t peak_memory();
/// The type that most elements of the matrices have (not bytes: a few that stay f32 outweigh many that are quantised);
/// of all tensors where there is no matrix.
std::string main_type(const ModelFile& file);
/// A table of the dispatches that take longest, those of equal kernels and work taken together.
std::string profile_table(const std::vector<DispatchTime>& times, const std::string& heading);

}  // namespace heed::tools
