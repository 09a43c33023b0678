#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "generate/search.h"
#include "generate/token_choice.h"
#include "graph/graph.h"
#include "heed/text.h"

namespace heed {

/// Sampling of several sentences (ops/sample_rows.cpp): each of a sentence's rows draws its tokens by itself. What
/// comes does not depend on the other sentences: row w of any draws the numbers of stream w.
class Sampling : public Search {
 public:
  using Mode = ChoiceMode;
  static Mode mode_of(const SamplingOptions& options) { return Mode::of(options); }

  /// A graph of StepState::with_rows() that chooses, too: it has one more dimension, `options`, those that
  /// ChoiceStates::reserve() gives sizes, and no output.
  /// `keep_table`: what the state `table` says is the host's, and stays.
  static Graph append_to(const Graph& stepped, Mode mode, bool keep_table = false);

  /// `sampling` must be of the graph's mode. `streams` has a stream for each row, in place of its way's number; rows of
  /// one stream draw the same numbers.
  Sampling(Session& session, StepState& steps, std::int64_t sentences, std::int64_t ways,
           const SamplingOptions& sampling, std::vector<std::uint32_t> streams = {})
      : Search(session, steps, sentences, ways), sampling_(sampling), streams_(std::move(streams)) {}

  std::int64_t running() override;
  std::vector<std::vector<Hypothesis>> results() override;
  /// The first `count` tokens that each live row has made so far, in order of rows; what is not made yet is undefined.
  std::vector<std::vector<std::int32_t>> made(std::int64_t count);

 private:
  void begin(const std::vector<std::int32_t>& first_tokens) override;
  std::int64_t first_ways() const override { return ways_; }
  std::int64_t forced_lists() const override { return rows(); }

  SamplingOptions sampling_;
  std::vector<std::uint32_t> streams_;  // by row; empty: the ways' numbers
};

}  // namespace heed
