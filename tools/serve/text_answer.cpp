#include "tools/serve/text_answer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "heed/error.h"

namespace heed::tools {
namespace {

/// In which a text whose time is over is still told so by the model's thread.
constexpr std::chrono::seconds kPatience(10);
constexpr std::chrono::milliseconds kTick(200);  // after which it is looked whether the client is still there

/// JSON has no infinity; this is what OpenAI's interface says instead.
double json_logprob(double logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

HttpError text_error(const Error& error) {
  return HttpError(dynamic_cast<const DeviceLost*>(&error) != nullptr ? 503 : 500, error.what());
}

}  // namespace

/// How a text ends, which the model's queue holds: where it is given up without a word the client is told all the same.
class TextAnswer::End {
 public:
  End(std::shared_ptr<TextAnswer> answer, std::size_t text) : answer_(std::move(answer)), text_(text) {}
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() {
    if (!told_) answer_->fail(HttpError(503, "the model stopped before the text was finished; try again"));
  }

  void end(Generation&& made) {
    told_ = true;
    answer_->push({.text = text_, .added = {}, .tokens = {}, .end = std::move(made)});
  }
  /// It never began; someone else tells why.
  void refused() { told_ = true; }
  void fail(const Error& error) {
    told_ = true;
    answer_->fail(text_error(error));
  }

 private:
  std::shared_ptr<TextAnswer> answer_;
  std::size_t text_;
  bool told_ = false;
};

std::shared_ptr<TextAnswer> TextAnswer::ask(Worker& worker, const TextOrder& order) {
  const auto answer = std::make_shared<TextAnswer>();
  answer->worker_ = &worker;
  answer->places_.emplace(worker.take_places(order.texts()));
  answer->left_ = order.texts();
  answer->deadline_ = Clock::now() + order.time;
  try {
    if (order.prepare) order.prepare();
  } catch (const HttpError&) {
    throw;
  } catch (const Error& error) {
    throw HttpError(400, worker.shown(error.what()));
  }
  worker.post({.work = [answer, order](Worker::Model& model) { answer->take_up(model, order); },
               .fail = [answer](const HttpError& error) { answer->fail(error); }});
  std::unique_lock lock(answer->mutex_);
  while (!answer->taken_up_ && !answer->error_) {
    answer->changed_.wait_for(lock, kTick);
    const bool gone = HttpServer::client_gone();
    if (!gone && Clock::now() < answer->deadline_ + kPatience) continue;
    answer->cancel();
    throw gone ? HttpError(499, "the client has gone") : HttpError(504, "the model did not begin in time");
  }
  if (answer->error_) throw HttpError(*answer->error_);
  return answer;
}

void TextAnswer::take_up(Worker::Model& model, const TextOrder& order) {
  try {
    if (cancelled_) return;
    std::vector<TextRequest> requests = order.requests(model);
    for (std::size_t i = 0; i < requests.size(); i += order.choices) {
      prompt_tokens_ += static_cast<std::int64_t>(requests[i].prompt.size());
    }
    for (std::size_t i = 0; i < requests.size(); ++i) add(model, i, std::move(requests[i]));
    const std::lock_guard lock(mutex_);
    taken_up_ = true;
    changed_.notify_all();
  } catch (const DeviceLost& error) {
    fail(text_error(error));
    throw;
  } catch (const HttpError& error) {
    fail(error);
  } catch (const Error& error) {
    fail(HttpError(400, worker_->shown(error.what())));
  } catch (const std::exception& error) {
    fail(HttpError(500, error.what()));
  }
}

void TextAnswer::add(Worker::Model& model, std::size_t text, TextRequest request) {
  const auto self = shared_from_this();
  const TextModel& texts = std::get<TextModel>(model.any);
  request.options.cancelled = [self] { return self->cancelled_ || Clock::now() >= self->deadline_; };
  request.on_text = [self, text](std::string_view added) {
    self->push({.text = text, .added = std::string(added), .tokens = {}, .end = {}});
  };
  request.on_token = [self, text, &texts](std::int32_t token, const TokenLogprobs* said) {
    if (said == nullptr) return;
    TokenSaid made{.text = texts.token_text(token), .logprob = json_logprob(said->logprob), .best = {}};
    for (const TokenLogprobs::Choice& other : said->best) {
      made.best.push_back({.text = texts.token_text(other.token), .logprob = json_logprob(other.logprob)});
    }
    self->push({.text = text, .added = {}, .tokens = {std::move(made)}, .end = {}});
  };
  const auto end = std::make_shared<End>(self, text);
  try {
    model.queue->add({.request = std::move(request),
                      .on_end = [end](Generation&& made) { end->end(std::move(made)); },
                      .on_error = [end](const Error& error) { end->fail(error); }});
  } catch (...) {
    end->refused();
    throw;
  }
}

void TextAnswer::push(Piece piece) {
  const std::lock_guard lock(mutex_);
  if (piece.end && --left_ == 0) places_.reset();
  const bool more_of_last = !pieces_.empty() && pieces_.back().text == piece.text && !pieces_.back().end;
  if (more_of_last && !piece.end) {
    TextAnswer::Piece& last = pieces_.back();
    last.added += piece.added;
    last.tokens.insert(last.tokens.end(), piece.tokens.begin(), piece.tokens.end());
  } else {
    pieces_.push_back(std::move(piece));
  }
  changed_.notify_all();
}

void TextAnswer::fail(const HttpError& error) {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;  // the others of the order
  if (error_ || (taken_up_ && left_ == 0)) return;
  error_ = error;
  places_.reset();
  changed_.notify_all();
}

std::optional<TextAnswer::Piece> TextAnswer::next(std::chrono::milliseconds wait) {
  const Clock::time_point end = Clock::now() + wait;
  std::unique_lock lock(mutex_);
  while (pieces_.empty() && !error_) {
    const Clock::time_point now = Clock::now();
    if (now >= end) return {};
    changed_.wait_for(lock, std::min<Clock::duration>(kTick, end - now));
    if (HttpServer::client_gone()) throw HttpError(499, "the client has gone");
  }
  if (error_) throw HttpError(*error_);
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  if (piece.end && piece.end->reason == StopReason::Cancelled && piece.end->tokens.empty()) {
    throw HttpError(504, "the time for this request was over before its first token");
  }
  return piece;
}

bool TextAnswer::ended() {
  const std::lock_guard lock(mutex_);
  return left_ == 0 && pieces_.empty() && !error_;
}

}  // namespace heed::tools
