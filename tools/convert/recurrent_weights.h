#pragma once

#include <string>

#include "tools/convert/checkpoint.h"
#include "tools/convert/named_tensors.h"

namespace heed::convert {

/// An nn.LSTM or nn.GRU, as its tensors tell.
struct TorchRecurrent {
  std::string cell;  // "lstm", "gru"
  std::int64_t inputs = 0;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  bool bidirectional = false;
};

/// Reads the module whose tensors begin with `in_file` and gives the checkpoint NAME.N.w, .r and .bias of its layers in
/// ONNX's order of gates, with the directions one below the other. Throws Error naming the tensor that is missing or
/// does not fit.
TorchRecurrent give_recurrent(NamedTensors& tensors, const std::string& in_file, const std::string& name,
                              Checkpoint& checkpoint);

}  // namespace heed::convert
