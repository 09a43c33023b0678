// op token_logprobs: what a model said of the place of a token that was just chosen, kept for the host.
//
// S sequences, whose rows are the last of the logits. inputs: logits [R, V], R >= S, as the model made them; place [S]
// i32: which token of its sequence the chosen one is, counted from 0, or 0 and less where there is none; chosen [S]
// i32; rules [S, 32] i32 (ops/logit_rules.h); states values [D, S, 21] f32 and tokens [D, S, 20] i32. No outputs.
//
// Of a sequence whose rules have `logprobs` n + 1, n <= 20: values[place % D] becomes log softmax(logits) of the chosen
// token and then of the n most probable, the largest first, of equals the first; tokens[place % D] are these, -1 where
// the vocabulary has fewer. What stands behind the n stays.
#include "constants/token_logprobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "graph/integer.h"
#include "ops/logit_rules.h"
#include "ops/op.h"
#include "ops/sample_kernels.h"
#include "plan/lowering.h"

namespace heed::ops {

static_assert(kChoices == kLogprobChoices);

namespace {

enum Input : std::size_t { kLogits, kPlace, kChosen, kRules, kValues, kTokens };

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(6, {});
  c.expect_rank(kLogits, 2, "logits");
  c.expect_floats(kLogits, "logits");
  c.expect_rank(kPlace, 1, "place");
  const Shape& logits = c.input(kLogits).shape;
  const std::int64_t sequences = c.input(kPlace).shape[0];
  if (sequences < 1 || logits[0] < sequences || logits[1] < 1) {
    c.fail(fmt::format("logits are {}, expected a row or more for each of {} sequences", to_string(logits), sequences));
  }
  c.expect_shape(kChosen, {sequences}, "chosen");
  c.expect_shape(kRules, {sequences, kLogitRulesWords}, "rules");
  c.expect_rank(kValues, 3, "values");
  const std::int64_t depth = c.input(kValues).shape[0];
  if (depth < 1) c.fail("keeps values of no position");
  c.expect_shape(kValues, {depth, sequences, kLogprobChoices + 1}, "values");
  c.expect_shape(kTokens, {depth, sequences, kLogprobChoices}, "tokens");
  c.expect_floats(kValues, "values");
  for (const std::size_t i : {kPlace, kChosen, kRules, kTokens}) c.expect_integers(i, "the step state");
  return {};
}

void reference(const ReferenceContext& c) {
  const std::int64_t sequences = c.shape(kPlace)[0];
  const std::int64_t vocabulary = c.shape(kLogits)[1];
  for (std::int64_t s = 0; s < sequences; ++s) {
    const auto place = static_cast<std::int64_t>(c.in(kPlace)[static_cast<std::size_t>(s)]);
    const LogitRules rules = logit_rules(c.in(kRules), static_cast<std::size_t>(s));
    if (place <= 0 || rules.logprobs == 0) continue;
    const auto begin = c.in(kLogits).begin() + (c.shape(kLogits)[0] - sequences + s) * vocabulary;
    const std::vector<double> logits(begin, begin + vocabulary);
    const double largest = *std::ranges::max_element(logits);
    double sum = 0.0;
    for (const double logit : logits) sum += std::exp(logit - largest);
    const double log_sum = largest + std::log(sum);
    std::vector<std::int64_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    const std::int64_t at = place % c.shape(kValues)[0] * sequences + s;
    const auto put = [&](std::int64_t i, std::int64_t token) {
      c.inputs[kValues]->data[static_cast<std::size_t>(at * (kLogprobChoices + 1) + i)] =
          token < 0 || token >= vocabulary ? -std::numeric_limits<double>::infinity()
                                           : logits[static_cast<std::size_t>(token)] - log_sum;
    };
    put(0, static_cast<std::int64_t>(c.in(kChosen)[static_cast<std::size_t>(s)]));
    for (std::int64_t i = 0; i < std::min<std::int64_t>(rules.logprobs - 1, kLogprobChoices); ++i) {
      const std::int64_t token = i < vocabulary ? order[static_cast<std::size_t>(i)] : -1;
      put(i + 1, token);
      c.inputs[kTokens]->data[static_cast<std::size_t>(at * kLogprobChoices + i)] = static_cast<double>(token);
    }
  }
}

void lower(Lowering& l) {
  const Shape& logits = l.input(kLogits).shape;
  const std::int64_t sequences = l.input(kPlace).shape[0];
  const TokenLogprobsPush push{.sequences = u32(sequences),
                               .vocabulary = u32(logits[1]),
                               .first = u32((logits[0] - sequences) * logits[1]),
                               .depth = u32(l.input(kValues).shape[0])};
  Dispatch d;
  d.shader = "token_logprobs";
  d.variant = {l.caps().subgroup_arithmetic ? "1" : "0"};
  d.bindings = {l.read(kLogits, View::F32), l.read(kPlace, View::I32), l.read(kChosen, View::I32),
                l.read(kRules, View::I32),  l.update(kValues),         l.update(kTokens)};
  d.push_constants = words_of(push);
  d.specialization =
      words_of(TokenLogprobsConstants{.lanes = lanes_of_vocabulary(l, kLogprobChoices + 2, push.vocabulary)});
  d.groups = l.spread(push.sequences);
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_token_logprobs;
const Op op_token_logprobs = {
    .names = {"token_logprobs"}, .infer = infer, .reference = reference, .lower = lower, .updates = {kValues, kTokens}};

}  // namespace heed::ops
