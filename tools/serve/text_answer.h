#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/serve/worker.h"

namespace heed::tools {

/// What a client asks a text model for: `choices` continuations of each of some prompts.
struct TextOrder {
  std::size_t prompts = 1;
  std::size_t choices = 1;
  std::chrono::seconds time{600};  // after which texts end where they are
  /// What is done before the model is asked, on the client's thread; may be none. What these two throw as Error is the
  /// client's fault.
  std::function<void()> prepare{};
  /// Makes the request of each text, prompt by prompt, on the model's thread.
  std::function<std::vector<TextRequest>(Worker::Model&)> requests;

  std::size_t texts() const { return prompts * choices; }
};

/// A token of a text with what the model said of its place, where that was asked for.
struct TokenSaid {
  struct Choice {
    std::string text;
    double logprob = 0;
  };
  std::string text;  // bytes, which may be a part of a character
  double logprob = 0;
  std::vector<Choice> best;
};

/// The texts of one order, on their way from the model's thread to the client's.
class TextAnswer : public std::enable_shared_from_this<TextAnswer> {
 public:
  struct Piece {
    std::size_t text = 0;  // its number
    std::string added;
    std::vector<TokenSaid> tokens;  // those that made it, where log probabilities were asked for
    std::optional<Generation> end;  // of this text
  };

  /// Returns when the model has taken the texts up. Throws HttpError where it does not: 400 for what cannot be done,
  /// 429 where too much waits, 503 where the model is not there, 499 where the client has gone.
  static std::shared_ptr<TextAnswer> ask(Worker& worker, const TextOrder& order);

  /// The next piece; none when nothing came within `wait`. Throws HttpError where a text cannot be finished, 504 where
  /// not even its first token came in time, 499 where the client has gone.
  std::optional<Piece> next(std::chrono::milliseconds wait);
  /// Whether all texts have ended and their pieces were taken.
  bool ended();
  /// Tokens of the prompts, each counted once however many choices it has.
  std::int64_t prompt_tokens() const { return prompt_tokens_; }
  /// The texts are not wanted any more.
  void cancel() { cancelled_ = true; }

 private:
  using Clock = std::chrono::steady_clock;
  class End;

  void take_up(Worker::Model& model, const TextOrder& order);
  void add(Worker::Model& model, std::size_t text, TextRequest request);
  void push(Piece piece);
  void fail(const HttpError& error);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  std::optional<HttpError> error_;
  const Worker* worker_ = nullptr;  // who has been asked
  std::optional<Worker::Places> places_;
  bool taken_up_ = false;
  std::size_t left_ = 0;  // texts that have not ended
  std::int64_t prompt_tokens_ = 0;
  Clock::time_point deadline_{};
  std::atomic<bool> cancelled_ = false;
};

/// Cancels an answer's texts when whoever reads them goes.
class AnswerReader {
 public:
  explicit AnswerReader(std::shared_ptr<TextAnswer> answer) : answer_(std::move(answer)) {}
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;
  ~AnswerReader() { answer_->cancel(); }
  TextAnswer* operator->() const { return answer_.get(); }

 private:
  std::shared_ptr<TextAnswer> answer_;
};

}  // namespace heed::tools
