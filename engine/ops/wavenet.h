#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace heed::ops {

/// What op wavenet computes, as its attributes say, and how its weights lie in one tensor. Channels come in groups of
/// four (`rows` below), the last filled up with zeros; so do the inputs of products.
struct Wavenet {
  enum class Output : std::uint8_t { Levels, Logistics };  // logits of levels; a mixture of logistics

  std::int64_t residual = 0, gate = 0, skip = 0, hidden = 0;  // channels
  std::int64_t outputs = 0;       // levels, or three numbers for each logistic: logits, means, logarithms of scales
  std::int64_t levels = 0;        // of a sample that is read: as many columns of weights; 0: one, for its value
  std::int64_t kernel = 0;        // taps of a layer
  std::int64_t input_kernel = 0;  // of the first convolution
  std::vector<std::int64_t> dilations;  // of the layers
  Output output = Output::Levels;
  double least_log_scale = -7.0;  // of logistics

  /// Throws Error naming an attribute that is missing or out of range.
  static Wavenet of(const Attributes& attributes);
  Attributes attributes() const;

  static std::int64_t rows(std::int64_t channels) { return (channels + 3) / 4; }
  std::int64_t layers() const { return static_cast<std::int64_t>(dilations.size()); }
  std::int64_t mixtures() const { return outputs / 3; }
  /// Samples that a layer remembers: what its oldest tap reaches back.
  std::int64_t ring(std::int64_t layer) const { return (kernel - 1) * dilations[static_cast<std::size_t>(layer)]; }
  std::int64_t rings() const;  // of all layers
  /// What a frame of conditions adds, for each layer to both halves of what is gated: in groups.
  std::int64_t condition_rows() const { return layers() * 2 * rows(gate); }

  /// Where parts of the weights begin, in groups of four. A product is a list of columns: of each input the weights of
  /// all outputs, then the biases of all outputs.
  ///   the first convolution: of each tap, the oldest first, a column for each level (or one)
  ///   of each layer: a column for each channel of each tap, the oldest first, to both halves of what is gated, tanh's
  ///                  and then the sigmoid's; then of each gated channel to residual, and then skip, channels
  ///   skip to hidden channels; hidden channels to outputs
  std::int64_t layer_at(std::int64_t layer) const;
  std::int64_t mix_at(std::int64_t layer) const;  // its second product
  std::int64_t hidden_at() const { return layer_at(layers()); }
  std::int64_t output_at() const { return hidden_at() + (4 * rows(skip) + 1) * rows(hidden); }
  std::int64_t weight_rows() const { return output_at() + (4 * rows(hidden) + 1) * rows(outputs); }

  /// Multiplications of a sample.
  std::uint64_t products() const;
};

}  // namespace heed::ops
