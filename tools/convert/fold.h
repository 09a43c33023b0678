#pragma once

#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "models/recipe.h"
#include "tools/convert/checkpoint.h"

/// What conversion makes of weights and the nodes around them. Nothing is rounded a second time: weights that the
/// checkpoint has as f32 are stored as they would have been, f16 and bf16 ones become f32, in which devices have those
/// of convolutions anyway; ones that `table` has as quantised are left alone. New tensors are added; they read from the
/// old ones when they are written. All return how many they folded, and throw Error when a tensor that they need cannot
/// be read.
namespace heed::convert {

/// Takes batch norms away whose input is the result, used nowhere else, of a convolution or linear layer, of which a
/// reshape may have made pictures: its weight and bias become w * scale / sqrt(variance + eps) and (bias - mean) *
/// scale / sqrt(variance + eps) + shift.
std::size_t fold_batch_norms(std::vector<Graph>& graphs, std::vector<SourceTensor>& tensors,
                             const models::TensorTable& table);

/// A convolution of a picture whose pixels are repeated (nearest upsampling by whole numbers) becomes a transposed one
/// of the picture itself, whose weights are sums: with a kernel of 3x3 and every pixel four times 16 products for a
/// pixel in place of 36.
std::size_t fold_upsampling(std::vector<Graph>& graphs, std::vector<SourceTensor>& tensors,
                            const models::TensorTable& table);

/// Puts weights in place of what PyTorch's spectral norm keeps of them (Miyato et al. 2018): X.weight = original /
/// sigma with sigma = u' W v, for X.weight_orig, .weight_u, .weight_v, or X.parametrizations.weight.original, .0._u,
/// .0._v. W is the weight as a matrix whose rows are its first dimension, or its second for the names in `transposed`.
/// Throws Error naming a tensor that is missing or does not fit.
std::size_t fold_spectral_norms(std::vector<SourceTensor>& tensors, const std::set<std::string>& transposed);

/// Puts weights in place of what PyTorch's weight norm keeps of them (Salimans and Kingma 2016): X.weight = g v / |v|
/// for each output, of X.weight_g and .weight_v, or X.parametrizations.weight.original0 and .original1. Throws Error
/// naming a tensor that is missing or does not fit.
std::size_t fold_weight_norms(std::vector<SourceTensor>& tensors);

}  // namespace heed::convert
