#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "generate/attention_weights.h"
#include "generate/text/continuation.h"
#include "generate/text/model_state.h"
#include "heed/text_queue.h"

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

}  // namespace

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

TextModel::State::State(const Device& opened, const std::filesystem::path& path, std::int64_t wanted_context,
                        CacheType wanted_cache, std::int64_t wanted_slots)
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
  grammars = make_grammars();
  for (const std::int32_t token : end_tokens) {
    if (token < vocabulary) continue;
    throw Error(fmt::format("{}: the end token {} is outside the vocabulary of {}; convert the model again",
                            path.string(), token, vocabulary));
  }
}

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

std::string TextModel::token_text(std::int32_t token) const {
  const bool known =
      has_tokenizer() && token >= 0 && static_cast<std::size_t>(token) < state_->tokenizer->vocabulary_size();
  return known ? std::string(state_->tokenizer->piece(token)) : std::string();
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

Generation TextModel::State::generate(const TextRequest& request) {
  const GenerationOptions& options = request.options;
  Continuation text(request.prompt, options, tokenizer.get(), end_tokens, request.on_text, request.on_token);
  // Reads the prompt and what follows it so far, and takes the next token.
  const auto start = [&] {
    const std::optional<std::int32_t> first =
        live().start(text.so_far(), text.choice(), options.cancelled, static_cast<std::uint32_t>(text.made()));
    if (first) {
      const std::vector<TokenLogprobs> logprobs = live().logprobs(1);
      text.take(*first, logprobs.empty() ? nullptr : &logprobs.front());
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
    const std::int64_t wanted = std::min({text.wanted(), live().room(), live().most_steps()});
    if (wanted <= 0) {
      text.stop(StopReason::ContextFull);
      break;
    }
    const int steps = steps_for(seconds_a_step, wanted);
    const Clock::time_point begin = Clock::now();
    on_device([&] {
      const std::vector<std::int32_t> tokens = live().step(steps);
      seconds_a_step = seconds_since(begin) / steps;
      const std::vector<TokenLogprobs> logprobs = live().logprobs(tokens.size());
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (!text.take(tokens[i], logprobs.empty() ? nullptr : &logprobs[i])) break;
      }
    });
  }
  return text.finish();
}

Generation TextModel::generate(const std::vector<std::int32_t>& prompt, const GenerationOptions& options,
                               const std::function<void(std::string_view)>& on_text) {
  const TextRequest request{prompt, options, on_text, {}};
  if (state_->slots == 1) return state_->generate(request);
  return std::move(generate_many({request}).front());
}

std::vector<Generation> TextModel::generate_many(const std::vector<TextRequest>& requests,
                                                 const std::function<void(std::size_t, const Generation&)>& on_end) {
  std::vector<Generation> results(requests.size());
  const auto of_request = [](std::size_t i, const auto& work) {
    try {
      work();
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {
      throw RequestError(i, error.what());
    }
  };
  if (state_->slots == 1) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      of_request(i, [&] { results[i] = state_->generate(requests[i]); });
      if (on_end) on_end(i, results[i]);
    }
    return results;
  }
  TextQueue queue(*this);
  std::optional<RequestError> wrong;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    of_request(i, [&] {
      queue.add({.request = requests[i],
                 .on_end =
                     [&results, &on_end, i](Generation&& made) {
                       results[i] = std::move(made);
                       if (on_end) on_end(i, results[i]);
                     },
                 .on_error = [&wrong, i](const Error& error) { wrong.emplace(i, error.what()); }});
    });
  }
  while (!queue.empty()) {
    queue.advance();
    if (wrong) throw RequestError(*wrong);
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

std::vector<AttentionLayer> TextModel::attention_layers() const {
  return state_->with_session([](const TextSession& session) { return session.attention_layers(); });
}

std::uint64_t TextModel::bytes_per_token() {
  return state_->with_session([](TextSession& session) { return session.decode_plan().bytes(); });
}
std::size_t TextModel::dispatches_per_token() {
  return state_->with_session([](TextSession& session) { return session.decode_plan().dispatches.size(); });
}
std::vector<DispatchTime> TextModel::profile(std::int64_t tokens, std::int64_t depth) {
  return state_->with_session([&](TextSession& session) { return session.profile(tokens, depth); });
}

}  // namespace heed
