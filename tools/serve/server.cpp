#include "tools/serve/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "tools/serve/ids.h"

namespace heed::tools {

Server::Server(HttpOptions http, ServeLimits limits) : http_(std::move(http)), limits_(std::move(limits)) {
  http_.on_answer = [this](const std::string& route, int status) { metrics_.count_answer(route, status); };
}

void Server::add_model(std::unique_ptr<Worker> worker) { workers_.push_back(std::move(worker)); }

Worker& Server::model(const std::string& name, std::initializer_list<Worker::Kind> kinds, std::string_view job) {
  const auto fits = [&](const Worker& worker) { return std::ranges::find(kinds, worker.kind()) != kinds.end(); };
  std::string known;
  std::size_t count = 0;
  for (const auto& worker : workers_) {
    if (worker->name() == name && !fits(*worker)) {
      throw HttpError(400, fmt::format("model {} does not {}", name, job), "model");
    }
    if (!fits(*worker)) continue;
    if (name.empty() || worker->name() == name) return *worker;
    known += (known.empty() ? "" : ", ") + worker->name();
    ++count;
  }
  if (name.empty()) throw HttpError(404, fmt::format("no model here can {}", job));
  const std::string expected = count == 0   ? fmt::format("and none that can {}", job)
                               : count == 1 ? fmt::format("expected '{}'", known)
                                            : fmt::format("expected one of {}", known);
  throw HttpError(404, fmt::format("there is no model '{}' here, {}", name, expected), "model", "model_not_found");
}

void add_status_routes(Server& server) {
  // Without a key, for supervisors: says nothing but whether all is well.
  server.http().get(
      "/health",
      [&server](const httplib::Request&, httplib::Response& response) {
        const bool ready = std::ranges::all_of(
            server.workers(), [](const auto& worker) { return worker->state() == Worker::State::Ready; });
        if (!ready) response.set_header("Retry-After", "5");
        set_json(response, {{"status", ready ? "ok" : "recovering"}}, ready ? 200 : 503);
      },
      true);
  server.http().get("/metrics", [&server](const httplib::Request&, httplib::Response& response) {
    response.set_content(server.metrics().text(server.workers()), "text/plain; version=0.0.4");
  });
  const auto started = unix_time();
  const auto describe = [started](const Worker& worker) {
    static constexpr const char* kKinds[] = {"text", "translation", "draw", "transform", "text-to-image"};
    nlohmann::ordered_json model = {{"id", worker.name()},
                                    {"object", "model"},
                                    {"created", started},
                                    {"owned_by", "heed"},
                                    {"task", kKinds[static_cast<std::size_t>(worker.kind())]}};
    if (worker.kind() == Worker::Kind::Text) {
      model["context_length"] = worker.context();
      model["chat"] = worker.has_chat();
    }
    if (worker.kind() == Worker::Kind::Translation) {
      model["source_languages"] = worker.languages().sources;
      model["target_languages"] = worker.languages().targets;
    }
    if (worker.drawn_size().first > 0) {
      model["size"] = fmt::format("{}x{}", worker.drawn_size().first, worker.drawn_size().second);
    }
    return model;
  };
  server.http().get("/v1/models", [&server, describe](const httplib::Request&, httplib::Response& response) {
    nlohmann::ordered_json data = nlohmann::ordered_json::array();
    for (const auto& worker : server.workers()) data.push_back(describe(*worker));
    set_json(response, {{"object", "list"}, {"data", data}});
  });
  server.http().get("/v1/models/(.+)",
                    [&server, describe](const httplib::Request& request, httplib::Response& response) {
                      for (const auto& worker : server.workers()) {
                        if (worker->name() == request.matches[1].str()) return set_json(response, describe(*worker));
                      }
                      throw HttpError(404, fmt::format("there is no model '{}' here", request.matches[1].str()),
                                      "model", "model_not_found");
                    });
}

void Server::give_up() {
  for (const auto& worker : workers_) worker->give_up();
}

void Server::add_routes() {
  add_status_routes(*this);
  add_openai_text_routes(*this);
  add_translate_routes(*this);
  add_picture_routes(*this);
  add_attention_routes(*this);
  add_page_route(*this);
}

}  // namespace heed::tools
