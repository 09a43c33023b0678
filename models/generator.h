#pragma once

#include <nlohmann/json.hpp>

#include "models/recipe.h"

namespace heed::models {

/// Picture generators described layer by layer, as PyTorch's Sequential lists them: GAN and VAE decoders, with SAGAN's
/// self-attention and the convolutional-attention module among the layers. Layer N's tensors are `layers.N.NAME`.
///
///   latent           numbers of noise; 0 for a model that begins with a picture's own shape is refused
///   class_embedding  numbers of a class (tensor class_embedding.weight [classes, E]), put behind the noise; absent:
///   none classes          names of the classes image            {"channels": "gray" or "rgb", "range": [black, full]}
///   layers           objects with "type":
///     linear (out), reshape (shape [C, H, W]), conv and conv_transpose (out, kernel, stride, padding), batch_norm,
///     instance_norm, relu, leaky_relu (slope), silu, tanh, sigmoid, upsample (scale, mode nearest or linear),
///     pixel_shuffle (factor), self_attention (inner), attention_map (inner, out, kernel, padding)
///
/// self_attention (Zhang et al. 2019): f, g, h are 1x1 convolutions, a = softmax over i of f_i . g_j, y = x + gamma *
/// sum_i a_ij h_i. attention_map: m = sigmoid(conv3(relu(conv2(relu(conv1(x)))))), y = relu(out(x * m + x)).
///
/// The graph `draw` has inputs latent [batch, latent] and label [batch] i32, and outputs image, and map.N [batch, 1, H,
/// W] and attention.N [batch, H * W, H * W] (columns sum to one) of the layers that have them. Throws Error naming the
/// layer that is not understood or whose tensors do not fit.
Graph generator_graph(const nlohmann::json& parameters, const TensorTable& tensors);

/// Metadata for the loops that draw (engine/file/format.md): task, roles, classes.
nlohmann::json generator_metadata(const nlohmann::json& parameters);

}  // namespace heed::models
