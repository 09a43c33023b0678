#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/recipe.h"

namespace heed::models {

/// A WaveNet (van den Oord et al. 2016): op wavenet, and what makes its conditions.
struct WavenetParameters {
  std::int64_t residual = 0, gate = 0, skip = 0, hidden = 0;  // channels; gate: of each half of what is gated
  std::int64_t levels = 0;    // of the mu-law that samples are written in; 0: they are values
  std::int64_t mixtures = 0;  // of logistics that values are drawn from; 0: levels are
  std::int64_t kernel = 2;
  std::int64_t input_kernel = 1;
  std::vector<std::int64_t> dilations;
  double least_log_scale = -7.0;
  std::int64_t global_width = 0;  // of the embedding of a number that holds for all of a sound; 0: none
  std::int64_t global_ids = 0;
  std::int64_t local_width = 0;     // of what holds for a frame: of the embedding, or features; 0: none
  std::int64_t local_ids = 0;       // 0: features are given
  std::int64_t local_kernel = 0;    // of a convolution with ReLU over frames; 0: none
  std::int64_t local_channels = 0;  // what it makes; without it local_width
  std::int64_t hop = 1;             // samples of a frame; 1 without a local condition

  static WavenetParameters from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
  bool has_local() const { return local_width > 0; }
};

/// The graphs `sound` and `logits` over tensors
///   stack.weight            as op wavenet wants it (engine/ops/wavenet.h)
///   global_embedding.weight [global_ids, global_width]
///   global.weight           [C, global_width], local.weight [C, local_channels]: what conditions add in each layer, in
///                           the order of op wavenet's condition
///   local_embedding.weight  [local_ids, local_width]
///   local_conv.weight       [local_channels, local_width, local_kernel], local_conv.bias [local_channels]
///
/// Dimensions: steps, samples of a run; frames = ceil(steps / hop); window = frames + local_kernel - 1, the frames from
/// (local_kernel - 1) / 2 before the run's first on. Inputs: global_id [1] i32; local_ids [window] i32 and local_mask
/// [window, 1], 0 for frames outside of the sound, else 1; or local [window, local_width], zeros outside. States: past,
/// recent, sampler (op wavenet). `sound` has the output samples [steps]; `logits` has the input given [steps] and the
/// output logits [steps, outputs].
std::vector<Graph> wavenet_graphs(const WavenetParameters& parameters, const TensorTable& tensors);

}  // namespace heed::models
