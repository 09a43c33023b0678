#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "generate/step_state.h"
#include "graph/graph.h"
#include "heed/error.h"
#include "ops/beam_search.h"
#include "runtime/session.h"

namespace heed {

/// One way that a sentence may go.
struct Hypothesis {
  std::vector<std::int32_t> tokens;  // without an end token
  bool ended = false;                // by an end token; else it is as long as was allowed
  std::int32_t end_token = -1;       // that one
  double score = 0;  // sum of log probabilities, the end token's too, over so many tokens^length_penalty
};

/// What a sentence of a batch cannot be translated for; `sentence` counts from 0.
class SentenceError : public Error {
 public:
  SentenceError(std::int64_t sentence, const std::string& message) : Error(message), sentence_(sentence) {}
  std::size_t sentence() const { return static_cast<std::size_t>(sentence_); }

 private:
  std::int64_t sentence_;
};

/// Beam search over several sentences, on the device (ops/beam_search.cpp says exactly what it does); one beam is the
/// greedy search. Rows s B to s B + B - 1 of a step are the beams of sentence s. Used by one thread at a time.
class BeamSearch {
 public:
  /// A graph of StepState::with_rows() that chooses, too: it has one more dimension, `options`, and no output.
  static Graph append_to(const Graph& stepped, std::int64_t beams, std::int64_t ends);

  /// Sentences that a step has room for.
  BeamSearch(Session& session, StepState& steps, std::int64_t sentences, std::int64_t beams);

  /// Begins with the first `live` sentences, at `first_token`. `forced[s]` are the tokens that sentence s must begin
  /// with after that one (none where the list is shorter), for which it gets no score. Room for `capacity` positions.
  void start(std::int64_t live, std::int32_t first_token, const std::vector<std::vector<std::int32_t>>& forced,
             const ops::BeamOptions& options, std::int64_t capacity);
  /// How many sentences are not done, after steps. Throws SentenceError when logits held NaN or infinity.
  std::int64_t running();
  /// The hypotheses of each live sentence, the best first: at least one, at most as many as beams. Throws
  /// SentenceError where none was left that could go on.
  std::vector<std::vector<Hypothesis>> results();

  Bindings dims() const;

 private:
  Session& session_;
  StepState& steps_;
  std::int64_t sentences_;
  std::int64_t beams_;
  std::int64_t live_ = 0;
  std::int64_t forced_ = 0;  // a sentence
  ops::BeamOptions options_;
};

}  // namespace heed
