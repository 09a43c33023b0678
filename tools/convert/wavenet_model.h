#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// Whether a folder's config.json says "model_type": "wavenet".
bool is_wavenet(const std::filesystem::path& folder);

/// A folder of a WaveNet (van den Oord et al. 2016) trained in PyTorch by a program of one's own: config.json and
/// model.safetensors (or .pth, .pt). Convolutions are [outputs, inputs, taps] as nn.Conv1d has them, those of one tap
/// may be linear layers, and weight norm becomes part of the weights. A sample's level or value is read by
///
///   input       [residual, levels, taps] over one-hot levels, or [residual, 1, taps] over values; causal, with nothing
///               before the first sample
///   layers.N    .dilated [2 * gate, residual, taps], tanh's half first; the conditions' .global [2 * gate, width] of
///   an
///               embedding and .local [2 * gate, channels] of a frame, which are added to it; .residual [residual,
///               gate], which the last layer may lack; .skip [skip, gate]
///   hidden      [hidden, skip] and output [outputs, hidden], each behind a ReLU, over the sum of all skips
///   global_embedding  [ids, width], local_embedding [ids, width]; where the latter is absent features are given
///   local_conv        [channels, width, taps] with a ReLU over frames, padded with zeros; may be absent
///
/// Outputs are logits of `levels`, or of M logistics logits, means and logarithms of scales (3 M). Other names:
/// {"names": {"layers": "residual_blocks", "dilated": "conv"}}, for the words above. config.json has
///
///   sample_rate       samples a second
///   output            "mu_law" (the levels are those of the mu-law) or "mixture_of_logistics" (values from -1 to 1)
///   dilations         of the layers
///   start             what the first sample reads: the middle level, or 0, if absent
///   temperature       to draw with unless told otherwise; 1 if absent
///   residual_scale    x = (x + residual) * scale; skip_scale: of the sum of all skips; 1 if absent
///   least_log_scale   of logistics; -7 if absent
///   local_hop         samples of a frame, where there is a local condition
///   voices            names of the rows of global_embedding; or
///   classes           such names; or, where frames have ids, objects {"name": .., "also": [..], "frames": [..]}: what
///                     is said, frame by frame
///   residual_channels, gate_channels, skip_channels, hidden_channels, levels, mixtures, kernel, input_kernel,
///   global_channels, local_channels, local_ids, local_kernel     compared with the tensors, where they are given
///   names, name, description, licence
///
/// Throws Error naming the file, key or tensor that is missing or not understood.
Checkpoint read_wavenet(const std::filesystem::path& folder);

}  // namespace heed::convert
