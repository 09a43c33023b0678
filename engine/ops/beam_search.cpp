// op beam_search: chooses how the beams of several sentences go on and advances the step state, all on the device, so
// that a recorded step can be resubmitted without the host.
//
// N sentences with B beams each make R = N B rows; row s B + b is beam b of sentence s, and the beams are in order, the
// best first. C positions can be fed, of which the first is where a sentence begins. inputs: logits [R, V]; states
// tokens [R] i32, position [R] i32, parents [R] i32, table [C, R] i32, sums [R] f32, records [C R, 2] i32, hypotheses
// [N, B, 3] i32, scores [N, B] f32, progress [N, 2] i32; options [128 + N P] i32 (ops/search.h). No outputs.
// attributes: beams (B), ends (default 1: how many end tokens there are, at most).
//
// A step makes token n of every sentence that is not done (progress: what SearchProgress says, and n - 1). A candidate
// is a beam that goes on with a token; its score is the beam's sum of log probabilities (sums) and that of the token,
// log softmax(logits). Tokens that options suppress, that would repeat no_repeat tokens in a row, and end tokens before
// min_tokens do not come (and with renormalise count for nothing in the softmax); tokens that are there already have
// their log probability times repetition_penalty (Keskar et al. 2019; with one beam their logit, as op sample); a
// forced token is the only candidate of its beam and adds 0. Of the best (1 + max(1, ends)) B candidates of a sentence
// in order (of equals the lower beam, then the lower token): those that end, or make max_tokens, become hypotheses
// where they are among the first B, with score / n^length_penalty, of which the best B are kept; the first B of the
// others are the next beams. A sentence is done as SearchOptions::early_stop says, when no beam is left, and after
// max_tokens. This is what Hugging Face's beam search does.
//
// What the beams leave: parents, the row that each continues (of this step's); position n, or -1 for rows without a
// beam, whose sum is -3e38; table, where in a cache the key of each position lies, which is place p R + row of the step
// that fed position p; records of places, the token there and the place before. A hypothesis is the place of all its
// tokens but the last, the last, and how many they are; 0 where there is none. A row of logits with NaN or infinity
// ends its sentence as Broken.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "constants/beam_advance.h"
#include "constants/beam_candidates.h"
#include "constants/beam_select.h"
#include "graph/integer.h"
#include "ops/op.h"
#include "ops/search.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum Input : std::size_t {
  kLogits,
  kTokens,
  kPosition,
  kParents,
  kTable,
  kSums,
  kRecords,
  kHypotheses,
  kScores,
  kProgress,
  kOptions
};

constexpr double kLeastScore = static_cast<double>(-1.0e38f);  // of a beam that there is; kNoScore is that of others

/// Candidates of a sentence that are looked at: enough for as many beams as before if each of them could end in each
/// way.
std::int64_t considered(const Node& node) {
  return node.attributes.integer("beams") * (1 + std::max<std::int64_t>(1, node.attributes.integer("ends", 1)));
}

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(11, {"beams", "ends"});
  const std::int64_t beams = c.node.attributes.integer("beams");
  if (beams < 1 || beams > kMostBeams) c.fail(fmt::format("has {} beams, expected 1 to {}", beams, kMostBeams));
  const std::int64_t ends = c.node.attributes.integer("ends", 1);
  if (ends < 0 || ends > static_cast<std::int64_t>(SearchOptions::kMostEnds)) {
    c.fail(fmt::format("has {} end tokens, expected 0 to {}", ends, SearchOptions::kMostEnds));
  }
  c.expect_rank(kLogits, 2, "logits");
  c.expect_floats(kLogits, "logits");
  const std::int64_t rows = c.input(kLogits).shape[0];
  if (rows < 1 || c.input(kLogits).shape[1] < 1) c.fail("logits are empty");
  if (rows % beams != 0) c.fail(fmt::format("{} rows are no whole number of sentences of {} beams", rows, beams));
  const std::int64_t sentences = rows / beams;
  c.expect_rank(kTable, 2, "table");
  const std::int64_t capacity = c.input(kTable).shape[0];
  c.expect_shape(kTokens, {rows}, "tokens");
  c.expect_shape(kPosition, {rows}, "position");
  c.expect_shape(kParents, {rows}, "parents");
  c.expect_shape(kTable, {capacity, rows}, "table");
  c.expect_shape(kSums, {rows}, "sums");
  c.expect_shape(kRecords, {capacity * rows, 2}, "records");
  c.expect_shape(kHypotheses, {sentences, beams, 3}, "hypotheses");
  c.expect_shape(kScores, {sentences, beams}, "scores");
  c.expect_shape(kProgress, {sentences, 2}, "progress");
  check_search_options(c, kOptions, sentences, "sentences");
  for (const std::size_t i : {kTokens, kPosition, kParents, kTable, kRecords, kHypotheses, kProgress, kOptions}) {
    c.expect_integers(i, "the step state");
  }
  c.expect_floats(kSums, "sums");
  c.expect_floats(kScores, "scores");
  return {};
}

/// One sentence's step in double, as the formula reads.
class SentenceStep {
 public:
  SentenceStep(const ReferenceContext& c, std::int64_t sentence)
      : c_(c),
        sentence_(sentence),
        beams_(c.node.attributes.integer("beams")),
        rows_(c.shape(kLogits)[0]),
        vocabulary_(c.shape(kLogits)[1]),
        capacity_(c.shape(kTable)[0]) {
    options_ = search_options(c.in(kOptions));
    made_ = integer(kProgress, 2 * sentence + 1);
  }

  void run() {
    double& state = element(kProgress, 2 * sentence_);
    if (state == 0.0) {
      const std::vector<Candidate> best = candidates();
      element(kProgress, 2 * sentence_ + 1) = static_cast<double>(++made_);
      if (!broken_) choose(best);
      state = static_cast<double>(broken_     ? SearchProgress::Broken
                                  : is_done() ? SearchProgress::Done
                                              : SearchProgress::Running);
      if (state != 0.0) next_.clear();
    }
    advance();
  }

 private:
  struct Candidate {
    double score;
    std::int64_t beam;
    std::int64_t token;
  };

  double& element(std::size_t input, std::int64_t i) const {
    return c_.inputs[input]->data[static_cast<std::size_t>(i)];
  }
  std::int64_t integer(std::size_t input, std::int64_t i) const { return static_cast<std::int64_t>(element(input, i)); }
  std::int64_t row(std::int64_t beam) const { return sentence_ * beams_ + beam; }
  std::int64_t token_at(std::int64_t row, std::int64_t position) const {
    return integer(kRecords, 2 * integer(kTable, position * rows_ + row));
  }
  static bool among(std::int64_t token, const std::int32_t* tokens, std::int32_t count) {
    return std::find(tokens, tokens + count, token) != tokens + count;
  }
  static bool comes(double logit) { return std::isfinite(logit) && logit > kLeastScore; }

  bool repeats(std::int64_t row, std::int64_t token) const {
    const std::int64_t n = options_.no_repeat;
    if (n == 0 || made_ + 1 < n) return false;
    for (std::int64_t end = n; end <= made_; ++end) {
      bool same = token_at(row, end) == token;
      for (std::int64_t back = 1; back < n && same; ++back) {
        same = token_at(row, end - back) == token_at(row, made_ + 1 - back);
      }
      if (same) return true;
    }
    return false;
  }

  bool has_come(std::int64_t row, std::int64_t token) const {
    for (std::int64_t at = 0; at <= made_ && options_.repetition_penalty != 1.0f; ++at) {
      if (token_at(row, at) == token) return true;
    }
    return false;
  }

  /// All candidates, the best first.
  std::vector<Candidate> candidates() {
    std::vector<Candidate> all;
    for (std::int64_t beam = 0; beam < beams_; ++beam) {
      const std::int64_t r = row(beam);
      const double sum = element(kSums, r);
      if (sum < kLeastScore) continue;
      const auto first = c_.in(kLogits).begin() + r * vocabulary_;
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t t = 0; t < vocabulary_; ++t) {
        if (std::isnan(first[t]) || first[t] == std::numeric_limits<double>::infinity()) broken_ = true;
        largest = std::max(largest, first[t]);
      }
      if (!comes(largest)) broken_ = true;
      if (broken_) return {};
      if (const std::int64_t forced = forced_token(options_, c_.in(kOptions), sentence_, made_); forced >= 0) {
        all.push_back({sum, beam, forced});
        continue;
      }
      const auto may_come = [&](std::int64_t t) {
        if (!comes(first[t]) || among(t, options_.suppressed, options_.suppressed_count)) return false;
        return !(made_ < options_.min_tokens && options_.ends_with(t)) && !repeats(r, t);
      };
      const auto log_sum = [&](const auto& logit, bool of_all) {
        double total = 0.0;
        for (std::int64_t t = 0; t < vocabulary_; ++t) {
          if (of_all ? comes(first[t]) : may_come(t)) total += std::exp(logit(t) - largest);
        }
        return largest + std::log(total);
      };
      const double log_of_all = log_sum([&](std::int64_t t) { return first[t]; }, true);
      const double penalty = options_.repetition_penalty;
      const auto penalised = [&](std::int64_t t) {
        if (!has_come(r, t)) return first[t];
        if (beams_ > 1) return log_of_all + (first[t] - log_of_all) * penalty;
        return first[t] > 0.0 ? first[t] / penalty : first[t] * penalty;
      };
      const double log_total = options_.renormalise == 0 ? log_of_all : log_sum(penalised, false);
      for (std::int64_t t = 0; t < vocabulary_; ++t) {
        if (!may_come(t) || !comes(penalised(t))) continue;
        all.push_back({sum + (penalised(t) - log_total), beam, t});
      }
    }
    std::ranges::stable_sort(all, [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    return all;
  }

  void choose(const std::vector<Candidate>& best) {
    for (std::int64_t i = 0; i < std::min(considered(c_.node), static_cast<std::int64_t>(best.size())); ++i) {
      const Candidate& candidate = best[static_cast<std::size_t>(i)];
      if (options_.ends_with(candidate.token) || made_ == options_.max_tokens) {
        if (i < beams_) add_hypothesis(candidate);
      } else if (static_cast<std::int64_t>(next_.size()) < beams_) {
        next_.push_back(candidate);
      }
    }
  }

  double length_scale(std::int64_t tokens) const {
    return std::pow(static_cast<double>(tokens), static_cast<double>(options_.length_penalty));
  }

  void add_hypothesis(const Candidate& candidate) {
    const double score = candidate.score / length_scale(made_);
    std::int64_t at = beams_;
    while (at > 0 && (integer(kHypotheses, (row(at - 1)) * 3 + 2) == 0 || element(kScores, row(at - 1)) < score)) --at;
    if (at == beams_) return;
    for (std::int64_t b = beams_ - 1; b > at; --b) {
      element(kScores, row(b)) = element(kScores, row(b - 1));
      for (std::int64_t w = 0; w < 3; ++w)
        element(kHypotheses, row(b) * 3 + w) = element(kHypotheses, row(b - 1) * 3 + w);
    }
    element(kScores, row(at)) = score;
    element(kHypotheses, row(at) * 3) = static_cast<double>((made_ - 1) * rows_ + row(candidate.beam));
    element(kHypotheses, row(at) * 3 + 1) = static_cast<double>(candidate.token);
    element(kHypotheses, row(at) * 3 + 2) = static_cast<double>(made_);
  }

  bool is_done() const {
    if (next_.empty() || made_ == options_.max_tokens) return true;
    if (integer(kHypotheses, row(beams_ - 1) * 3 + 2) == 0) return false;
    const auto early = static_cast<EarlyStop>(options_.early_stop);
    if (early == EarlyStop::AtOnce) return true;
    const bool may_grow = early == EarlyStop::Never && options_.length_penalty > 0.0f;
    return next_.front().score / length_scale(may_grow ? options_.max_tokens : made_) <=
           element(kScores, row(beams_ - 1));
  }

  void advance() {
    const std::vector<double> before = c_.in(kTable);
    for (std::int64_t beam = 0; beam < beams_; ++beam) {
      const std::int64_t r = row(beam);
      const bool lives = beam < static_cast<std::int64_t>(next_.size());
      const Candidate chosen =
          lives ? next_[static_cast<std::size_t>(beam)] : Candidate{static_cast<double>(kNoScore), beam, -1};
      element(kSums, r) = chosen.score;
      const std::int64_t parent = row(chosen.beam);
      for (std::int64_t p = 0; p < std::min(made_, capacity_); ++p) {
        element(kTable, p * rows_ + r) = before[static_cast<std::size_t>(p * rows_ + parent)];
      }
      if (made_ >= capacity_) continue;
      const std::int64_t place = made_ * rows_ + r;
      element(kTokens, r) = static_cast<double>(std::max<std::int64_t>(chosen.token, 0));
      element(kPosition, r) = lives ? static_cast<double>(made_) : -1.0;
      element(kParents, r) = static_cast<double>(parent);
      element(kTable, place) = static_cast<double>(place);
      if (!lives) continue;
      element(kRecords, 2 * place) = static_cast<double>(chosen.token);
      element(kRecords, 2 * place + 1) = static_cast<double>((made_ - 1) * rows_ + parent);
    }
  }

  const ReferenceContext& c_;
  std::int64_t sentence_, beams_, rows_, vocabulary_, capacity_;
  SearchOptions options_;
  std::int64_t made_;  // tokens that the sentence has
  bool broken_ = false;
  std::vector<Candidate> next_;
};

void reference(const ReferenceContext& c) {
  const std::int64_t sentences = c.shape(kProgress)[0];
  for (std::int64_t s = 0; s < sentences; ++s) SentenceStep(c, s).run();
}

/// How beam_candidates goes through a row of logits.
struct RowWalk {
  std::uint32_t lanes;
  bool run_ahead;
};

/// As wide as GPUs like it, as far as what lanes keep fits shared memory, and loops end before the device ends them
/// whatever the logits are.
RowWalk row_walk(const Lowering& l, std::uint32_t keep, std::uint64_t vocabulary, std::uint64_t capacity) {
  const DeviceCaps& caps = l.caps();
  const std::uint64_t width = vocabulary % 4 == 0 ? 4 : 1;
  const auto depth = static_cast<std::uint64_t>(std::bit_width(keep));  // of a heap
  const auto iterations = [&](std::uint32_t many, bool run_ahead) {
    const std::uint64_t blocks = vocabulary / width / many + 1;  // of a lane
    // Twice through the row, in rounds, each with a last look. Lanes that run ahead wait for each other, in turn at
    // worst. Every logit may be better than all before it.
    const std::uint64_t row = blocks * (3 + (run_ahead ? caps.subgroup_size : 1) + width * (depth + 1));
    const std::uint64_t marks =
        (vocabulary / 16 + kFirstForced + capacity) / many + 4 + SearchOptions::kMostNoRepeat * (capacity / many + 1);
    return row + marks + keep * (depth + 3) + (3 * std::uint64_t{keep} + 6) * Lowering::reduce_iterations(many);
  };
  const auto shared = [&](std::uint32_t many) { return std::uint64_t{many} * (keep * 8 + 4); };
  const std::uint32_t most = std::min(caps.max_workgroup_invocations, caps.max_workgroup_size[0]);
  std::uint32_t first = l.tuning().lanes;
  if (caps.subgroup_size > 8) first = std::max(first, l.lanes(128));
  while (shared(first) > caps.max_shared_memory && first > 1) first /= 2;
  if (shared(first) > caps.max_shared_memory) {
    l.fail(
        fmt::format("{} candidates of each beam do not fit the {} bytes of shared memory that {} has; use fewer beams",
                    keep, caps.max_shared_memory, caps.name));
  }
  for (const bool run_ahead : {true, false}) {
    if (run_ahead && caps.type != DeviceType::Cpu) continue;
    for (std::uint32_t lanes = first; lanes <= most && shared(lanes) <= caps.max_shared_memory; lanes *= 2) {
      if (iterations(lanes, run_ahead) <= caps.max_loop_iterations) return {lanes, run_ahead};
    }
  }
  l.fail(
      fmt::format("{} candidates of each beam among {} tokens take more loop iterations than the {} that {} allows; "
                  "use fewer beams",
                  keep, vocabulary, caps.max_loop_iterations, caps.name));
}

void lower(Lowering& l) {
  const std::int64_t beams = l.attributes().integer("beams");
  const std::int64_t rows = l.input(kLogits).shape[0];
  const std::int64_t vocabulary = l.input(kLogits).shape[1];
  const std::int64_t sentences = rows / beams;
  const std::int64_t capacity = l.input(kTable).shape[0];
  if (capacity > std::numeric_limits<std::int32_t>::max() / 2 / rows) l.fail("more than 2^30 places");
  // All of a sentence's best may be of one beam.
  const std::uint32_t keep = u32(std::min(considered(l.node()), vocabulary));
  const auto reads = [&](std::size_t i, View view) {
    Binding binding = l.update(i);
    binding.access = Access::Read;
    binding.view = view;
    return binding;
  };
  const auto writes = [&](std::size_t i) {
    Binding binding = l.update(i);
    binding.access = Access::Write;
    return binding;
  };

  const bool vectors = vocabulary % 4 == 0;
  Binding candidates = l.scratch("candidates", u64(rows) * keep * 8);
  candidates.access = Access::Write;
  const std::uint64_t mark_words = ceil_div(u64(vocabulary), std::uint64_t{32});
  const Binding marks = l.scratch("marks", u64(rows) * 2 * mark_words * 4);
  Dispatch find;
  find.shader = "beam_candidates";
  const RowWalk walk = row_walk(l, keep, u64(vocabulary), u64(capacity));
  // Sums over subgroups are over whole ones.
  const bool whole = l.caps().subgroup_size > 0 && walk.lanes % l.caps().subgroup_size == 0;
  find.variant = {vectors ? "4" : "1", l.caps().subgroup_arithmetic && whole ? "1" : "0"};
  find.bindings = {l.read(kLogits, vectors ? View::F32x4 : View::F32),
                   reads(kSums, View::F32),
                   reads(kTable, View::I32),
                   reads(kRecords, View::I32),
                   reads(kProgress, View::I32),
                   l.read(kOptions, View::I32),
                   candidates,
                   marks};
  find.push_constants = words_of(BeamCandidatesPush{
      .rows = u32(rows), .vocabulary = u32(vocabulary), .beams = u32(beams), .mark_words = u32(mark_words)});
  find.specialization =
      words_of(BeamCandidatesConstants{.lanes = walk.lanes, .keep = keep, .run_ahead = walk.run_ahead});
  find.groups = l.spread(u64(rows));
  l.emit(std::move(find));

  candidates.access = Access::Read;
  candidates.view = View::I32;
  Binding decisions = l.scratch("decisions", u64(rows) * 8);
  decisions.access = Access::Write;
  Dispatch select;
  select.shader = "beam_select";
  select.bindings = {candidates,        l.read(kOptions, View::I32), l.update(kSums), l.update(kHypotheses),
                     l.update(kScores), l.update(kProgress),         decisions};
  select.push_constants = words_of(BeamSelectPush{.sentences = u32(sentences), .rows = u32(rows)});
  const std::uint32_t lanes = l.lanes(32);
  select.specialization = words_of(
      BeamSelectConstants{.lanes = lanes, .keep = keep, .beams = u32(beams), .considered = u32(considered(l.node()))});
  select.groups = l.spread(ceil_div(u64(sentences), lanes));
  l.emit(std::move(select));

  decisions.access = Access::Read;
  decisions.view = View::I32;
  Dispatch advance;
  advance.shader = "beam_advance";
  advance.bindings = {decisions,        reads(kProgress, View::I32),
                      writes(kTokens),  writes(kPosition),
                      writes(kParents), l.update(kTable),
                      writes(kRecords)};
  advance.push_constants =
      words_of(BeamAdvancePush{.sentences = u32(sentences), .rows = u32(rows), .capacity = u32(capacity)});
  advance.specialization = words_of(BeamAdvanceConstants{.lanes = lanes, .beams = u32(beams)});
  advance.groups = l.spread(ceil_div(u64(sentences * capacity), lanes));
  l.emit(std::move(advance));
}

}  // namespace

extern const Op op_beam_search = {
    .names = {"beam_search"},
    .infer = infer,
    .reference = reference,
    .lower = lower,
    .updates = {kTokens, kPosition, kParents, kTable, kSums, kRecords, kHypotheses, kScores, kProgress}};

}  // namespace heed::ops
