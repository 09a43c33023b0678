#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/fold.h"

namespace heed::convert {
namespace {

/// A weight under weight norm: the names of its lengths and of its directions.
struct WeightNormNames {
  const char* lengths;
  const char* directions;
};
constexpr WeightNormNames kWeightNormNames[] = {
    {".weight_g", ".weight_v"},
    {".parametrizations.weight.original0", ".parametrizations.weight.original1"},
};

SourceTensor normed(const std::string& name, const SourceTensor& lengths, const SourceTensor& directions) {
  const Shape& shape = directions.shape;
  const std::int64_t rows = shape.empty() ? 0 : shape[0];
  Shape expected(shape.size(), 1);
  if (!expected.empty()) expected[0] = rows;
  if (rows == 0 || lengths.shape != expected) {
    throw Error(fmt::format("weight norm of '{}' {}: lengths are {}; expected {}, a length for each output", name,
                            to_string(shape), to_string(lengths.shape), to_string(expected)));
  }
  return make_computed_tensor(name, shape, directions, [name, lengths, rows](std::vector<float> values) {
    const std::vector<float> g = tensor_values(lengths);
    const std::size_t inner = values.size() / static_cast<std::size_t>(rows);
    for (std::size_t row = 0; row < g.size(); ++row) {
      double square = 0.0;
      for (std::size_t i = 0; i < inner; ++i) {
        const auto v = static_cast<double>(values[row * inner + i]);
        square += v * v;
      }
      if (!(square > 0.0)) {
        throw Error(
            fmt::format("weight norm of '{}': the direction of output {} has no length; the checkpoint is "
                        "damaged",
                        name, row));
      }
      const double factor = static_cast<double>(g[row]) / std::sqrt(square);
      for (std::size_t i = 0; i < inner; ++i) {
        float& value = values[row * inner + i];
        value = static_cast<float>(factor * static_cast<double>(value));
      }
    }
    return values;
  });
}

}  // namespace

std::size_t fold_weight_norms(std::vector<SourceTensor>& tensors) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < tensors.size(); ++i) places[tensors[i].name] = i;
  std::vector<SourceTensor> kept;
  std::set<std::size_t> dead;
  std::size_t folded = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (const WeightNormNames& names : kWeightNormNames) {
      const std::string& own = tensors[i].name;
      const std::string_view part = own.ends_with(names.directions) ? names.directions : names.lengths;
      if (!own.ends_with(part)) continue;
      const std::string layer = own.substr(0, own.size() - part.size());
      for (const char* other : {names.lengths, names.directions}) {
        if (!places.contains(layer + other))
          throw Error(fmt::format("tensor '{}{}' is missing: weight norm", layer, other));
      }
      dead.insert(i);
      if (part == names.lengths) continue;
      kept.push_back(normed(layer + ".weight", tensors[places.at(layer + names.lengths)], tensors[i]));
      ++folded;
    }
    if (!dead.contains(i)) kept.push_back(tensors[i]);
  }
  tensors = std::move(kept);
  return folded;
}

}  // namespace heed::convert
