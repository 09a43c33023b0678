#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "heed/text.h"
#include "tools/serve/http_server.h"
#include "tools/serve/metrics.h"
#include "tools/serve/past_answers.h"
#include "tools/serve/worker.h"

namespace heed::tools {

/// What a request gets that does not say otherwise, and what it may ask for at most.
struct ServeLimits {
  SamplingOptions sampling;
  std::optional<std::uint64_t> seed;  // none: drawn for each request
  std::int64_t max_tokens = 0;        // of a text; 0: what the context holds
  std::chrono::seconds time{600};     // of an answer
};

/// The server: its models, and the paths that it answers.
class Server {
 public:
  Server(HttpOptions http, ServeLimits limits);

  HttpServer& http() { return http_; }
  const HttpServer& http() const { return http_; }
  const ServeLimits& limits() const { return limits_; }
  Metrics& metrics() { return metrics_; }
  PastAnswers& answers() { return answers_; }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }

  void add_model(std::unique_ptr<Worker> worker);
  /// The model of this name, of one of these kinds; where no name is given, the first of them. Throws HttpError 404 for
  /// names that are not served, and 400 for models of another kind. `job`: what these can do, "write texts".
  Worker& model(const std::string& name, std::initializer_list<Worker::Kind> kinds, std::string_view job);

  void add_routes();
  /// Ends what is still going on.
  void give_up();

 private:
  HttpServer http_;
  const ServeLimits limits_;
  Metrics metrics_;
  PastAnswers answers_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// Each adds the paths of one interface.
void add_status_routes(Server& server);  // /health, /metrics, /v1/models
void add_openai_text_routes(Server& server);
void add_translate_routes(Server& server);  // LibreTranslate's
void add_attention_routes(Server& server);  // heed's own
void add_picture_routes(Server& server);    // OpenAI's
void add_page_route(Server& server);        // /, for people

}  // namespace heed::tools
