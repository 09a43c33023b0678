#include <fmt/format.h>

#include <cmath>
#include <map>

#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/fold.h"

namespace heed::convert {
namespace {

/// A weight under spectral norm: the names of what is kept of it.
struct SpectralNames {
  const char* original;
  const char* u;
  const char* v;
};
constexpr SpectralNames kSpectralNames[] = {
    {".weight_orig", ".weight_u", ".weight_v"},
    {".parametrizations.weight.original", ".parametrizations.weight.0._u", ".parametrizations.weight.0._v"},
};

double sigma_of(const SourceTensor& weight, const SourceTensor& u_tensor, const SourceTensor& v_tensor,
                bool transposed) {
  const Shape& shape = weight.shape;
  const std::size_t axis = transposed ? 1 : 0;
  const std::int64_t rows = shape.size() > axis ? shape[axis] : 0;
  const std::int64_t count = element_count(shape);
  if (rows == 0 || u_tensor.shape != Shape{rows} || v_tensor.shape != Shape{count / rows}) {
    throw Error(fmt::format("spectral norm of '{}' {}: u is {} and v {}, expected [{}] and [{}]", weight.name,
                            to_string(shape), to_string(u_tensor.shape), to_string(v_tensor.shape), rows,
                            rows == 0 ? 0 : count / rows));
  }
  const std::vector<float> w = tensor_values(weight);
  const std::vector<float> u = tensor_values(u_tensor);
  const std::vector<float> v = tensor_values(v_tensor);
  // Where rows are the second dimension, columns are the first and the rest.
  const std::int64_t lines = transposed ? shape[0] * rows : rows;
  const auto inner = static_cast<std::size_t>(lines == 0 ? 0 : count / lines);
  double sigma = 0.0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::size_t line = i / inner;
    const std::size_t row = transposed ? line % static_cast<std::size_t>(rows) : line;
    const std::size_t column = transposed ? line / static_cast<std::size_t>(rows) * inner + i % inner : i % inner;
    sigma += static_cast<double>(u[row]) * w[i] * v[column];
  }
  if (!std::isfinite(sigma) || sigma == 0.0) {
    throw Error(
        fmt::format("spectral norm of '{}': sigma is {}; the checkpoint is damaged or untrained", weight.name, sigma));
  }
  return sigma;
}

}  // namespace

std::size_t fold_spectral_norms(std::vector<SourceTensor>& tensors, const std::set<std::string>& transposed) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < tensors.size(); ++i) places[tensors[i].name] = i;
  std::set<std::size_t> dead;
  std::size_t folded = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (const SpectralNames& names : kSpectralNames) {
      if (!tensors[i].name.ends_with(names.original)) continue;
      const std::string layer = tensors[i].name.substr(0, tensors[i].name.size() - std::string(names.original).size());
      const auto find = [&](const char* part) -> std::size_t {
        const auto found = places.find(layer + part);
        if (found == places.end()) throw Error(fmt::format("tensor '{}{}' is missing: spectral norm", layer, part));
        dead.insert(found->second);
        return found->second;
      };
      const std::size_t u = find(names.u);
      const std::size_t v = find(names.v);
      const double sigma = sigma_of(tensors[i], tensors[u], tensors[v], transposed.contains(layer));
      tensors[i] = make_scaled_tensor(layer + ".weight", tensors[i], {1.0 / sigma});
      ++folded;
    }
  }
  std::vector<SourceTensor> kept;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!dead.contains(i)) kept.push_back(std::move(tensors[i]));
  }
  tensors = std::move(kept);
  return folded;
}

}  // namespace heed::convert
