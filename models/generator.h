#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "models/recipe.h"

namespace heed::models {

/// The graphs of a picture generator, and what the file's metadata say of them (engine/file/format.md: task, roles,
/// classes).
struct Generator {
  std::vector<Graph> graphs;
  nlohmann::json metadata;
};

/// Picture generators described layer by layer, as PyTorch's Sequential lists them: GAN and VAE decoders, with SAGAN's
/// self-attention and the convolutional-attention module among the layers. Layer N's tensors are `layers.N.PART`, or
/// `NAME.PART` where the layer has a "name", or `PREFIX.N.PART` where the object that lists the layers has a "prefix".
///
///   latent           numbers of noise, or the shape [C, H, W] of it
///   class_embedding  numbers of a class (tensor class_embedding.weight [classes, E]), put behind the noise; or absent
///   classes          names of the classes
///   image            {"channels": "gray" or "rgb", "range": [black, full]}
///   layers           objects with "type":
///     linear (out), reshape (shape [C, H, W]), flatten, conv and conv_transpose (out, kernel, stride, padding; groups,
///     and output_padding of the latter), batch_norm, instance_norm, group_norm (groups), relu, leaky_relu (slope),
///     silu, gelu, tanh, sigmoid, dropout (nothing here), upsample (scale, mode nearest or linear), max_pool and
///     average_pool (kernel, stride), pixel_shuffle (factor), class (encoding embedding or one_hot; width of the
///     former; first), self_attention (inner), attention_map (inner, out, kernel, padding; stride, out_kernel,
///     out_stride, out_padding), mean_and_log_variance (out; mean, log_variance: names), residual (layers; shortcut:
///     the name of a 1x1 convolution), attention_block (groups). Norms of batches and groups may have an eps.
///   encoder          an object with image [C, H, W] and layers: pictures to numbers, for a VAE
///
/// class joins the class to what has been made, before it if `first`: as rows of its embedding (tensor `weight`
/// [classes, width]) or with a one in its column; beside pictures as constant planes. self_attention (Zhang et al.
/// 2019): f, g, h are 1x1 convolutions, a = softmax over i of f_i . g_j, y = x + gamma * sum_i a_ij h_i. attention_map:
/// m = sigmoid(conv3(relu(conv2(relu(conv1(x)))))), resized bilinearly to x's size, y = relu(out(x * m + x)); stride 1
/// if absent, and the convolution `out` as the others where its own are absent. residual: y = x + layers(x), or
/// shortcut(x) + layers(x); its layers' names follow its own. attention_block, of VQ-GAN's decoder (Esser et al. 2021):
/// y = x + proj_out(sum_i a_ji v_i), a = softmax over i of q_j . k_i / sqrt(C), q, k, v 1x1 convolutions of norm(x).
///
/// The graph `draw` has inputs latent [batch, latent..] and label [batch] i32, and outputs image, and map.N [batch, 1,
/// h, w] and attention.N [batch, H * W, H * W] (columns sum to one) of the layers that have them. The graph `encode`
/// has input image [batch, C, H, W], and label where a layer takes it, and outputs mean and log_variance [batch, out],
/// or latent where the layers end otherwise. Throws Error naming the layer that is not understood or whose tensors do
/// not fit.
Generator generator(const nlohmann::json& parameters, const TensorTable& tensors);

/// What the names of the tensors of transposed convolutions begin with; the spectral norm of those is another.
std::set<std::string> transposed_layers(const nlohmann::json& parameters);

}  // namespace heed::models
