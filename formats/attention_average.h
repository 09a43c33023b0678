#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "heed/attention.h"

namespace heed {

/// Which weights are averaged: those of each node over its heads, then those of the nodes.
struct AttentionChoice {
  // Indices of Attention::nodes, of one kind; empty: all of cross-attention, or of the target where there is none.
  std::vector<std::size_t> nodes;
  std::vector<std::int64_t> heads;  // from 0, of each of these nodes; empty: all
};

/// Throws Error for a layer or a head that the layers of a model, or of that part of it, do not have: before the work
/// whose attention is shown. Without chosen layers all must have the heads.
void check_attention_layers(std::string_view model, const std::vector<AttentionLayer>& layers,
                            const std::vector<std::size_t>& chosen, const std::vector<std::int64_t>& heads);

struct AveragedAttention {
  AttentionKind kind = AttentionKind::Cross;
  std::int64_t rows = 0, columns = 0;
  std::vector<double> weights;  // [rows, columns]
  std::string title;            // "average of 6 nodes", in words
};

/// Throws Error when there are no tokens or no nodes, a node does not have weights for each of them, a weight is NaN or
/// infinite, or flags of special tokens are given for some tokens only.
void check_attention(const Attention& attention);

/// Throws Error as check_attention() does, and when the choice names a node or head that is not there, or nodes of
/// several kinds.
AveragedAttention average_attention(const Attention& attention, const AttentionChoice& choice);

/// Texts of the tokens that the rows and columns of a kind stand for.
std::vector<std::string> row_tokens(const Attention& attention, AttentionKind kind);
std::vector<std::string> column_tokens(const Attention& attention, AttentionKind kind);

}  // namespace heed
