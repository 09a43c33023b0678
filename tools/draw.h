#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "heed/picture.h"
#include "tools/device_arguments.h"

namespace heed::tools {

/// What `heed draw` was told.
struct DrawArguments {
  std::string model;
  std::string output;
  DeviceArguments device;
  std::string label;
  DrawOptions options;
  std::uint64_t seed = 0;
  bool has_seed = false;
  std::uint64_t count = 1;
  bool grid = false;
  std::vector<std::uint64_t> interpolate;  // two seeds and how many steps
  std::string maps;                        // the folder for attention maps; empty for none

  // Of models that draw a text.
  std::string caption;
  std::string tokens;  // ids in place of a caption
  bool has_tokens = false;
  std::string complete;  // a picture of which the upper half is given
  TextDrawOptions text;
  const CLI::Option* of_noise = nullptr;  // the first option that was given and that only models of noise have
  const CLI::Option* of_text = nullptr;   // and only those of text

  /// What is drawn with --seed, or a number of its own for a run that was given none.
  std::uint64_t chosen_seed() const;
};

/// "out.png" for one picture, "out-3.png" for the third of several.
std::string numbered(const std::string& output, std::size_t i, std::size_t count);
void make_maps_folder(const std::string& folder);
/// Writes the attention maps of every picture to FOLDER/NAME.png.
void write_maps(const std::vector<std::vector<AttentionMap>>& maps, const std::vector<Picture>& pictures,
                const std::string& folder);

/// Draws with a model of the task text-to-image. Gives the exit code.
int draw_text(const DrawArguments& arguments);

}  // namespace heed::tools
