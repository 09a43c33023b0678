#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/wavenet.h"
#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// The tensors of a WaveNet as PyTorch holds them: convolutions [outputs, inputs, taps], or linear layers [outputs,
/// inputs]; biases, where there are any, [outputs].
struct WavenetTensors {
  struct Product {
    SourceTensor weight;
    std::vector<SourceTensor> biases;  // which add up
  };
  struct Layer {
    Product dilated;                  // to both halves of what is gated
    std::optional<Product> residual;  // the last layer needs none
    Product skip;
  };
  Product input;
  std::vector<Layer> layers;
  Product hidden, output;
  double residual_scale = 1.0;  // x = (x + residual) * scale
  double skip_scale = 1.0;      // of the sum of all skips
};

/// All of them in one tensor [W, 4] as op wavenet wants it. The scales become part of the weights. Reads them when it
/// is read.
SourceTensor pack_wavenet(std::string name, const ops::Wavenet& net, WavenetTensors tensors);

/// What a condition adds in each layer, in one tensor [C, inputs] in the order of op wavenet's condition: of each layer
/// the rows of both halves, each filled up with zeros to a multiple of four. `layers`: [2 * gate, inputs] or [2 * gate,
/// inputs, 1] each.
SourceTensor stack_conditions(std::string name, const ops::Wavenet& net, std::vector<SourceTensor> layers);

}  // namespace heed::convert
