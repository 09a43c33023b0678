#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <optional>

#include "chat/prompt.h"
#include "file/model_file.h"
#include "generate/attention_weights.h"
#include "generate/submission_length.h"
#include "generate/text/batch.h"
#include "generate/text/continuation.h"
#include "generate/text/session.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tokenizer/tokenizer.h"

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr int kMostLosses = 3;  // of the device while one text is generated

}  // namespace

void SamplingOptions::check() const {
  const auto fail = [](const char* option, auto value, const char* expected) {
    throw Error(fmt::format("{} is {}, expected {}", option, value, expected));
  };
  if (!(temperature >= 0.0) || !std::isfinite(temperature)) fail("temperature", temperature, "0 (greedy) or more");
  // Below, logits divided by it would leave the range of a float.
  if (temperature > 0.0 && temperature < 1e-3) fail("temperature", temperature, "0 (greedy) or at least 0.001");
  if (top_k < 0) fail("top-k", top_k, "0 (all) or more");
  if (!(top_p >= 0.0 && top_p <= 1.0)) fail("top-p", top_p, "a number from 0 to 1");
  if (!(min_p >= 0.0 && min_p <= 1.0)) fail("min-p", min_p, "a number from 0 to 1");
  if (!(repetition_penalty > 0.0) || !std::isfinite(repetition_penalty)) {
    fail("repetition penalty", repetition_penalty, "a positive number");
  }
  if (penalty_window < 0) fail("penalty window", penalty_window, "0 or more");
}

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::MaxTokens:
      return "max_tokens";
    case StopReason::EndToken:
      return "end_token";
    case StopReason::StopText:
      return "stop_text";
    case StopReason::ContextFull:
      return "context_full";
    case StopReason::Cancelled:
      return "cancelled";
  }
  return "unknown";
}

struct TextModel::State {
  State(const Device& opened, const std::filesystem::path& path, std::int64_t wanted_context, CacheType wanted_cache,
        std::int64_t wanted_slots)
      : slots(wanted_slots),
        device(opened),
        file(ModelFile::open(path)),
        session(std::make_unique<TextSession>(device.gpu(), file, wanted_context, wanted_cache)),
        context(session->context()),
        vocabulary(session->vocabulary()),
        cache(session->cache_type()) {
    if (file.has_file("tokenizer.json")) {
      tokenizer = Tokenizer::from_json(file.read_file("tokenizer.json"));
      if (static_cast<std::int64_t>(tokenizer->vocabulary_size()) > vocabulary) {
        throw Error(fmt::format("{}: the tokenizer has {} tokens, the model only {}", path.string(),
                                tokenizer->vocabulary_size(), vocabulary));
      }
      end_tokens = tokenizer->end_tokens();
    } else if (file.metadata().contains("end_tokens")) {
      end_tokens = file.metadata().at("end_tokens").get<std::vector<std::int32_t>>();
    }
    for (const std::int32_t token : end_tokens) {
      if (token < vocabulary) continue;
      throw Error(fmt::format("{}: the end token {} is outside the vocabulary of {}; convert the model again",
                              path.string(), token, vocabulary));
    }
  }

  Generation generate(const std::vector<std::int32_t>& prompt, const GenerationOptions& options,
                      const std::function<void(std::string_view)>& on_text);
  std::vector<Generation> generate_many(const std::vector<TextRequest>& requests,
                                        const std::function<void(std::size_t, const Generation&)>& on_end);
  /// The sequences that go on together, with the weights of the session.
  TextBatch& live_batch() {
    TextSession& with_weights = live();
    if (batch == nullptr) {
      batch = std::make_unique<TextBatch>(device.gpu(), with_weights.weights(), with_weights.text(), slots);
    }
    return *batch;
  }
  void forget_session() {
    batch.reset();
    session.reset();
  }
  /// Throws Error where there is none, or none that can be used.
  const chat::ChatPrompts& prompts();
  /// Opens the device afresh after `lost` and puts the model on it. Throws DeviceLost with both reasons where that
  /// fails.
  void reopen(const DeviceLost& lost);
  /// The session; where the device was lost before, on a fresh one.
  TextSession& live() {
    if (session == nullptr) reopen(DeviceLost("the device was lost"));
    return *session;
  }
  /// Does work with the session, which is no use any more where that loses the device.
  auto with_session(const auto& work) {
    try {
      return work(live());
    } catch (const DeviceLost&) {
      forget_session();
      throw;
    }
  }

  const std::int64_t slots;
  // Of the last submission; until there was one, steps go one at a time.
  double seconds_a_step = kSubmissionSeconds;
  Device device;
  ModelFile file;
  std::unique_ptr<TextSession> session;  // none after a device was lost and could not be opened again
  std::unique_ptr<TextBatch> batch;      // of the session's weights
  const std::int64_t context;
  const std::int64_t vocabulary;
  const CacheType cache;  // never Auto
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::int32_t> end_tokens;
  std::optional<chat::ChatPrompts> chat_prompts;  // once they are asked for
};

TextModel::TextModel(const Device& device, const std::filesystem::path& file, std::int64_t context, CacheType cache,
                     std::int64_t slots)
    : state_(std::make_unique<State>(device, file, context, cache, slots)) {
  if (slots < 1 || slots > TextBatch::kMostSlots) {
    throw Error(fmt::format("{} slots were asked for, expected 1 to {}", slots, TextBatch::kMostSlots));
  }
  if (slots > 1) {
    try {
      state_->live_batch().step_plan(slots);
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {
      throw Error(fmt::format("{} texts of {} tokens at a time: {}; fewer slots or a smaller context take less", slots,
                              state_->context, error.what()));
    }
  } else {
    state_->live().decode_plan();
  }
}
TextModel::~TextModel() = default;
TextModel::TextModel(TextModel&&) noexcept = default;
TextModel& TextModel::operator=(TextModel&&) noexcept = default;

std::int64_t TextModel::context() const { return state_->context; }
std::int64_t TextModel::vocabulary() const { return state_->vocabulary; }
CacheType TextModel::cache_type() const { return state_->cache; }
bool TextModel::has_tokenizer() const { return state_->tokenizer != nullptr; }

std::vector<std::int32_t> TextModel::tokenize(std::string_view text, bool specials) const {
  if (!has_tokenizer()) {
    throw Error(fmt::format("{}: the model has no tokenizer; give token ids, or convert it again with its tokenizer",
                            state_->file.path().string()));
  }
  return state_->tokenizer->encode(text, true, {specials, {}});
}

bool TextModel::has_chat() const { return has_tokenizer() && state_->file.metadata().contains("chat"); }

const chat::ChatPrompts& TextModel::State::prompts() {
  if (tokenizer == nullptr || !file.metadata().contains("chat")) {
    throw Error(
        fmt::format("{}: the model has no chat {}; it continues texts: heed generate", file.path().string(),
                    tokenizer == nullptr ? "template that could be used, for want of a tokenizer" : "template"));
  }
  if (!chat_prompts) {
    try {
      chat_prompts.emplace(chat::ChatFormat::from_json(file.metadata().at("chat")));
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", file.path().string(), error.what()));
    }
  }
  return *chat_prompts;
}

std::string TextModel::chat_text(const ChatRequest& request) const {
  return state_->prompts().render(request, *state_->tokenizer).text;
}

std::vector<std::int32_t> TextModel::chat_tokens(const ChatRequest& request) const {
  const chat::ChatPrompts::Prompt prompt = state_->prompts().render(request, *state_->tokenizer);
  return state_->tokenizer->encode(prompt.text, false, prompt.specials);
}

std::vector<std::int32_t> TextModel::chat_end_tokens(const ChatRequest& request) const {
  return state_->prompts().end_tokens(*state_->tokenizer, request);
}

std::string TextModel::detokenize(const std::vector<std::int32_t>& tokens) const {
  return has_tokenizer() ? state_->tokenizer->decode(tokens) : std::string();
}

void TextModel::State::reopen(const DeviceLost& lost) {
  forget_session();                     // frees its memory first
  seconds_a_step = kSubmissionSeconds;  // the fresh device may be a slower one, or a tired one
  try {
    device = device.reopened();
    session = std::make_unique<TextSession>(device.gpu(), file, context, cache);
  } catch (const Error& error) {
    throw DeviceLost(fmt::format("{}; and it cannot be opened again: {}", lost.what(), error.what()));
  }
}

Generation TextModel::State::generate(const std::vector<std::int32_t>& prompt, const GenerationOptions& options,
                                      const std::function<void(std::string_view)>& on_text) {
  Continuation text(prompt, options, tokenizer.get(), end_tokens, on_text);
  // Reads the prompt and what follows it so far, and takes the next token.
  const auto start = [&] {
    const std::optional<std::int32_t> first =
        live().start(text.so_far(), options.sampling, options.cancelled, static_cast<std::uint32_t>(text.made()));
    if (first) {
      text.take(*first);
    } else {
      text.stop(StopReason::Cancelled);
    }
  };
  // Does work on the device; where that is lost meanwhile, goes on with the text on a fresh one. A device that is lost
  // twice without a token in between would be lost again, and one that is lost again and again is not worth the time.
  std::int64_t made_at_loss = -1;
  const auto on_device = [&](const std::function<void()>& work) {
    std::function<void()> next = work;
    while (true) {
      try {
        return next();
      } catch (const DeviceLost& lost) {
        if (made_at_loss == text.made() || text.losses() == kMostLosses) {
          forget_session();
          throw;
        }
        made_at_loss = text.made();
        reopen(lost);
        text.count_loss();
        next = start;
      }
    }
  };

  on_device(start);
  while (!text.stopped()) {
    if (text.cancelled()) {
      text.stop(StopReason::Cancelled);
      break;
    }
    const std::int64_t wanted = std::min(text.wanted(), live().room());
    if (wanted <= 0) {
      text.stop(StopReason::ContextFull);
      break;
    }
    const int steps = steps_for(seconds_a_step, wanted);
    const Clock::time_point begin = Clock::now();
    on_device([&] {
      const std::vector<std::int32_t> tokens = live().step(steps);
      seconds_a_step = seconds_since(begin) / steps;
      for (const std::int32_t token : tokens) {
        if (!text.take(token)) break;
      }
    });
  }
  return text.finish();
}

std::vector<Generation> TextModel::State::generate_many(
    const std::vector<TextRequest>& requests, const std::function<void(std::size_t, const Generation&)>& on_end) {
  std::vector<Continuation> texts;
  live_batch();  // what is wrong with that is no request's fault
  for (std::size_t i = 0; i < requests.size(); ++i) {
    try {
      const TextRequest& request = requests[i];
      texts.emplace_back(request.prompt, request.options, tokenizer.get(), end_tokens, request.on_text);
      live_batch().check(request.prompt, request.options.sampling, request.options.max_tokens);
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {
      throw RequestError(i, error.what());
    }
  }
  std::vector<Generation> results(requests.size());
  std::vector<std::size_t> going;
  std::deque<std::size_t> waiting;
  for (std::size_t i = 0; i < requests.size(); ++i) waiting.push_back(i);
  const auto end = [&](std::size_t i) {
    results[i] = texts[i].finish();
    if (on_end) on_end(i, results[i]);
  };
  const auto add = [&](std::size_t i) {
    texts[i].begin();
    return live_batch().add(static_cast<std::int64_t>(i), texts[i].so_far(), texts[i].sampling(), texts[i].wanted(),
                            static_cast<std::uint32_t>(texts[i].made()));
  };
  const auto advance = [&] {
    std::erase_if(going, [&](std::size_t i) {
      if (!texts[i].cancelled()) return false;
      texts[i].stop(StopReason::Cancelled);
      live_batch().remove(static_cast<std::int64_t>(i));
      end(i);
      return true;
    });
    while (!waiting.empty()) {
      const std::size_t next = waiting.front();
      if (texts[next].cancelled()) {
        texts[next].stop(StopReason::Cancelled);
        end(next);
      } else if (add(next)) {
        going.push_back(next);
      } else {
        break;
      }
      waiting.pop_front();
    }
    for (const TextBatch::Made& made : live_batch().advance()) {
      const auto i = static_cast<std::size_t>(made.id);
      for (const std::int32_t token : made.tokens) {
        if (!texts[i].take(token)) break;
      }
      if (!texts[i].stopped() && made.broken) {
        throw RequestError(
            i, broken_logits(static_cast<std::int64_t>(texts[i].so_far().size()), device.gpu().caps(), cache));
      }
      if (!live_batch().has_room(made.id)) texts[i].stop(StopReason::ContextFull);
      if (!texts[i].stopped()) continue;
      live_batch().remove(made.id);
      std::erase(going, i);
      end(i);
    }
  };
  const auto made_in_all = [&] {
    std::int64_t made = 0;
    for (const Continuation& text : texts) made += text.made();
    return made;
  };
  int losses = 0;
  std::int64_t made_at_loss = -1;
  try {
    while (!waiting.empty() || !going.empty()) {
      try {
        advance();
      } catch (const DeviceLost& lost) {
        if (made_at_loss == made_in_all() || losses++ == kMostLosses) {
          forget_session();
          throw;
        }
        made_at_loss = made_in_all();
        reopen(lost);
        // They begin anew, those that had begun first; what they shared is gone, so that some may have to wait.
        for (const std::size_t i : going) texts[i].count_loss();
        waiting.insert(waiting.begin(), going.begin(), going.end());
        going.clear();
      }
    }
  } catch (...) {
    batch.reset();  // with the sequences that are left in it
    throw;
  }
  return results;
}

Generation TextModel::generate(const std::vector<std::int32_t>& prompt, const GenerationOptions& options,
                               const std::function<void(std::string_view)>& on_text) {
  if (state_->slots == 1) return state_->generate(prompt, options, on_text);
  return std::move(state_->generate_many({{prompt, options, on_text}}, {}).front());
}

std::vector<Generation> TextModel::generate_many(const std::vector<TextRequest>& requests,
                                                 const std::function<void(std::size_t, const Generation&)>& on_end) {
  if (state_->slots > 1) return state_->generate_many(requests, on_end);
  std::vector<Generation> results;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    try {
      results.push_back(state_->generate(requests[i].prompt, requests[i].options, requests[i].on_text));
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {
      throw RequestError(i, error.what());
    }
    if (on_end) on_end(i, results.back());
  }
  return results;
}

Generation TextModel::generate(std::string_view prompt, const GenerationOptions& options,
                               const std::function<void(std::string_view)>& on_text) {
  return generate(tokenize(prompt), options, on_text);
}

std::vector<float> TextModel::logits(const std::vector<std::int32_t>& tokens) {
  return state_->with_session([&](TextSession& session) { return session.logits(tokens); });
}

std::optional<Attention> TextModel::explain(const std::vector<std::int32_t>& tokens,
                                            const std::vector<std::size_t>& layers,
                                            const std::function<bool()>& cancelled) {
  Attention attention;
  attention.nodes =
      state_->with_session([&](TextSession& session) { return session.explain(tokens, layers, cancelled); });
  if (attention.nodes.empty()) return std::nullopt;  // cancelled
  const Tokenizer* const tokenizer = state_->tokenizer.get();
  attention.begin = token_label(tokenizer, tokens.front());
  for (auto token = tokens.begin() + 1; token != tokens.end(); ++token) {
    attention.target.push_back(token_label(tokenizer, *token));
    const bool known = tokenizer != nullptr && static_cast<std::size_t>(*token) < tokenizer->vocabulary_size();
    attention.target_special.push_back(tokenizer != nullptr && (!known || tokenizer->piece(*token).empty()));
  }
  return attention;
}

std::uint64_t TextModel::bytes_per_token() {
  return state_->with_session([](TextSession& session) { return session.decode_plan().bytes(); });
}
std::size_t TextModel::dispatches_per_token() {
  return state_->with_session([](TextSession& session) { return session.decode_plan().dispatches.size(); });
}
std::vector<DispatchTime> TextModel::profile(std::int64_t tokens) {
  return state_->with_session([&](TextSession& session) { return session.profile(tokens); });
}

}  // namespace heed
