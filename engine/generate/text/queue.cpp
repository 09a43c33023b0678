#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "generate/text/continuation.h"
#include "generate/text/graph.h"
#include "generate/text/model_state.h"
#include "heed/text_queue.h"

namespace heed {
namespace {

/// A text and how far it is. Stays where it is: the continuation refers to the request.
struct Text {
  Text(QueuedText queued, const Tokenizer* tokenizer, std::span<const std::int32_t> end_tokens)
      : caller(std::move(queued)),
        continuation(caller.request.prompt, caller.request.options, tokenizer, end_tokens, caller.request.on_text,
                     caller.request.on_token) {}

  QueuedText caller;
  Continuation continuation;
};

}  // namespace

struct TextQueue::State {
  explicit State(TextModel::State& of) : model(of) {
    if (model.has_queue) throw Error("the model has a queue of texts already, and generates nothing beside it");
    model.live_batch();
    model.has_queue = true;
  }
  ~State() {
    forget();
    model.has_queue = false;
  }

  /// Whether it has a slot now.
  bool give_slot(std::int64_t id) {
    Continuation& text = texts.at(id)->continuation;
    text.begin();
    return model.live_batch().add(id, text.so_far(), text.choice(), text.wanted(),
                                  static_cast<std::uint32_t>(text.made()));
  }
  void end(std::int64_t id) {
    const std::unique_ptr<Text> text = std::move(texts.extract(id).mapped());
    text->caller.on_end(text->continuation.finish());
  }
  /// Lets a text that has a slot go.
  void leave(std::int64_t id) {
    Continuation& text = texts.at(id)->continuation;
    // Begun anew, a text has what it had made as a part of its prompt, and may find keys of that.
    if (text.losses() == 0) text.set_shared(model.live_batch().shared_tokens(id));
    model.live_batch().remove(id);
    std::erase(going, id);
  }
  /// Lets it go for good; the others go on.
  void give_up(std::int64_t id, const Error& error) {
    leave(id);
    const std::unique_ptr<Text> text = std::move(texts.extract(id).mapped());
    text->caller.on_error(error);
  }
  void forget() {
    if (!going.empty()) model.batch.reset();  // with the sequences that are left in it
    going.clear();
    waiting.clear();
    texts.clear();
  }
  std::int64_t made() const {
    std::int64_t tokens = ended_tokens;
    for (const auto& [id, text] : texts) tokens += text->continuation.made();
    return tokens;
  }

  void drop_cancelled() {
    const auto cancelled = [&](std::int64_t id) { return texts.at(id)->continuation.cancelled(); };
    for (std::size_t i = 0; i < going.size();) {
      const std::int64_t id = going[i];
      if (!cancelled(id)) {
        ++i;
        continue;
      }
      texts.at(id)->continuation.stop(StopReason::Cancelled);
      leave(id);
      end(id);
    }
    for (std::size_t i = 0; i < waiting.size();) {
      const std::int64_t id = waiting[i];
      if (!cancelled(id)) {
        ++i;
        continue;
      }
      texts.at(id)->continuation.stop(StopReason::Cancelled);
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
      end(id);
    }
  }

  void take(const TextBatch::Made& made) {
    Text& text = *texts.at(made.id);
    Continuation& continuation = text.continuation;
    try {
      for (std::size_t i = 0; i < made.tokens.size(); ++i) {
        if (!continuation.take(made.tokens[i], made.logprobs.empty() ? nullptr : &made.logprobs[i])) break;
      }
    } catch (const ConstraintError& error) {
      return give_up(made.id, error);
    }
    if (!continuation.stopped() && made.broken) {
      if (!made.why.empty()) return give_up(made.id, Error(made.why));
      return give_up(made.id,
                     Error(broken_logits(static_cast<std::int64_t>(continuation.so_far().size()),
                                         model.device.gpu().caps(), model.cache, continuation.choice().limits())));
    }
    if (!model.live_batch().has_room(made.id)) continuation.stop(StopReason::ContextFull);
    if (!continuation.stopped()) return;
    ended_tokens += continuation.made();
    leave(made.id);
    end(made.id);
  }

  /// After a loss of the device: they begin anew, those that had begun first. What they shared is gone, so that some
  /// may have to wait.
  void begin_anew() {
    for (const std::int64_t id : going) texts.at(id)->continuation.count_loss();
    waiting.insert(waiting.begin(), going.begin(), going.end());
    going.clear();
  }

  void advance() {
    if (model.batch == nullptr) begin_anew();  // the model was used otherwise meanwhile, and lost the device
    drop_cancelled();
    while (!waiting.empty()) {
      const std::int64_t id = waiting.front();
      try {
        if (!give_slot(id)) break;
        going.push_back(id);
      } catch (const DeviceLost&) {
        throw;
      } catch (const Error& error) {
        const std::unique_ptr<Text> text = std::move(texts.extract(id).mapped());
        text->caller.on_error(error);
      }
      waiting.pop_front();
    }
    for (const TextBatch::Made& one : model.live_batch().advance()) take(one);
  }

  TextModel::State& model;
  std::map<std::int64_t, std::unique_ptr<Text>> texts;
  std::vector<std::int64_t> going;
  std::deque<std::int64_t> waiting;
  std::int64_t next_id = 0;
  std::int64_t ended_tokens = 0;  // of texts that have ended by themselves
  // A device that is lost again without a token in between would be lost again, and one that is lost again and again
  // while the same texts go on is not worth the time.
  std::int64_t made_at_loss = -1;
};

TextQueue::TextQueue(TextModel& model) : state_(std::make_unique<State>(*model.state_)) {}
TextQueue::~TextQueue() = default;

void TextQueue::add(QueuedText text) {
  State& state = *state_;
  TextModel::State& model = state.model;
  auto added = std::make_unique<Text>(std::move(text), model.tokenizer.get(), model.end_tokens);
  const TextRequest& request = added->caller.request;
  model.live_batch().check(request.prompt, TokenChoice(request.options), request.options.max_tokens);
  const std::int64_t id = state.next_id++;
  state.texts.emplace(id, std::move(added));
  state.waiting.push_back(id);
}

void TextQueue::advance() {
  State& state = *state_;
  if (empty()) return;
  try {
    state.advance();
  } catch (const DeviceLost& lost) {
    const bool again = state.made_at_loss == state.made();
    state.made_at_loss = state.made();
    bool too_often = false;
    for (const std::int64_t id : state.going) {
      too_often = too_often || state.texts.at(id)->continuation.losses() == kMostLosses;
    }
    try {
      if (again || too_often) throw;
      state.model.reopen(lost);
    } catch (const DeviceLost& for_good) {
      state.model.forget_session();
      const auto lost_texts = std::exchange(state.texts, {});
      state.forget();
      for (const auto& [id, text] : lost_texts) text->caller.on_error(for_good);
      throw;
    }
    state.begin_anew();
  } catch (...) {
    state.forget();
    throw;
  }
}

std::size_t TextQueue::going() const { return state_->going.size(); }
std::size_t TextQueue::waiting() const { return state_->waiting.size(); }
std::int64_t TextQueue::shared_tokens() const {
  const TextBatch* const batch = state_->model.batch.get();
  return batch == nullptr ? 0 : batch->shared_tokens();
}

}  // namespace heed
