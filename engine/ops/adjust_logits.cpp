// op adjust_logits: changes the logits that a token is chosen from, before op sample or sample_rows: what may not come
// becomes -infinity, and biases and penalties are applied, as each sequence's rules say (ops/logit_rules.h).
//
// S sequences, whose rows are the last of the logits. inputs: logits [R, V], R >= S; tokens [T] i32, of which the
// number alone matters: what a step consumes of the only sequence, where the history is [C] i32; tokens [S] and T = 1
// where it is [C, S]; position [S] i32; history; rules [S, 32] i32; list [S, L] i32; mask? [S, ceil(V / 32)] i32.
// output: [S, V] f32.
//
// The text of a sequence is history[0, position + T); one at a negative position, and one whose rules have `adjusts` 0,
// is copied. In this order: where `masked`, tokens whose bit of the mask is 0 (bit t % 32 of word t / 32) become
// -infinity; the list's first `biases` pairs (token, bits of a float) are added, -infinity replaces; of the tokens in
// the last `window` of the text each has its logit divided (positive) or multiplied by `repetition` (Keskar et al.
// 2019), and then loses presence + frequency * how often it is there; DRY: of the last dry_window tokens each that
// stands behind what the text ends with, n >= dry_allowed tokens, loses dry_multiplier dry_base^(n - dry_allowed), for
// the longest n, which reaches over none of the `breakers` that follow the biases in the list, and is at most 64; what
// would make no_repeat tokens in a row stand twice becomes -infinity. NaN and infinity are never replaced.
#include "constants/adjust_logits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/logit_rules.h"
#include "ops/op.h"
#include "ops/sample_kernels.h"
#include "ops/search.h"
#include "plan/lowering.h"

namespace heed::ops {

static_assert(kDryLength == kMostDryLength);

LogitRules logit_rules(const std::vector<double>& words, std::size_t sequence) {
  std::array<std::uint32_t, kLogitRulesWords> bits{};
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = static_cast<std::uint32_t>(static_cast<std::int64_t>(words[sequence * bits.size() + i]));
  }
  return std::bit_cast<LogitRules>(bits);
}

namespace {

enum Input : std::size_t { kLogits, kTokens, kPosition, kHistory, kRules, kList, kMask };

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(7, {});
  c.expect_rank(kLogits, 2, "logits");
  c.expect_floats(kLogits, "logits");
  c.expect_rank(kPosition, 1, "position");
  const Shape& logits = c.input(kLogits).shape;
  const std::int64_t sequences = c.input(kPosition).shape[0];
  if (sequences < 1 || logits[0] < sequences || logits[1] < 1) {
    c.fail(fmt::format("logits are {}, expected a row or more for each of {} sequences", to_string(logits), sequences));
  }
  c.expect_rank(kTokens, 1, "tokens");
  const Shape& history = c.input(kHistory).shape;
  if (history.size() == 1) {
    c.expect_shape(kPosition, {1}, "position");
  } else {
    c.expect_rank(kHistory, 2, "history");
    c.expect_shape(kHistory, {history[0], sequences}, "history");
    c.expect_shape(kTokens, {sequences}, "tokens");
  }
  c.expect_shape(kRules, {sequences, kLogitRulesWords}, "rules");
  c.expect_rank(kList, 2, "list");
  c.expect_shape(kList, {sequences, c.input(kList).shape[1]}, "list");
  for (const std::size_t i : {kTokens, kPosition, kHistory, kRules, kList}) c.expect_integers(i, "the step state");
  if (c.has(kMask)) {
    c.expect_shape(kMask, {sequences, mask_words(logits[1])}, "mask");
    c.expect_integers(kMask, "the mask");
  }
  return {{DType::F32, {sequences, logits[1]}}};
}

constexpr double kNever = -std::numeric_limits<double>::infinity();

/// One sequence in double, as the formulas read.
class Adjustment {
 public:
  Adjustment(const ReferenceContext& c, std::int64_t sequence, std::int64_t step)
      : c_(c), sequence_(sequence), sequences_(c.shape(kPosition)[0]) {
    const auto vocabulary = c.shape(kLogits)[1];
    const std::int64_t first = (c.shape(kLogits)[0] - sequences_ + sequence) * vocabulary;
    logits_.assign(c.in(kLogits).begin() + first, c.in(kLogits).begin() + first + vocabulary);
    const auto position = static_cast<std::int64_t>(element(kPosition, sequence));
    end_ = position < 0 ? -1 : position + step;
    if (end_ > c.shape(kHistory)[0]) {
      throw Error(fmt::format("adjust_logits '{}': {} tokens do not fit a history of {}", c.node.name, end_,
                              c.shape(kHistory)[0]));
    }
    rules_ = logit_rules(c.in(kRules), static_cast<std::size_t>(sequence));
  }

  std::vector<double> run() {
    if (c_.has(kMask) && rules_.masked != 0) mask();
    if (end_ < 0 || rules_.adjusts == 0) return std::move(logits_);
    for (std::int64_t i = 0; i < rules_.biases; ++i) {
      const auto bias = static_cast<double>(std::bit_cast<float>(static_cast<std::int32_t>(list(2 * i + 1))));
      change(list(2 * i), [&](double logit) { return bias == kNever ? kNever : logit + bias; });
    }
    penalise();
    if (rules_.dry_multiplier > 0.0f) penalise_repetitions();
    for_each_repeat([&](std::int64_t at) { return token_at(at); }, end_, rules_.no_repeat,
                    [&](std::int64_t token) { change(token, [](double) { return kNever; }); });
    return std::move(logits_);
  }

 private:
  double element(std::size_t input, std::int64_t i) const { return c_.in(input)[static_cast<std::size_t>(i)]; }
  std::int64_t list(std::int64_t i) const {
    return static_cast<std::int64_t>(element(kList, sequence_ * c_.shape(kList)[1] + i));
  }
  std::int64_t token_at(std::int64_t at) const {
    return static_cast<std::int64_t>(element(kHistory, at * sequences_ + sequence_));
  }
  void change(std::int64_t token, const auto& to) {
    if (token < 0 || token >= static_cast<std::int64_t>(logits_.size())) return;
    double& logit = logits_[static_cast<std::size_t>(token)];
    if (std::isfinite(logit)) logit = to(logit);
  }

  void mask() {
    for (std::size_t token = 0; token < logits_.size(); ++token) {
      const auto word = static_cast<std::uint32_t>(static_cast<std::int64_t>(
          element(kMask, sequence_ * c_.shape(kMask)[1] + static_cast<std::int64_t>(token / 32))));
      if ((word >> (token % 32) & 1u) == 0 && std::isfinite(logits_[token])) logits_[token] = kNever;
    }
  }

  void penalise() {
    std::map<std::int64_t, int> counts;
    for (std::int64_t at = std::max<std::int64_t>(0, end_ - rules_.window); at < end_; ++at) ++counts[token_at(at)];
    for (const auto& [token, count] : counts) {
      const int times = count;
      change(token, [&](double logit) {
        const double repetition = rules_.repetition;
        return (logit > 0.0 ? logit / repetition : logit * repetition) -
               (times * static_cast<double>(rules_.frequency) + static_cast<double>(rules_.presence));
      });
    }
  }

  void penalise_repetitions() {
    const std::int64_t begin = std::max<std::int64_t>(0, end_ - std::int64_t{rules_.dry_window});
    std::set<std::int64_t> breakers;
    for (std::int64_t i = 0; i < rules_.breakers; ++i) breakers.insert(list(2 * std::int64_t{rules_.biases} + i));
    std::int64_t unbroken = 0;
    while (unbroken < end_ - begin && !breakers.contains(token_at(end_ - 1 - unbroken))) ++unbroken;
    unbroken = std::min(unbroken, kMostDryLength);
    std::map<std::int64_t, std::int64_t> longest;
    for (std::int64_t at = begin; at < end_; ++at) {
      std::int64_t length = 0;
      while (length < std::min(unbroken, at - begin) && token_at(at - 1 - length) == token_at(end_ - 1 - length)) {
        ++length;
      }
      std::int64_t& known = longest[token_at(at)];
      known = std::max(known, length);
    }
    for (const auto& [token, length] : longest) {
      if (length < rules_.dry_allowed) continue;
      const double penalty = static_cast<double>(rules_.dry_multiplier) *
                             std::pow(static_cast<double>(rules_.dry_base),
                                      static_cast<double>(length - std::int64_t{rules_.dry_allowed}));
      change(token, [&](double logit) { return logit - std::min(penalty, 1e30); });
    }
  }

  const ReferenceContext& c_;
  std::int64_t sequence_, sequences_;
  std::int64_t end_ = 0;  // tokens of the text; -1: there is none
  std::vector<double> logits_;
  LogitRules rules_;
};

void reference(const ReferenceContext& c) {
  const std::int64_t step = c.shape(kHistory).size() == 1 ? c.shape(kTokens)[0] : 1;
  std::vector<double>& out = c.out(0);
  out.clear();
  for (std::int64_t s = 0; s < c.shape(kPosition)[0]; ++s) {
    const std::vector<double> logits = Adjustment(c, s, step).run();
    out.insert(out.end(), logits.begin(), logits.end());
  }
}

void lower(Lowering& l) {
  const Shape& logits = l.input(kLogits).shape;
  const std::int64_t sequences = l.input(kPosition).shape[0];
  const std::int64_t context = l.input(kHistory).shape[0];
  if (context > std::numeric_limits<std::int32_t>::max() / sequences) l.fail("more than 2^31 places");
  const std::uint64_t elements = u64(sequences) * u64(logits[1]);
  const bool masks = l.has(kMask);
  const AdjustLogitsPush push{.sequences = u32(sequences),
                              .vocabulary = u32(logits[1]),
                              .first = u32((logits[0] - sequences) * logits[1]),
                              .rows = l.input(kHistory).shape.size() == 1 ? u32(l.input(kTokens).shape[0]) : 1,
                              .context = u32(context),
                              .list_words = u32(l.input(kList).shape[1]),
                              .mask_words = masks ? u32(l.input(kMask).shape[1]) : 0};
  Dispatch copy;
  if (masks) {
    copy.shader = "mask_logits";
    copy.bindings = {l.read(kLogits, View::I32), l.read(kRules, View::I32), l.read(kMask, View::I32), l.write()};
    copy.push_constants = words_of(push);
    copy.specialization = {l.lanes(64)};
  } else {
    copy.shader = "rows";
    copy.bindings = {l.read(kLogits, View::I32), l.write()};
    copy.push_constants = {u32(elements), push.first};
    copy.specialization = {l.lanes(64), 0};
  }
  copy.groups = l.spread(ceil_div(elements, std::uint64_t{copy.specialization[0]}));
  l.emit(std::move(copy));

  Dispatch d;
  d.shader = "adjust_logits";
  Binding adjusted = l.write();
  adjusted.access = Access::ReadWrite;
  d.bindings = {l.read(kPosition, View::I32),
                l.read(kHistory, View::I32),
                l.read(kRules, View::I32),
                l.read(kList, View::I32),
                adjusted,
                l.scratch("counts", elements * 4)};
  d.push_constants = words_of(push);
  // A text is walked for each of the tokens that an n-gram and a repetition may have, and a few times more.
  constexpr std::uint64_t kWalks = SearchOptions::kMostNoRepeat + kMostDryLength + 8;
  d.specialization = words_of(
      AdjustLogitsConstants{.lanes = lanes_of_sequence(l, u64(context) * kWalks + u64(l.input(kList).shape[1]))});
  d.groups = l.spread(push.sequences);
  l.emit(std::move(d));
}

}  // namespace

extern const Op op_adjust_logits;
const Op op_adjust_logits = {.names = {"adjust_logits"}, .infer = infer, .reference = reference, .lower = lower};

}  // namespace heed::ops
