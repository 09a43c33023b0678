#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "file/model_file.h"
#include "generate/attention_weights.h"
#include "generate/submission_length.h"
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
  State(const Device& opened, const std::filesystem::path& path, std::int64_t wanted_context, CacheType wanted_cache)
      : device(opened),
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
      session.reset();
      throw;
    }
  }

  // Of the last submission; until there was one, steps go one at a time.
  double seconds_a_step = kSubmissionSeconds;
  Device device;
  ModelFile file;
  std::unique_ptr<TextSession> session;  // none after a device was lost and could not be opened again
  const std::int64_t context;
  const std::int64_t vocabulary;
  const CacheType cache;  // never Auto
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::int32_t> end_tokens;
};

TextModel::TextModel(const Device& device, const std::filesystem::path& file, std::int64_t context, CacheType cache)
    : state_(std::make_unique<State>(device, file, context, cache)) {
  state_->live().decode_plan();
}
TextModel::~TextModel() = default;
TextModel::TextModel(TextModel&&) noexcept = default;
TextModel& TextModel::operator=(TextModel&&) noexcept = default;

std::int64_t TextModel::context() const { return state_->context; }
std::int64_t TextModel::vocabulary() const { return state_->vocabulary; }
CacheType TextModel::cache_type() const { return state_->cache; }
bool TextModel::has_tokenizer() const { return state_->tokenizer != nullptr; }

std::vector<std::int32_t> TextModel::tokenize(std::string_view text) const {
  if (!has_tokenizer()) {
    throw Error(fmt::format("{}: the model has no tokenizer; give token ids, or convert it again with its tokenizer",
                            state_->file.path().string()));
  }
  return state_->tokenizer->encode(text);
}

std::string TextModel::detokenize(const std::vector<std::int32_t>& tokens) const {
  return has_tokenizer() ? state_->tokenizer->decode(tokens) : std::string();
}

void TextModel::State::reopen(const DeviceLost& lost) {
  session.reset();                      // frees its memory first
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
  Generation result;
  result.prompt_tokens = prompt;
  TextStream stream(options.stop);
  const auto show = [&](const std::string& text) {
    result.text += text;
    if (on_text && !text.empty()) on_text(text);
  };
  std::optional<StopReason> stopped;
  // Takes one token; false when it ends the generation.
  const auto take = [&](std::int32_t token) {
    const bool ends = std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end();
    if (ends && !options.ignore_end) stopped = StopReason::EndToken;
    if (!stopped) {
      result.tokens.push_back(token);
      if (tokenizer != nullptr) show(stream.push(tokenizer->piece(token)));
      if (stream.stopped()) {
        stopped = StopReason::StopText;
      } else if (static_cast<std::int64_t>(result.tokens.size()) >= options.max_tokens) {
        stopped = StopReason::MaxTokens;
      }
    }
    return !stopped;
  };

  if (options.max_tokens <= 0)
    throw Error(fmt::format("{} new tokens were asked for, expected at least 1", options.max_tokens));
  // Reads the prompt and what follows it so far, and takes the next token; false when that was cancelled.
  bool going = true;
  const auto start = [&] {
    std::vector<std::int32_t> tokens = prompt;
    tokens.insert(tokens.end(), result.tokens.begin(), result.tokens.end());
    const std::optional<std::int32_t> first =
        live().start(tokens, options.sampling, options.cancelled, static_cast<std::uint32_t>(result.tokens.size()));
    if (first) going = take(*first);
    return first.has_value();
  };
  // Does work on the device; where that is lost meanwhile, goes on with the text on a fresh one. A device that is lost
  // twice without a token in between would be lost again, and one that is lost again and again is not worth the time.
  std::size_t tokens_at_loss = std::numeric_limits<std::size_t>::max();
  const auto on_device = [&](const std::function<void()>& work) {
    std::function<void()> next = work;
    while (true) {
      try {
        return next();
      } catch (const DeviceLost& lost) {
        if (tokens_at_loss == result.tokens.size() || result.device_losses == kMostLosses) {
          session.reset();
          throw;
        }
        tokens_at_loss = result.tokens.size();
        reopen(lost);
        ++result.device_losses;
        next = [&] {
          if (!start()) stopped = StopReason::Cancelled;
        };
      }
    }
  };

  const Clock::time_point begin = Clock::now();
  on_device([&] {
    if (!start()) stopped = StopReason::Cancelled;
  });
  result.prompt_seconds = seconds_since(begin);
  if (stopped == StopReason::Cancelled) {
    result.reason = *stopped;
    return result;
  }
  const Clock::time_point generating = Clock::now();
  while (going && !stopped) {
    if (options.cancelled && options.cancelled()) {
      stopped = StopReason::Cancelled;
      break;
    }
    const std::int64_t wanted =
        std::min(options.max_tokens - static_cast<std::int64_t>(result.tokens.size()), live().room());
    if (wanted <= 0) {
      stopped = StopReason::ContextFull;
      break;
    }
    const int steps = steps_for(seconds_a_step, wanted);
    const Clock::time_point step_begin = Clock::now();
    on_device([&] {
      const std::vector<std::int32_t> tokens = live().step(steps);
      seconds_a_step = seconds_since(step_begin) / steps;
      for (const std::int32_t token : tokens) {
        going = take(token);
        if (!going) break;
      }
    });
  }
  result.generate_seconds = seconds_since(generating);
  result.reason = stopped.value_or(StopReason::MaxTokens);
  if (!stream.stopped()) show(stream.finish());
  return result;
}

Generation TextModel::generate(const std::vector<std::int32_t>& prompt, const GenerationOptions& options,
                               const std::function<void(std::string_view)>& on_text) {
  return state_->generate(prompt, options, on_text);
}

Generation TextModel::generate(std::string_view prompt, const GenerationOptions& options,
                               const std::function<void(std::string_view)>& on_text) {
  return state_->generate(tokenize(prompt), options, on_text);
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
