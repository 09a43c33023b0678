#include "tools/serve/http_server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>
#include <utility>

#include "heed/error.h"
#include "tools/serve/http_connection.h"

namespace heed::tools {
namespace {

/// What a request may have besides its body.
constexpr std::size_t kHeaderBytes = 128 << 10;

const char* error_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

const char* message_of(int status) {
  switch (status) {
    case 404:
      return "there is no such path";
    case 405:
      return "this path does not take this method";
    case 413:
      return "the request is larger than this server takes";
    case 400:
      return "the request is not valid HTTP, or did not come whole and in time";
    default:
      return "the request cannot be served";
  }
}

/// Takes the same time wherever they differ.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
  }
  return difference == 0;
}

/// "localhost" of "localhost:8080", "::1" of "[::1]:8080".
std::string_view host_name(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, std::min(host.find(']'), host.size()) - 1);
  return host.substr(0, host.find(':'));
}

bool is_loopback(std::string_view host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

/// Whether the request brings a body that is read before it is answered, where it has one.
bool reads_body(const httplib::Request& request) { return request.method == "POST"; }
bool has_body(const httplib::Request& request) {
  return request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
}

}  // namespace

class HttpServer::Connection : public HttpConnection {
 public:
  using HttpConnection::HttpConnection;
};

thread_local HttpServer::Connection* HttpServer::current_ = nullptr;

nlohmann::ordered_json HttpError::body(bool plain) const {
  if (plain) return {{"error", what()}};
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  return {{"error",
           {{"message", what()}, {"type", error_type(status_)}, {"param", or_null(param_)}, {"code", or_null(code_)}}}};
}

void set_json(httplib::Response& response, const nlohmann::ordered_json& body, int status) {
  response.status = status;
  // What clients send comes back in messages, and may be no UTF-8.
  response.set_content(body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), "application/json");
}

HttpServer::HttpServer(HttpOptions options) : options_(std::move(options)) {
  // A stop that comes before the first connection is waited for is seen when none came for a while.
  struct Threads : httplib::ThreadPool {
    Threads(std::size_t count, std::function<void()> idle) : ThreadPool(count), idle_(std::move(idle)) {}
    void on_idle() override { idle_(); }
    std::function<void()> idle_;
  };
  const auto idle = [this] {
    if (stopping_) httplib::Server::stop();
  };
  new_task_queue = [count = options_.connections, idle] { return new Threads(count, idle); };
  set_idle_interval(0, 100000);
  set_payload_max_length(options_.body_bytes);
  set_tcp_nodelay(true);
  // Not SO_REUSEPORT, which is cpp-httplib's choice: two servers would share a port and not know it.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  set_pre_routing_handler([this](const auto& request, auto& response) { return before_routing(request, response); });
  set_expect_100_continue_handler([this](const httplib::Request& request, httplib::Response&) {
    return request.get_header_value<std::uint64_t>("Content-Length") > options_.body_bytes ? 413 : 100;
  });
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    if (response.status == 400 && current_ != nullptr && current_->exceeded()) response.status = 413;
    set_json(response, HttpError(response.status, message_of(response.status)).body(), response.status);
  });
  if (!options_.cors.empty()) {
    Options(".*", [](const httplib::Request&, httplib::Response& response) {
      response.set_header("Access-Control-Allow-Methods", "GET, POST");
      response.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type");
      response.set_header("Access-Control-Max-Age", "600");
      response.status = 204;
    });
  }
}

httplib::Server::HandlerResponse HttpServer::before_routing(const httplib::Request& request,
                                                            httplib::Response& response) {
  // What is left of a body would be read as the next request, which whoever wrote it could choose.
  if (has_body(request) && !reads_body(request)) current_->end_after_request();
  const auto refuse = [&](int status, const std::string& why) {
    if (has_body(request)) current_->end_after_request();
    set_json(response, HttpError(status, why).body(), status);
    return HandlerResponse::Handled;
  };
  // Unpacked it could be of any size.
  if (request.has_header("Content-Encoding")) return refuse(415, "a compressed body is not taken; send it plainly");
  const std::string host = request.get_header_value("Host");
  // A name that someone else points at this machine would make their page one of ours.
  if (is_loopback(options_.host) && !is_loopback(host_name(host))) {
    return refuse(403, fmt::format("this server is for its own machine alone, as localhost or {}", options_.host));
  }
  const std::string origin = request.get_header_value("Origin");
  if (!origin.empty() && origin != "http://" + host && origin != "https://" + host) {
    if (options_.cors.empty() || (options_.cors != "*" && options_.cors != origin)) {
      return refuse(403, "pages of other origins may not ask this server; its option --cors allows one");
    }
    response.set_header("Access-Control-Allow-Origin", options_.cors);
    response.set_header("Vary", "Origin");
  }
  return HandlerResponse::Unhandled;
}

bool HttpServer::has_key(const httplib::Request& request, std::string_view key) const {
  if (options_.api_key.empty() || (!key.empty() && same_secret(key, options_.api_key))) return true;
  constexpr std::string_view kScheme = "Bearer ";
  const std::string header = request.get_header_value("Authorization");
  return header.starts_with(kScheme) && same_secret(std::string_view(header).substr(kScheme.size()), options_.api_key);
}

void HttpServer::check_key(const httplib::Request& request) const {
  if (has_key(request)) return;
  throw HttpError(401, "the API key is missing or wrong: send it as 'Authorization: Bearer KEY'", {},
                  "invalid_api_key");
}

HttpServer::Handler HttpServer::guarded(std::string route, Handler handler, bool open, bool plain) {
  return [this, route = std::move(route), handler = std::move(handler), open, plain](const httplib::Request& request,
                                                                                     httplib::Response& response) {
    const auto fail = [&](const HttpError& error) {
      set_json(response, error.body(plain), error.status());
      if (error.retry_after > 0) response.set_header("Retry-After", std::to_string(error.retry_after));
    };
    try {
      if (stopping_) throw HttpError(503, "the server is stopping");
      if (!open) check_key(request);
      handler(request, response);
    } catch (const HttpError& error) {
      fail(error);
    } catch (const DeviceLost& error) {
      fail(HttpError(503, error.what()));
    } catch (const Error& error) {
      fail(HttpError(400, error.what()));
    } catch (const std::bad_alloc&) {
      fail(HttpError(503, "the server is out of memory"));
    } catch (const std::exception& error) {
      fail(HttpError(500, error.what()));
    }
    if (on_answer) on_answer(route, response.status < 0 ? 200 : response.status);
  };
}

void HttpServer::get(const std::string& path, Handler handler, bool open) {
  Get(path, guarded(path, std::move(handler), open));
}

void HttpServer::post(const std::string& path, Handler handler) {
  Post(path, guarded(path, std::move(handler), false));
}

void HttpServer::post_json(const std::string& path,
                           std::function<void(const nlohmann::ordered_json&, httplib::Response&)> handler) {
  post(path, [handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    if (media_type(request.get_header_value("Content-Type")) != "application/json") {
      throw HttpError(415, "the body must be JSON, sent as Content-Type: application/json");
    }
    handler(json_fields(request.body), response);
  });
}

void HttpServer::post_form(const std::string& path, FormHandler handler, FormRoute route) {
  // Read here: cpp-httplib itself takes no more than 8 KiB of a form's fields.
  Post(path, [this, path, handler = std::move(handler), route](
                 const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& reader) {
    PostedBody body{.type = media_type(request.get_header_value("Content-Type")), .bytes = {}, .parts = {}};
    const auto append_to = [](std::string& text, const char* data, std::size_t size) {
      text.append(data, size);
      return true;
    };
    const bool read =
        request.is_multipart_form_data()
            ? reader(
                  [&](const auto& part) {
                    body.parts.push_back({.name = part.name, .is_file = !part.filename.empty(), .content = {}});
                    return true;
                  },
                  [&](const char* data, std::size_t size) {
                    return !body.parts.empty() && append_to(body.parts.back().content, data, size);
                  })
            : reader([&](const char* data, std::size_t size) { return append_to(body.bytes, data, size); });
    if (!read) {
      current_->end_after_request();
      if (response.status < 400) response.status = 400;
      return;
    }
    const auto work = [&](const httplib::Request& whole, httplib::Response& answer) {
      handler(whole, PostedForm::read(std::move(body)), answer);
    };
    guarded(path, work, route.open, route.plain)(request, response);
  });
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  Connection connection(socket, options_.write_time);
  current_ = &connection;
  const auto stopping = [this] { return stopping_.load(); };
  bool fine = true;
  bool closed = false;
  while (fine && !closed && connection.wait_for_request(options_.idle_time, stopping)) {
    connection.begin_request(options_.request_time, options_.body_bytes + kHeaderBytes);
    // Parts of an answer are no use to anyone, and cost.
    fine = process_request(connection, stopping_, closed, [](httplib::Request& request) { request.ranges.clear(); });
    fine = fine && !connection.exceeded() && !connection.ends();
  }
  current_ = nullptr;
  HttpConnection::close_gently(socket);
  return fine;
}

bool HttpServer::client_gone() { return current_ != nullptr && current_->gone(); }

int HttpServer::bind() {
  int port = options_.port;
  const bool bound = port == 0 ? (port = bind_to_any_port(options_.host)) > 0 : bind_to_port(options_.host, port);
  if (!bound) {
    throw Error(fmt::format("{} port {}: cannot be listened on; it is in use, or this machine has no such address",
                            options_.host, options_.port));
  }
  return port;
}

void HttpServer::run() { listen_after_bind(); }

void HttpServer::stop() {
  stopping_ = true;
  if (is_running()) httplib::Server::stop();
}

}  // namespace heed::tools
