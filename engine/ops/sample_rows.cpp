// op sample_rows: chooses the next token of several sequences and advances the step state, all on the device, so that a
// recorded step can be resubmitted without the host. What op beam_search does for beams, each row by itself.
//
// R rows, each a sequence; C positions can be fed, of which the first is where a sequence begins. inputs: logits [R,
// V]; states tokens [R] i32, position [R] i32, parents [R] i32, history [C, R] i32, sampler [R, 16] i32 (ops/sample.h),
// table [C, R] i32, sums [R] f32; options [128 + R P] i32 (ops/search.h). No outputs. attributes: greedy (1: the
// largest logit, the first of equals), penalty (1: the repetition penalty is applied first), keep_table (1: the table
// is left as it is: who wrote it has said where the keys to come will lie).
//
// A row at position p makes token n = p + 1, unless p is -1: it is done, and nothing changes. Of the logits, with the
// penalty, those go that options suppress, that would repeat no_repeat tokens in a row, and of end tokens before
// min_tokens; then a token is chosen as op sample does, with the row's words of `sampler`. A forced token comes instead
// and adds 0 to the row's sum; others add their log probability, log softmax(logits). The token enters history and
// tokens; table says that its key will lie at place n R + row; parents, that the row continues itself; position becomes
// n, or -1 after an end token, after max_tokens tokens, and where there is no room. A row of logits without a finite
// number that may come, or with NaN or infinity, gives -1 and is done.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "constants/sample_advance.h"
#include "graph/integer.h"
#include "ops/op.h"
#include "ops/sample.h"
#include "ops/sample_kernels.h"
#include "ops/search.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum Input : std::size_t { kLogits, kTokens, kPosition, kParents, kHistory, kSampler, kTable, kSums, kOptions };

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(9, {"greedy", "penalty", "keep_table"});
  c.expect_rank(kLogits, 2, "logits");
  c.expect_floats(kLogits, "logits");
  const std::int64_t rows = c.input(kLogits).shape[0];
  if (rows < 1 || c.input(kLogits).shape[1] < 1) c.fail("logits are empty");
  c.expect_rank(kTable, 2, "table");
  const std::int64_t capacity = c.input(kTable).shape[0];
  c.expect_shape(kTokens, {rows}, "tokens");
  c.expect_shape(kPosition, {rows}, "position");
  c.expect_shape(kParents, {rows}, "parents");
  c.expect_shape(kHistory, {capacity, rows}, "history");
  c.expect_shape(kSampler, {rows, kSamplerWords}, "sampler");
  c.expect_shape(kTable, {capacity, rows}, "table");
  c.expect_shape(kSums, {rows}, "sums");
  check_search_options(c, kOptions, rows, "rows");
  for (const std::size_t i : {kTokens, kPosition, kParents, kHistory, kSampler, kTable, kOptions}) {
    c.expect_integers(i, "the step state");
  }
  c.expect_floats(kSums, "sums");
  return {};
}

/// One row's step in double, as the formula reads.
class RowStep {
 public:
  RowStep(const ReferenceContext& c, std::int64_t row)
      : c_(c), row_(row), rows_(c.shape(kLogits)[0]), made_(static_cast<std::int64_t>(element(kPosition, row))) {
    options_ = search_options(c.in(kOptions));
  }

  void run() {
    if (made_ < 0) return;
    const auto vocabulary = static_cast<std::ptrdiff_t>(c_.shape(kLogits)[1]);
    const auto begin = c_.in(kLogits).begin() + row_ * vocabulary;
    const std::vector<double> logits(begin, begin + vocabulary);
    const double log_sum = log_sum_of(logits);
    const std::int64_t forced = forced_token(options_, c_.in(kOptions), row_, made_);
    std::int64_t token = forced;
    if (forced < 0) {
      token = sample_token(limited(logits), sampler_state(c_.in(kSampler), static_cast<std::size_t>(row_)),
                           c_.node.attributes.integer("greedy", 0) != 0);
    }
    // Where a logit is broken that may not come: the choice was made without it.
    if (!std::isfinite(log_sum)) token = -1;
    if (forced < 0 && token >= 0) element(kSums, row_) += logits[static_cast<std::size_t>(token)] - log_sum;
    advance(token);
  }

 private:
  double& element(std::size_t input, std::int64_t i) const {
    return c_.inputs[input]->data[static_cast<std::size_t>(i)];
  }
  std::int64_t token_at(std::int64_t position) const {
    return static_cast<std::int64_t>(element(kHistory, position * rows_ + row_));
  }

  static double log_sum_of(const std::vector<double>& logits) {
    double total = 0.0;
    const double largest = *std::ranges::max_element(logits);
    for (const double logit : logits) total += std::exp(logit - largest);
    return largest + std::log(total);
  }

  std::vector<double> limited(std::vector<double> logits) const {
    const SamplerState state = sampler_state(c_.in(kSampler), static_cast<std::size_t>(row_));
    if (c_.node.attributes.integer("penalty", 0) != 0) {
      std::vector<std::size_t> seen;
      for (std::int64_t at = std::max<std::int64_t>(0, made_ + 1 - state.penalty_window); at <= made_; ++at) {
        seen.push_back(static_cast<std::size_t>(token_at(at)));
      }
      penalise(logits, std::move(seen), state.penalty);
    }
    const auto forbid = [&](std::int64_t token) {
      if (token >= 0 && static_cast<std::size_t>(token) < logits.size()) {
        logits[static_cast<std::size_t>(token)] = -std::numeric_limits<double>::infinity();
      }
    };
    std::for_each_n(options_.suppressed, options_.suppressed_count, forbid);
    if (made_ < options_.min_tokens) std::for_each_n(options_.ends, options_.end_count, forbid);
    for (std::int64_t end = options_.no_repeat; options_.no_repeat > 0 && end <= made_; ++end) {
      bool same = true;
      for (std::int64_t back = 1; back < options_.no_repeat && same; ++back) {
        same = token_at(end - back) == token_at(made_ + 1 - back);
      }
      if (same) forbid(token_at(end));
    }
    return logits;
  }

  void advance(std::int64_t token) {
    const std::int64_t next = made_ + 1;
    const bool fits = next < c_.shape(kTable)[0];
    if (fits) {
      element(kHistory, next * rows_ + row_) = static_cast<double>(token);
      if (c_.node.attributes.integer("keep_table", 0) == 0) {
        element(kTable, next * rows_ + row_) = static_cast<double>(next * rows_ + row_);
      }
    }
    const bool done = token < 0 || options_.ends_with(token) || next == options_.max_tokens || !fits;
    element(kParents, row_) = static_cast<double>(row_);
    element(kTokens, row_) = static_cast<double>(std::max<std::int64_t>(token, 0));
    element(kPosition, row_) = done ? -1.0 : static_cast<double>(next);
    element(kSampler, row_ * kSamplerWords + static_cast<std::int64_t>(kSamplerStepWord)) += 1.0;
  }

  const ReferenceContext& c_;
  std::int64_t row_, rows_;
  std::int64_t made_;  // tokens that the row has behind its first
  SearchOptions options_;
};

void reference(const ReferenceContext& c) {
  for (std::int64_t row = 0; row < c.shape(kLogits)[0]; ++row) RowStep(c, row).run();
}

void lower(Lowering& l) {
  const Shape& logits = l.input(kLogits).shape;
  const std::int64_t capacity = l.input(kTable).shape[0];
  if (capacity > std::numeric_limits<std::int32_t>::max() / logits[0]) l.fail("more than 2^31 places");
  const SamplePush push{
      .sequences = u32(logits[0]), .vocabulary = u32(logits[1]), .first = 0, .rows = 1, .context = u32(capacity)};
  const auto writes = [&](std::size_t i) {
    Binding binding = l.update(i);
    binding.access = Access::Write;
    return binding;
  };
  const SampledInputs inputs = {.position = kPosition, .history = kHistory, .sampler = kSampler};
  const SampledLogits copy = copy_of_logits(l, push);
  if (l.attributes().integer("penalty", 0) != 0) emit_penalty(l, copy, push, inputs);
  Dispatch limit;
  limit.shader = "sample_limits";
  limit.bindings = {l.read(kPosition, View::I32), l.read(kHistory, View::I32), l.read(kOptions, View::I32),
                    copy.binding};
  limit.push_constants = words_of(push);
  // The history is walked for each of up to kMostNoRepeat tokens.
  limit.specialization =
      words_of(SampleConstants{.lanes = lanes_of_sequence(l, kFirstForced + static_cast<std::uint64_t>(capacity) *
                                                                                SearchOptions::kMostNoRepeat)});
  limit.groups = l.spread(push.sequences);
  l.emit(std::move(limit));

  const std::uint64_t sequences = push.sequences;
  Binding chosen = l.scratch("chosen", sequences * 4);
  chosen.access = Access::Write;
  emit_choice(l, copy, inputs, l.attributes().integer("greedy", 0) != 0, true,
              {l.read(kPosition, View::I32), l.read(kSampler, View::I32), chosen});

  chosen.access = Access::ReadWrite;
  emit_score(
      l, push,
      {l.read(kLogits, View::F32), l.read(kPosition, View::I32), l.read(kOptions, View::I32), chosen, l.update(kSums)});

  chosen.access = Access::Read;
  chosen.view = View::I32;
  Dispatch advance;
  advance.shader = "sample_advance";
  advance.bindings = {
      chosen,           l.read(kOptions, View::I32), writes(kTokens), l.update(kPosition), writes(kParents),
      writes(kHistory), l.update(kSampler),          writes(kTable)};
  advance.push_constants = words_of(SampleAdvancePush{.sequences = push.sequences,
                                                      .capacity = u32(capacity),
                                                      .keeps_table = u32(l.attributes().integer("keep_table", 0))});
  advance.specialization = words_of(SampleAdvanceConstants{.lanes = l.lanes(32)});
  advance.groups = l.spread(ceil_div(sequences, std::uint64_t{advance.specialization[0]}));
  l.emit(std::move(advance));
}

}  // namespace

extern const Op op_sample_rows = {.names = {"sample_rows"},
                                  .infer = infer,
                                  .reference = reference,
                                  .lower = lower,
                                  .updates = {kTokens, kPosition, kParents, kHistory, kSampler, kTable, kSums}};

}  // namespace heed::ops
