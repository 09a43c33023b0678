#include "tools/convert/wavenet_weights.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// A tensor whose values are computed when it is read.
template <typename Compute>
SourceTensor computed(std::string name, Shape shape, Compute compute) {
  SourceTensor tensor{std::move(name), DType::F32, std::move(shape), {}};
  tensor.read = [compute = std::move(compute)] {
    const std::vector<float> values = compute();
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  return tensor;
}

/// Where an output lies in a column: both halves of what is gated are filled up apart.
std::int64_t row_of(std::int64_t output, std::int64_t half) {
  return output < half ? output : 4 * ops::Wavenet::rows(half) + output - half;
}

/// Writes into the packed weights.
class WavenetPacker {
 public:
  explicit WavenetPacker(const ops::Wavenet& net) : net_(net), packed_(at(4 * net.weight_rows()), 0.0f) {}

  std::vector<float> pack(const WavenetTensors& t) {
    const std::int64_t residual = ops::Wavenet::rows(net_.residual);
    const std::int64_t skip = ops::Wavenet::rows(net_.skip);
    const std::int64_t columns = std::max<std::int64_t>(net_.levels, 1);
    put(t.input, {0, residual, 0, columns, net_.residual}, 1.0, 1.0, false);
    double scale = 1.0;  // of what a layer reads, which lies divided by it
    for (std::int64_t i = 0; i < net_.layers(); ++i) {
      const WavenetTensors::Layer& layer = t.layers[at(i)];
      put(layer.dilated, {net_.layer_at(i), 2 * ops::Wavenet::rows(net_.gate), 0, net_.residual, net_.gate}, scale,
          1.0);
      const std::int64_t mix = net_.mix_at(i);
      if (layer.residual)
        put(*layer.residual, {mix, residual + skip, 0, net_.gate, net_.residual}, 1.0 / scale, 1.0 / scale);
      put(layer.skip, {mix, residual + skip, 4 * residual, net_.gate, net_.skip}, 1.0, 1.0);
      scale *= t.residual_scale;
    }
    put(t.hidden, {net_.hidden_at(), ops::Wavenet::rows(net_.hidden), 0, net_.skip, net_.hidden}, t.skip_scale, 1.0);
    put(t.output, {net_.output_at(), ops::Wavenet::rows(net_.outputs), 0, net_.hidden, net_.outputs}, 1.0, 1.0);
    return std::move(packed_);
  }

 private:
  struct Where {
    std::int64_t first;   // group at which the columns begin
    std::int64_t rows;    // groups of a column
    std::int64_t row;     // of a column: number at which the outputs begin
    std::int64_t inputs;  // of a tap
    std::int64_t half;    // outputs after which a new group begins
  };

  /// `pads`: taps have columns for whole groups of inputs.
  void put(const WavenetTensors::Product& product, const Where& where, double scale, double bias_scale,
           bool pads = true) {
    const Shape& shape = product.weight.shape;
    const std::int64_t taps = shape.size() == 3 ? shape[2] : 1;
    const std::int64_t apart = pads ? 4 * ops::Wavenet::rows(where.inputs) : where.inputs;
    const std::vector<float> w = tensor_values(product.weight);
    const auto place = [&](std::int64_t column, std::int64_t output) -> float& {
      return packed_[at(4 * (where.first + column * where.rows) + where.row + row_of(output, where.half))];
    };
    for (std::int64_t o = 0; o < shape[0]; ++o) {
      for (std::int64_t i = 0; i < where.inputs; ++i) {
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          place(tap * apart + i, o) =
              static_cast<float>(scale * static_cast<double>(w[at((o * where.inputs + i) * taps + tap)]));
        }
      }
    }
    for (const SourceTensor& tensor : product.biases) {
      const std::vector<float> bias = tensor_values(tensor);
      for (std::int64_t o = 0; o < shape[0]; ++o) {
        place(taps * apart, o) += static_cast<float>(bias_scale * static_cast<double>(bias[at(o)]));
      }
    }
  }

  const ops::Wavenet& net_;
  std::vector<float> packed_;
};

}  // namespace

SourceTensor pack_wavenet(std::string name, const ops::Wavenet& net, WavenetTensors tensors) {
  const auto shared = std::make_shared<const WavenetTensors>(std::move(tensors));
  return computed(std::move(name), {net.weight_rows(), 4}, [net, shared] { return WavenetPacker(net).pack(*shared); });
}

SourceTensor stack_conditions(std::string name, const ops::Wavenet& net, std::vector<SourceTensor> layers) {
  const std::int64_t inputs = layers.front().shape[1];
  return computed(std::move(name), {4 * net.condition_rows(), inputs}, [net, inputs, layers = std::move(layers)] {
    std::vector<float> stacked(at(4 * net.condition_rows() * inputs), 0.0f);
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const std::vector<float> w = tensor_values(layers[layer]);
      for (std::int64_t o = 0; o < 2 * net.gate; ++o) {
        const std::int64_t row =
            static_cast<std::int64_t>(layer) * 8 * ops::Wavenet::rows(net.gate) + row_of(o, net.gate);
        std::copy_n(w.begin() + o * inputs, inputs, stacked.begin() + row * inputs);
      }
    }
    return stacked;
  });
}

}  // namespace heed::convert
