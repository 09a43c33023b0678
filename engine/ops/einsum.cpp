// op einsum: sums of products of one or two tensors, Einstein's convention.
//
// Attribute equation: "ij,jk->ik", a letter for each dimension of an operand; "..." stands for any number of them,
// which broadcast. Letters of one name have one size (or 1, which broadcasts); twice in an operand they take its
// diagonal. Those that the result lacks are summed over. Without "->" the result has the dimensions of "..." and, in
// the order of the alphabet, the letters that occur once.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/matmul.h"
#include "ops/op.h"
#include "ops/reduce.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

constexpr std::size_t kLoops = 6;     // of shaders/einsum.comp, over outputs
constexpr std::size_t kSumLoops = 4;  // and over what is summed

using Labels = std::vector<int>;  // letters; dimensions of "..." are kEllipsis + their distance from its last one
constexpr int kEllipsis = 256;

/// What the equation says of operands of these shapes.
struct Contraction {
  std::vector<Labels> operands;
  Labels result;
  std::map<int, std::int64_t> sizes;
  std::vector<std::map<int, std::int64_t>> strides;  // of each operand; 0 where it is repeated
};

struct Term {
  std::string before;  // "..."
  std::string after;
  bool ellipsis = false;
};

template <typename Fail>
Term parse_term(const std::string& text, Fail fail) {
  Term term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "...") == 0 && !term.ellipsis) {
      term.ellipsis = true;
      i += 2;
    } else if ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')) {
      (term.ellipsis ? term.after : term.before) += text[i];
    } else {
      fail(fmt::format("the equation has an unexpected '{}'", text[i]));
    }
  }
  return term;
}

Labels labels_of(const Term& term, std::size_t ellipsis) {
  Labels labels(term.before.begin(), term.before.end());
  if (term.ellipsis) {
    for (std::size_t d = ellipsis; d-- > 0;) labels.push_back(kEllipsis + static_cast<int>(d));
  }
  labels.insert(labels.end(), term.after.begin(), term.after.end());
  return labels;
}

template <typename Fail>
Contraction contraction(std::string equation, const std::vector<const Shape*>& shapes, Fail fail) {
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  const std::string left = equation.substr(0, arrow);
  std::vector<Term> terms;
  for (std::size_t begin = 0; begin <= left.size();) {
    const std::size_t end = std::min(left.find(',', begin), left.size());
    terms.push_back(parse_term(left.substr(begin, end - begin), fail));
    begin = end + 1;
  }
  Contraction c;
  if (terms.size() != shapes.size()) {
    fail(fmt::format("the equation '{}' has {} operands, the node {}", equation, terms.size(), shapes.size()));
    return c;
  }
  std::size_t widest = 0;
  std::map<int, int> uses;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const std::size_t letters = terms[i].before.size() + terms[i].after.size();
    const Shape& shape = *shapes[i];
    if (shape.size() < letters || (!terms[i].ellipsis && shape.size() > letters)) {
      fail(fmt::format("operand {} of '{}' is {}", i, equation, to_string(shape)));
      return c;
    }
    const std::size_t ellipsis = terms[i].ellipsis ? shape.size() - letters : 0;
    widest = std::max(widest, ellipsis);
    c.operands.push_back(labels_of(terms[i], ellipsis));
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const int label = c.operands.back()[d];
      ++uses[label];
      std::int64_t& size = c.sizes.try_emplace(label, shape[d]).first->second;
      if (size == 1) size = shape[d];
      if (size != shape[d] && shape[d] != 1) {
        fail(fmt::format("dimension {} of {} is {} in '{}', expected {}", d, to_string(shape), shape[d], equation,
                         size));
      }
    }
  }
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Shape dense = dense_strides(*shapes[i]);
    std::map<int, std::int64_t>& strides = c.strides.emplace_back();
    for (std::size_t d = 0; d < dense.size(); ++d) strides[c.operands[i][d]] += (*shapes[i])[d] == 1 ? 0 : dense[d];
  }
  if (arrow != std::string::npos) {
    const Term result = parse_term(equation.substr(arrow + 2), fail);
    if (widest > 0 && !result.ellipsis) fail("the result lacks the operands' '...'");
    c.result = labels_of(result, widest);
  } else {
    Term result;
    result.ellipsis = true;
    for (const auto& [label, count] : uses) {
      if (label < kEllipsis && count == 1) result.after += static_cast<char>(label);
    }
    c.result = labels_of(result, widest);
  }
  for (const int label : c.result) {
    if (!c.sizes.contains(label)) fail(fmt::format("the operands of '{}' lack a letter of the result", equation));
    if (std::ranges::count(c.result, label) > 1) fail(fmt::format("the result of '{}' has a letter twice", equation));
  }
  return c;
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(2, {"equation"});
  std::vector<const Shape*> shapes;
  for (std::size_t i = 0; i < (c.has(1) ? 2u : 1u); ++i) {
    c.expect_floats(i, fmt::format("operand {}", i));
    shapes.push_back(&c.input(i).shape);
  }
  const auto fail = [&](const std::string& message) { c.fail(message); };
  const Contraction found = contraction(c.node.attributes.text("equation"), shapes, fail);
  Shape y;
  for (const int label : found.result) y.push_back(found.sizes.at(label));
  return {{DType::F32, y}};
}

/// Loops over dimensions, with an operand for each of the node's.
Loops loops_over(const Contraction& c, const Labels& labels) {
  Loops loops{{}, std::vector<Shape>(c.strides.size())};
  for (const int label : labels) {
    loops.sizes.push_back(c.sizes.at(label));
    for (std::size_t i = 0; i < c.strides.size(); ++i) {
      const auto stride = c.strides[i].find(label);
      loops.strides[i].push_back(stride == c.strides[i].end() ? 0 : stride->second);
    }
  }
  return loops;
}

Labels summed(const Contraction& c) {
  Labels labels;
  for (const auto& [label, size] : c.sizes) {
    if (std::ranges::find(c.result, label) == c.result.end()) labels.push_back(label);
  }
  return labels;
}

void reference(const ReferenceContext& c) {
  std::vector<const Shape*> shapes = {&c.shape(0)};
  if (c.has(1)) shapes.push_back(&c.shape(1));
  const Contraction found = contraction(c.node.attributes.text("equation"), shapes, [](const std::string&) {});
  const Loops outer = loops_over(found, found.result);
  const Loops inner = loops_over(found, summed(found));
  const std::int64_t length = element_count(inner.sizes);
  LoopCounter base(outer);
  for (double& y : c.out(0)) {
    LoopCounter at(inner);
    y = 0.0;
    for (std::int64_t i = 0; i < length; ++i, at.next()) {
      double product = 1.0;
      for (std::size_t operand = 0; operand < shapes.size(); ++operand) {
        product *= c.in(operand)[static_cast<std::size_t>(base.at(operand) + at.at(operand))];
      }
      y += product;
    }
    base.next();
  }
}

/// The same loops for one operand.
Loops only(const Loops& loops, std::size_t operand) { return {loops.sizes, {loops.strides[operand]}}; }

/// One invocation an output, where that wastes little. False where it would not, or there are too many loops.
bool lower_plainly(Lowering& l, const Contraction& c, std::int64_t shared) {
  constexpr std::int64_t kFew = 16;
  Loops outer = loops_over(c, c.result);
  Loops inner = loops_over(c, summed(c));
  outer.merge();
  inner.merge();
  const std::int64_t count = element_count(outer.sizes);
  const std::int64_t length = element_count(inner.sizes);
  if (shared >= kFew || outer.count() > kLoops || inner.count() > kSumLoops || count > 0xffffffff ||
      static_cast<std::uint64_t>(length) > l.caps().max_loop_iterations / 8 || length > (1 << 20)) {
    return false;
  }
  outer.pad(kLoops);
  inner.pad(kSumLoops);
  Dispatch d;
  d.shader = "einsum";
  d.bindings = {l.read(0, View::F32), l.read(1, View::F32), l.write()};
  d.push_constants = {u32(count), u32(length)};
  for (const Loops* loops : {&outer, &inner}) {
    for (std::size_t i = 1; i < loops->count(); ++i) d.push_constants.push_back(u32(loops->sizes[i]));
    for (const Shape& strides : loops->strides) {
      for (const std::int64_t stride : strides) d.push_constants.push_back(i32(stride));
    }
  }
  const std::uint32_t lanes = l.lanes(64);
  d.specialization = {lanes};
  d.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  d.flops = saturating_product({2, u64(count), u64(length)});
  l.emit(std::move(d));
  return true;
}

void lower_product(Lowering& l, const Contraction& c) {
  Labels batch, rows, columns;
  for (const int label : c.result) {
    const auto varies = [&](std::size_t i) {
      const auto stride = c.strides[i].find(label);
      return stride != c.strides[i].end() && stride->second != 0;
    };
    (varies(0) && varies(1) ? batch : varies(1) ? columns : rows).push_back(label);
  }
  const Loops over_batch = loops_over(c, batch);
  const Loops over_rows = loops_over(c, rows);
  const Loops over_columns = loops_over(c, columns);
  const Loops over_sums = loops_over(c, summed(c));
  if (lower_plainly(l, c, element_count(over_rows.sizes) * element_count(over_columns.sizes))) return;

  // The product has these dimensions in this order.
  Labels made = batch;
  made.insert(made.end(), rows.begin(), rows.end());
  made.insert(made.end(), columns.begin(), columns.end());
  Shape made_sizes;
  for (const int label : made) made_sizes.push_back(c.sizes.at(label));
  const Shape made_strides = dense_strides(made_sizes);
  Shape y;
  Shape from;
  for (const int label : c.result) {
    y.push_back(c.sizes.at(label));
    from.push_back(made_strides[static_cast<std::size_t>(std::ranges::find(made, label) - made.begin())]);
  }
  StridedCopy copy = {{y, {from, dense_strides(y)}}};
  Loops merged = copy.loops;
  merged.merge();
  const bool in_order = merged.count() == 0 || (merged.count() == 1 && merged.strides[0][0] == 1);
  const Matrices a = {l.read(0, View::F32), only(over_batch, 0), only(over_rows, 0), only(over_sums, 0)};
  const Matrices b = {l.read(1, View::F32), only(over_batch, 1), only(over_sums, 1), only(over_columns, 1)};
  if (in_order) return emit_product(l, a, b, l.write(), 1.0);
  Binding product = l.scratch("product", static_cast<std::uint64_t>(element_count(y)) * 4);
  emit_product(l, a, b, product, 1.0);
  product.access = Access::Read;
  product.view = View::I32;
  emit_copy(l, product, l.write(), std::move(copy));
}

void lower(Lowering& l) {
  std::vector<const Shape*> shapes = {&l.input(0).shape};
  if (l.has(1)) shapes.push_back(&l.input(1).shape);
  if (element_count(l.output().shape) == 0) return;
  const Contraction c = contraction(l.attributes().text("equation"), shapes, [](const std::string&) {});
  if (l.has(1)) return lower_product(l, c);
  const Labels sums = summed(c);
  if (!sums.empty()) {
    return emit_reduction(l, Reduction::Sum, DType::F32, l.read(0, View::F32), l.write(), loops_over(c, c.result),
                          loops_over(c, sums));
  }
  Loops loops = loops_over(c, c.result);
  loops.strides.push_back(dense_strides(l.output().shape));
  lower_copy(l, {std::move(loops)});
}

}  // namespace

extern const Op op_einsum;
const Op op_einsum = {{"einsum"}, infer, reference, lower};

}  // namespace heed::ops
