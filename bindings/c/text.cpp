// heed.h: text generation.
#include <algorithm>
#include <functional>
#include <limits>

#include "bindings/c/common.h"

namespace heed::c {

struct TextModelObject : TextModel {
  static constexpr const char* kKind = "text model";
  using TextModel::TextModel;
};

template <>
struct Described<heed_text_model_options> {
  static constexpr const char* kName = "heed_text_model_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_text_model_options, cache);
  static heed_text_model_options defaults() { return {}; }
};

template <>
struct Described<heed_generate_options> {
  static constexpr const char* kName = "heed_generate_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_generate_options, user);
  static heed_generate_options defaults() {
    heed_generate_options options{};
    options.max_tokens = GenerationOptions().max_tokens;
    options.logprobs = -1;
    return options;
  }
};

template <>
struct Described<heed_chat_options> {
  static constexpr const char* kName = "heed_chat_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_chat_options, specials_in_messages);
  static heed_chat_options defaults() {
    heed_chat_options options{};
    options.add_generation_prompt = 1;
    return options;
  }
};

namespace {

struct TextModelInfoResult : Result {
  heed_text_model_info view{};
};

struct GenerationResult : Result {
  explicit GenerationResult(Generation given)
      : generation(std::move(given)), reason(stop_reason_name(generation.reason)) {
    view.text = generation.text.c_str();
    view.bytes = generation.text.size();
    view.prompt_tokens = generation.prompt_tokens.data();
    view.prompt_token_count = generation.prompt_tokens.size();
    view.tokens = generation.tokens.data();
    view.token_count = generation.tokens.size();
    view.stop_reason = reason.c_str();
    view.prompt_seconds = generation.prompt_seconds;
    view.generate_seconds = generation.generate_seconds;
    view.device_losses = generation.device_losses;
  }
  /// `best`: how many of the best tokens were asked for.
  void show_logprobs(int best) {
    logprobs.reserve(std::max<std::size_t>(1, generation.logprobs.size()));  // NULL would say that none were asked for
    view.best_count = static_cast<std::size_t>(best);
    for (const TokenLogprobs& place : generation.logprobs) {
      logprobs.push_back(place.logprob);
      for (std::size_t i = 0; i < view.best_count; ++i) {
        const bool there = i < place.best.size();  // a vocabulary may have fewer
        best_tokens.push_back(there ? place.best[i].token : -1);
        best_logprobs.push_back(there ? place.best[i].logprob : -std::numeric_limits<float>::infinity());
      }
    }
    view.logprobs = logprobs.data();
    view.best_tokens = best_tokens.data();
    view.best_logprobs = best_logprobs.data();
  }
  heed_generation view{};
  Generation generation;
  std::string reason;
  std::vector<float> logprobs;
  std::vector<std::int32_t> best_tokens;
  std::vector<float> best_logprobs;
};

CacheType cache_named(const char* name) {
  if (name == nullptr) return CacheType::Auto;
  for (const CacheType type : {CacheType::Auto, CacheType::F32, CacheType::F16}) {
    if (name == cache_type_name(type)) return type;
  }
  throw Error(fmt::format("cache '{}': expected auto, f32 or f16", name));
}

ChatRequest request_of(const char* messages, const heed_chat_options* given) {
  need(messages, "messages");
  const heed_chat_options options = read_options(given);
  ChatRequest request;
  request.messages = messages;
  request.tools = text_or_nothing(options.tools);
  request.variables = text_or_nothing(options.variables);
  request.name = text_or_nothing(options.name);
  request.add_generation_prompt = options.add_generation_prompt != 0;
  request.specials_in_messages = options.specials_in_messages != 0;
  return request;
}

/// A caller's wishes for one continuation, as heed knows them.
class Request {
 public:
  explicit Request(const heed_generate_options* given) : options_(read_options(given)) {
    generation_.sampling = sampling_of(options_.sampling);
    generation_.max_tokens = options_.max_tokens;
    generation_.stop = texts_of(options_.stop, options_.stop_count, "stop");
    generation_.end = list_of(options_.end_tokens, options_.end_token_count, "end_tokens");
    generation_.ignore_end = options_.ignore_end != 0;
    if (options_.logprobs != -1) generation_.logprobs = options_.logprobs;
    if (options_.grammar != nullptr && options_.json_schema != nullptr) {
      throw InvalidArgument("a grammar and a json_schema are given, expected one of them");
    }
    generation_.cancelled = [this] {
      return stopped_ = stopped_ || (options_.cancelled != nullptr && options_.cancelled(options_.user) != 0);
    };
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  void end_at(const std::vector<std::int32_t>& tokens) {
    generation_.end.insert(generation_.end.end(), tokens.begin(), tokens.end());
  }

  template <class Prompt>
  void run(TextModel& model, const Prompt& prompt, const heed_generation** out) {
    if (options_.grammar != nullptr) generation_.constraint = model.grammar(options_.grammar, generation_.end);
    if (options_.json_schema != nullptr) {
      generation_.constraint = model.json_schema(options_.json_schema, generation_.end);
    }
    std::function<void(std::string_view)> on_text;
    if (options_.on_text != nullptr) {
      on_text = [this](std::string_view text) {
        // What was under way when it was stopped is in the result, but nobody waits for it.
        if (stopped_ || text.empty()) return;
        const std::string piece(text);  // ends with a zero
        stopped_ = options_.on_text(options_.user, piece.c_str(), piece.size()) != 0;
      };
    }
    auto result = std::make_unique<GenerationResult>(model.generate(prompt, generation_, on_text));
    if (generation_.logprobs) result->show_logprobs(*generation_.logprobs);
    give(out, std::move(result));
  }

 private:
  heed_generate_options options_;
  GenerationOptions generation_;
  bool stopped_ = false;
};

}  // namespace
}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

heed_status heed_text_model_options_init(heed_text_model_options* options, size_t size) {
  return init_options(options, size);
}
heed_status heed_generate_options_init(heed_generate_options* options, size_t size) {
  return init_options(options, size);
}
heed_status heed_chat_options_init(heed_chat_options* options, size_t size) { return init_options(options, size); }

heed_status heed_text_model_open(heed_device* device, const char* file, const heed_text_model_options* given,
                                 heed_text_model** model) {
  return guarded([&] {
    clear_out(model, "the place for the model");
    const heed_text_model_options options = read_options(given);
    open_model<TextModelObject>(device, file, model, options.context, cache_named(options.cache));
  });
}

heed_status heed_text_model_describe(heed_text_model* handle, const heed_text_model_info** info) {
  return guarded([&] {
    clear_out(info, "the place for the description");
    with_model<TextModelObject>(handle, [&](TextModel& model) {
      auto result = std::make_unique<TextModelInfoResult>();
      result->view.context = model.context();
      result->view.vocabulary = model.vocabulary();
      result->view.has_tokenizer = model.has_tokenizer() ? 1 : 0;
      result->view.has_chat = model.has_chat() ? 1 : 0;
      give(info, std::move(result));
    });
  });
}

heed_status heed_tokenize(heed_text_model* handle, const char* text, size_t bytes, int32_t specials,
                          const heed_tokens** tokens) {
  return guarded([&] {
    clear_out(tokens, "the place for the tokens");
    const std::string_view given = text_of(text, bytes, "the text");
    with_model<TextModelObject>(handle, [&](TextModel& model) {
      give(tokens, std::make_unique<TokensResult>(model.tokenize(given, specials != 0)));
    });
  });
}

heed_status heed_detokenize(heed_text_model* handle, const int32_t* ids, size_t count, const heed_text** text) {
  return guarded([&] {
    clear_out(text, "the place for the text");
    const auto tokens = list_of(ids, count, "the ids");
    with_model<TextModelObject>(
        handle, [&](TextModel& model) { give(text, std::make_unique<TextResult>(model.detokenize(tokens))); });
  });
}

heed_status heed_generate(heed_text_model* handle, const char* prompt, size_t bytes,
                          const heed_generate_options* options, const heed_generation** generation) {
  return guarded([&] {
    clear_out(generation, "the place for the continuation");
    const std::string_view text = text_of(prompt, bytes, "the prompt");
    Request request(options);
    with_model<TextModelObject>(handle, [&](TextModel& model) { request.run(model, text, generation); });
  });
}

heed_status heed_generate_from_tokens(heed_text_model* handle, const int32_t* ids, size_t count,
                                      const heed_generate_options* options, const heed_generation** generation) {
  return guarded([&] {
    clear_out(generation, "the place for the continuation");
    const auto tokens = list_of(ids, count, "the ids");
    Request request(options);
    with_model<TextModelObject>(handle, [&](TextModel& model) { request.run(model, tokens, generation); });
  });
}

heed_status heed_chat(heed_text_model* handle, const char* messages, const heed_chat_options* chat,
                      const heed_generate_options* options, const heed_generation** generation) {
  return guarded([&] {
    clear_out(generation, "the place for the answer");
    const ChatRequest asked = request_of(messages, chat);
    Request request(options);
    with_model<TextModelObject>(handle, [&](TextModel& model) {
      const std::vector<std::int32_t> prompt = model.chat_tokens(asked);
      request.end_at(model.chat_end_tokens(asked));
      request.run(model, prompt, generation);
    });
  });
}

heed_status heed_chat_prompt(heed_text_model* handle, const char* messages, const heed_chat_options* chat,
                             const heed_text** text, const heed_tokens** tokens) {
  return guarded([&] {
    if (text != nullptr) *text = nullptr;
    if (tokens != nullptr) *tokens = nullptr;
    const ChatRequest asked = request_of(messages, chat);
    with_model<TextModelObject>(handle, [&](TextModel& model) {
      auto prompt = std::make_unique<TextResult>(text == nullptr ? "" : model.chat_text(asked));
      if (tokens != nullptr) give(tokens, std::make_unique<TokensResult>(model.chat_tokens(asked)));
      if (text != nullptr) give(text, std::move(prompt));
    });
  });
}

heed_status heed_logits(heed_text_model* handle, const int32_t* ids, size_t count, float* logits, size_t capacity) {
  return guarded([&] {
    need(logits, "the place for the logits");
    const auto tokens = list_of(ids, count, "the ids");
    with_model<TextModelObject>(handle, [&](TextModel& model) {
      const auto row = static_cast<std::size_t>(model.vocabulary());
      if (capacity / row < count) {
        throw InvalidArgument(fmt::format("there is room for {} logits, expected {} tokens times a vocabulary of {}",
                                          capacity, count, row));
      }
      const std::vector<float> made = model.logits(tokens);
      std::ranges::copy(made, logits);
    });
  });
}
}
