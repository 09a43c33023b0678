#pragma once

#include "generate/search.h"
#include "graph/graph.h"

namespace heed {

/// Beam search over several sentences (ops/beam_search.cpp says exactly what it does); one beam is the greedy search.
class BeamSearch : public Search {
 public:
  /// A graph of StepState::with_rows() that chooses, too: it has more dimensions, `sentences` and `options`, and no
  /// output.
  static Graph append_to(const Graph& stepped, std::int64_t beams, std::int64_t ends);

  using Search::Search;
  std::int64_t running() override;
  std::vector<std::vector<Hypothesis>> results() override;

 private:
  void begin(const std::vector<std::int32_t>& first_tokens) override;
  // All beams would go the same way from there: one does.
  std::int64_t first_ways() const override { return 1; }
  std::int64_t forced_lists() const override { return sentences_; }
};

}  // namespace heed
