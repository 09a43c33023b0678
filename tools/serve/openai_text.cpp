// OpenAI's interface to texts: /v1/completions and /v1/chat/completions.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "tools/serve/openai_format.h"
#include "tools/serve/server.h"
#include "tools/serve/text_answer.h"
#include "tools/serve/text_request.h"

namespace heed::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kKeepAlive(15);  // a stream says something at least so often, for what lies between

/// What is left to do for a request once its texts are under way.
class Answering {
 public:
  Answering(Server& server, Worker& worker, const TextOrder& order)
      : server_(server), worker_(worker), texts_(order.texts()), answer_(TextAnswer::ask(worker, order)) {}

  void begin(std::unique_ptr<OpenAiFormat> format) { format_ = std::move(format); }

  /// Sends the texts as they come, as server-sent events; false where the client does not take them. What goes wrong
  /// on the way is an event too: the status has gone out.
  bool stream(httplib::DataSink& sink) {
    const auto send = [&](const std::string& text) { return sink.write(text.data(), text.size()); };
    try {
      for (std::size_t text = 0; text < texts_; ++text) {
        const Json opening = format_->opening(text);
        if (!opening.is_null() && !send(event(opening))) return false;
      }
      while (!answer_->ended()) {
        const std::optional<TextAnswer::Piece> piece = answer_->next(kKeepAlive);
        if (piece) keep(*piece);
        const Json chunk = piece ? format_->chunk(*piece) : Json(nullptr);
        if (piece && chunk.is_null()) continue;
        if (!send(piece ? event(chunk) : ": the text is not ready yet\n\n")) return false;
      }
      if (format_->options().usage && !send(event(format_->usage_chunk(answer_->prompt_tokens())))) return false;
      count();
    } catch (const HttpError& error) {
      if (!send(event(error.body()))) return false;
    }
    if (!send("data: [DONE]\n\n")) return false;
    sink.done();
    return true;
  }

  /// The texts as a whole, once they have ended.
  Json whole() {
    while (!answer_->ended()) {
      const auto piece = answer_->next(kKeepAlive);
      if (!piece) continue;
      keep(*piece);
      format_->take(*piece);
    }
    count();
    return format_->whole(answer_->prompt_tokens());
  }

 private:
  static std::string event(const Json& data) {
    return fmt::format("data: {}\n\n", data.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  /// What /v1/attention may be asked for later.
  void keep(const TextAnswer::Piece& piece) {
    if (!piece.end) return;
    server_.answers().keep(format_->id(), piece.text,
                           {.model = worker_.name(), .prompt = piece.end->prompt_tokens, .tokens = piece.end->tokens});
  }
  void count() {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    server_.metrics().count_done(worker_.name(), texts_, answer_->prompt_tokens(), format_->shared(), format_->made(),
                                 seconds);
  }

  Server& server_;
  Worker& worker_;
  const std::size_t texts_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  AnswerReader answer_;
  std::unique_ptr<OpenAiFormat> format_;
};

void respond(const std::shared_ptr<Answering>& answering, bool stream, httplib::Response& response) {
  if (!stream) return set_json(response, answering->whole());
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");  // nginx would keep events back
  response.set_chunked_content_provider(
      "text/event-stream", [answering](std::size_t, httplib::DataSink& sink) { return answering->stream(sink); });
}

/// What the server allows.
void bound(TextOptions& options, const ServeLimits& limits) {
  std::int64_t& most = options.generation.max_tokens;
  if (limits.max_tokens > 0) most = std::min(most, limits.max_tokens);
}

/// The order's texts; what they are made of is the same for all.
TextOrder order_of(Server& server, Worker& worker, const TextOptions& options) {
  TextOrder order;
  order.choices = options.choices;
  order.time = server.limits().time;
  if (!options.constrained()) return order;
  // What is made of the grammar lives until the texts have constraints of their own.
  const auto made = std::make_shared<std::shared_ptr<TokenConstraint>>();
  order.prepare = [&worker, options, made, time = order.time] { *made = worker.constrain(options, time); };
  return order;
}

/// What a request's options need a model's tokens for.
TextOptions with_tokens(const TextOptions& options, Worker::Model& model) {
  TextOptions resolved = options;
  SamplingOptions& sampling = resolved.generation.sampling;
  if (sampling.dry_multiplier > 0) sampling.dry_breakers = model.tokens_with(options.dry_breakers);
  return resolved;
}

void complete(Server& server, const nlohmann::ordered_json& body, httplib::Response& response) {
  CompletionRequest request = CompletionRequest::read(body, server.limits());
  bound(request.options, server.limits());
  Worker& worker = server.model(request.options.model, {Worker::Kind::Text}, "write texts");
  TextOrder order = order_of(server, worker, request.options);
  order.prompts = request.prompts.size();
  const auto echoed = std::make_shared<std::vector<std::string>>();  // written before the texts are under way
  order.requests = [request, echoed, &worker](Worker::Model& opened) {
    const TextModel& model = std::get<TextModel>(opened.any);
    const TextOptions options = with_tokens(request.options, opened);
    std::vector<TextRequest> requests;
    for (const auto& prompt : request.prompts) {
      const auto* const text = std::get_if<std::string>(&prompt);
      const std::vector<std::int32_t> tokens =
          text != nullptr ? model.tokenize(*text, request.special) : std::get<std::vector<std::int32_t>>(prompt);
      for (std::size_t i = 0; i < request.options.choices; ++i) {
        requests.push_back({tokens, options.of_choice(i, worker.grammars())});
        if (request.echo) echoed->push_back(text != nullptr ? *text : model.detokenize(tokens));
      }
    }
    return requests;
  };
  const auto answering = std::make_shared<Answering>(server, worker, order);
  answering->begin(std::make_unique<CompletionFormat>(worker.name(), request.options, *echoed));
  respond(answering, request.options.stream, response);
}

void chat(Server& server, const nlohmann::ordered_json& body, httplib::Response& response) {
  ChatCompletionRequest request = ChatCompletionRequest::read(body, server.limits());
  bound(request.options, server.limits());
  std::string name = request.options.model;
  for (const auto& other : server.workers()) {
    if (name.empty() && other->has_chat()) name = other->name();
  }
  Worker& worker = server.model(name, {Worker::Kind::Text}, "write texts");
  TextOrder order = order_of(server, worker, request.options);
  order.requests = [request, &worker](Worker::Model& opened) {
    const TextModel& model = std::get<TextModel>(opened.any);
    const TextOptions options = with_tokens(request.options, opened);
    const std::vector<std::int32_t> end = model.chat_end_tokens(request.chat);
    const std::vector<std::int32_t> tokens = model.chat_tokens(request.chat);
    std::vector<TextRequest> requests;
    for (std::size_t i = 0; i < request.options.choices; ++i) {
      requests.push_back({tokens, options.of_choice(i, worker.grammars(), end)});
    }
    return requests;
  };
  const auto answering = std::make_shared<Answering>(server, worker, order);
  answering->begin(
      std::make_unique<ChatFormat>(worker.name(), request.options, request.tools, request.options.choices));
  respond(answering, request.options.stream, response);
}

}  // namespace

void add_openai_text_routes(Server& server) {
  server.http().post_json(
      "/v1/completions",
      [&server](const nlohmann::ordered_json& body, httplib::Response& response) { complete(server, body, response); });
  server.http().post_json(
      "/v1/chat/completions",
      [&server](const nlohmann::ordered_json& body, httplib::Response& response) { chat(server, body, response); });
  server.http().post_json("/v1/embeddings", [](const nlohmann::ordered_json&, httplib::Response&) {
    throw HttpError(501, "no model here makes embeddings: the models that heed serves write texts, translate or draw");
  });
}

}  // namespace heed::tools
