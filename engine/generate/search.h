#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/step_state.h"
#include "heed/error.h"
#include "ops/search.h"
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

/// How the sentences of a batch go on, on the device: a graph of StepState::with_rows() chooses, too, and its steps are
/// submitted again and again. Of every sentence there are as many rows as ways that it goes at a time: row s W + w of a
/// step is way w of sentence s. Used by one thread at a time.
class Search {
 public:
  /// Steps have room for so many sentences.
  Search(Session& session, StepState& steps, std::int64_t sentences, std::int64_t ways);
  virtual ~Search() = default;
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  /// Begins with the first `live` sentences, at `first_token`. `forced[s]` are the tokens that sentence s must begin
  /// with after that one (none where the list is shorter), for which it gets no score. Room for `capacity` positions.
  void start(std::int64_t live, std::int32_t first_token, const std::vector<std::vector<std::int32_t>>& forced,
             const ops::SearchOptions& options, std::int64_t capacity);
  /// The same for sentences that each begin at a token of their own.
  void start(const std::vector<std::int32_t>& first_tokens, const std::vector<std::vector<std::int32_t>>& forced,
             const ops::SearchOptions& options, std::int64_t capacity);
  /// How many sentences are not done, after steps. Throws SentenceError when logits held NaN or infinity.
  virtual std::int64_t running() = 0;
  /// The hypotheses of each live sentence, the best first: at least one, at most as many as ways. Throws SentenceError
  /// where none was left that could go on.
  virtual std::vector<std::vector<Hypothesis>> results() = 0;

  /// Those of the step state, and of the search.
  Bindings dims() const;

 protected:
  /// Sets what the search itself keeps; the step state and the options are set. `first_tokens` has one for each row.
  virtual void begin(const std::vector<std::int32_t>& first_tokens) = 0;
  /// Ways of a sentence that go at the beginning.
  virtual std::int64_t first_ways() const = 0;
  /// For how many lists of forced tokens the graph's options have room: sentences, or rows.
  virtual std::int64_t forced_lists() const = 0;

  std::int64_t rows() const { return sentences_ * ways_; }
  template <typename T>
  void write(const char* state, const std::vector<T>& values) {
    session_.reserve_and_write(state, std::as_bytes(std::span(values)));
  }
  template <typename T>
  std::vector<T> read(const char* state, std::int64_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    session_.read(state, std::as_writable_bytes(std::span(values)));
    return values;
  }

  Session& session_;
  StepState& steps_;
  const std::int64_t sentences_;
  const std::int64_t ways_;
  std::int64_t live_ = 0;
  ops::SearchOptions options_;
};

}  // namespace heed
