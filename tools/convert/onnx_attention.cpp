// ONNX's Attention and RotaryEmbedding (opsets 23 and 24), as products, softmax and rotations.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {

using Operands = std::vector<Operand>;

/// Writes down chains of nodes that belong to one operator.
struct Writer {
  OnnxImporter& import;
  const OnnxNode& node;

  Operand operator()(std::string_view op, const Operands& inputs, Attributes attributes = {}) const {
    return import.add(node, op, inputs, std::move(attributes));
  }
  Operand list(const std::vector<std::int64_t>& values) const { return import.integers(values); }
  Operand concat(const Operands& parts, std::int64_t axis = 0) const {
    return (*this)("concat", parts, {{"axis", axis}});
  }
  Operand transpose(const Operand& x, std::vector<std::int64_t> perm) const {
    return (*this)("transpose", {x}, {{"perm", std::move(perm)}});
  }
  Operand size(const Operand& x, std::int64_t axis) const { return import.size_of(node, x, axis); }
};

/// [B, T, heads * d] -> [B, heads, T, d].
Operand split_heads(const Writer& w, const Operand& x, std::int64_t heads) {
  return w.transpose(w("reshape", {x, w.list({0, 0, heads, -1})}), {0, 2, 1, 3});
}

/// Each key/value head as often as query heads share it: [B, K, S, d] -> [B, H, S, d].
Operand repeat_heads(const Writer& w, const Operand& x, const Operand& q) {
  const Operand shared = w("div", {w.size(q, 1), w.size(x, 1)});
  const Operand shape = w.concat({w.size(x, 0), w.size(x, 1), shared, w.size(x, 2), w.size(x, 3)});
  const Operand apart = w("expand", {w("unsqueeze", {x, w.list({2})}), shape});
  return w("reshape", {apart, w.concat({w.size(x, 0), w.list({-1}), w.size(x, 2), w.size(x, 3)})});
}

/// What is added to scores [B, H, T, S]: the mask, what lies ahead of a query, and padding. Absent when there is
/// nothing.
Operand bias_of(const Writer& w, const Operands& inputs, const Operand& q, const Operand& k, bool causal) {
  const Operand minus = w.import.number(-std::numeric_limits<double>::infinity(), DType::F32);
  const Operand zero = w.import.number(0.0, DType::F32);
  Operand bias;
  const auto add = [&](const Operand& more) { bias = bias.absent() ? more : w("add", {bias, more}); };
  const Operand keys = w.size(k, 2);
  if (Operand mask = OnnxImporter::optional(inputs, 3); !mask.absent()) {
    // A short mask leaves out the keys that it does not reach.
    const bool keeps = mask.dtype == DType::Bool;
    const Operand pads = w.concat({w.list({0}), w("sub", {keys, w.size(mask, -1)})});
    mask =
        w("pad", {mask, pads, keeps ? w.import.number(0.0, DType::Bool) : minus, w.list({-1})}, {{"mode", "constant"}});
    add(keeps ? w("where", {mask, zero, minus}) : mask);
  }
  const auto range = [&](const Operand& end) {
    return w("range", {w.import.integer(0), w("squeeze", {end}), w.import.integer(1)});
  };
  if (causal) {
    const Operand past = OnnxImporter::optional(inputs, 4);
    Operand rows = w("unsqueeze", {range(w.size(q, 2)), w.list({1})});
    if (!past.absent()) rows = w("add", {rows, w.size(past, 2)});
    add(w("where", {w("greater_equal", {rows, range(keys)}), zero, minus}));
  }
  if (const Operand lengths = OnnxImporter::optional(inputs, 6); !lengths.absent()) {
    const Operand ends = w("reshape", {lengths, w.list({-1, 1, 1, 1})});
    add(w("where", {w("less", {w.import.cast(w.node, range(keys), ends.dtype), ends}), zero, minus}));
  }
  return bias;
}

Operands import_attention(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Writer w{import, node};
  Operand q = import.required(node, inputs, 0);
  Operand k = import.required(node, inputs, 1);
  Operand v = import.required(node, inputs, 2);
  const bool flat = node.has("q_num_heads");  // three dimensions
  if (flat) {
    q = split_heads(w, q, node.integer("q_num_heads", 1));
    k = split_heads(w, k, node.integer("kv_num_heads", 1));
    v = split_heads(w, v, node.integer("kv_num_heads", 1));
  }
  node.integer("kv_num_heads", 0);
  node.integer("softmax_precision", 1);  // heed's is f32
  if (const Operand past = OnnxImporter::optional(inputs, 4); !past.absent()) k = w.concat({past, k}, 2);
  if (const Operand past = OnnxImporter::optional(inputs, 5); !past.absent()) v = w.concat({past, v}, 2);
  Operands results(4);
  results[1] = k;
  results[2] = v;

  Operand scores = w("matmul", {q, repeat_heads(w, k, q)}, {{"transpose_b", std::int64_t{1}}});
  if (node.has("scale")) {
    scores = w("mul", {scores, import.number(node.real("scale", 1.0), DType::F32)});
  } else {
    const Operand width = import.cast(node, w.size(q, 3), DType::F32);
    scores = w("div", {scores, w("sqrt", {width})});
  }
  const std::int64_t wanted = node.integer("qk_matmul_output_mode", 0);
  results[3] = scores;
  const Operand bias = bias_of(w, inputs, q, k, node.integer("is_causal", 0) != 0);
  // The cap comes before the mask, as models have it: behind it -infinity would become -cap, and hidden keys be seen.
  // Texts of the operator from before onnx/onnx#7867 have it the other way round.
  if (const double cap = node.real("softcap", 0.0); cap > 0.0) {
    if (wanted == 1 || (wanted == 2 && !bias.absent())) {
      node.fail(
          fmt::format("qk_matmul_output_mode {} with a softcap: versions of ONNX differ in what that is", wanted));
    }
    const Operand limit = import.number(cap, DType::F32);
    scores = w("mul", {w("tanh", {w("div", {scores, limit})}), limit});
  }
  if (!bias.absent()) scores = w("add", {scores, bias});
  if (wanted == 1 || wanted == 2) results[3] = scores;
  const Operand weights = w("softmax", {scores}, {{"axis", std::int64_t{-1}}});
  if (wanted == 3) results[3] = weights;
  if (wanted < 0 || wanted > 3) node.fail("qk_matmul_output_mode is " + std::to_string(wanted));
  Operand y = w("matmul", {weights, repeat_heads(w, v, q)});
  if (flat) y = w("reshape", {w.transpose(y, {0, 2, 1, 3}), w.list({0, 0, -1})});
  results[0] = y;
  results.resize(static_cast<std::size_t>(node.proto().output_size()));
  return results;
}

Operands import_rotary(OnnxImporter& import, const OnnxNode& node, const Operands& inputs) {
  const Writer w{import, node};
  const Operand& given = import.required(node, inputs, 0);
  const std::int64_t heads = node.integer("num_heads", 0);
  // [B, T, heads, d]
  const Operand x = heads > 0 ? w("reshape", {given, w.list({0, 0, heads, -1})}) : w.transpose(given, {0, 2, 1, 3});
  const std::int64_t dims = node.integer("rotary_embedding_dim", 0);
  const bool interleaved = node.integer("interleaved", 0) != 0;
  const auto slice = [&](const Operand& from, const Operand& start, const Operand& end, std::int64_t step) {
    return w("slice", {from, start, end, w.list({-1}), w.list({step})});
  };
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  const Operand turned = dims > 0 ? slice(x, w.list({0}), w.list({dims}), 1) : x;
  const auto table = [&](std::size_t i) {
    Operand rows = import.required(node, inputs, i);
    const Operand positions = OnnxImporter::optional(inputs, 3);
    if (!positions.absent()) rows = w("gather", {rows, positions}, {{"axis", std::int64_t{0}}});
    return w("unsqueeze", {rows, w.list({2})});
  };
  const Operand cosine = table(1);
  const Operand sine = table(2);
  const Operand half = w("div", {w.size(turned, 3), w.list({2})});
  const Operand x1 = interleaved ? slice(turned, w.list({0}), w.list({kEnd}), 2) : slice(turned, w.list({0}), half, 1);
  const Operand x2 =
      interleaved ? slice(turned, w.list({1}), w.list({kEnd}), 2) : slice(turned, half, w.list({kEnd}), 1);
  const Operand real = w("sub", {w("mul", {cosine, x1}), w("mul", {sine, x2})});
  const Operand imaginary = w("add", {w("mul", {sine, x1}), w("mul", {cosine, x2})});
  Operand y;
  if (interleaved) {
    const Operand last = w.list({-1});
    y = w("reshape", {w.concat({w("unsqueeze", {real, last}), w("unsqueeze", {imaginary, last})}, -1),
                      import.shape(node, turned)});
  } else {
    y = w.concat({real, imaginary}, -1);
  }
  if (dims > 0) y = w.concat({y, slice(x, w.list({dims}), w.list({kEnd}), 1)}, -1);
  return {heads > 0 ? w("reshape", {y, import.shape(node, given)}) : w.transpose(y, {0, 2, 1, 3})};
}

}  // namespace

std::vector<OperatorRow> attention_operators() {
  return {{"Attention", import_attention}, {"RotaryEmbedding", import_rotary}};
}

}  // namespace heed::convert
