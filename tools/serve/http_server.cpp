#include "tools/serve/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
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

bool same_name(const std::string& a, const std::string& b) { return ::strcasecmp(a.c_str(), b.c_str()) == 0; }

/// Whether the request brings a body that is read before it is answered, where it has one.
bool reads_body(const httplib::Request& request) { return request.method == "POST"; }
bool has_body(const httplib::Request& request) {
  return request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
}

/// What leaves open where the request ends, so that a proxy and this server could differ about it; empty where all is
/// clear.
std::string unclear_length(const httplib::Request& request) {
  for (const auto& [name, value] : request.headers) {
    if (name.find_first_of(" \t") != std::string::npos)
      return fmt::format("the header '{}' has a space in its name", name);
  }
  const std::size_t lengths = request.get_header_value_count("Content-Length");
  const std::size_t encodings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + encodings > 1) return "expected one Content-Length or one Transfer-Encoding";
  const std::string length = request.get_header_value("Content-Length");
  if (lengths == 1 && (length.empty() || length.find_first_not_of("0123456789") != std::string::npos)) {
    return fmt::format("Content-Length is '{}', expected digits", length);
  }
  const std::string encoding = request.get_header_value("Transfer-Encoding");
  if (encodings == 1 && encoding != "chunked") {
    return fmt::format("Transfer-Encoding is '{}', expected chunked", encoding);
  }
  return {};
}

}  // namespace

class HttpServer::Connection : public HttpConnection {
 public:
  using HttpConnection::HttpConnection;
  std::string content_type;  // of the request, as it came
};

bool is_loopback(const std::string& host) {
  in_addr address{};
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1) return (ntohl(address.s_addr) >> 24) == 127;
  return same_name(host, "localhost") || host == "::1";
}

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
  struct Threads : httplib::TaskQueue {
    Threads(std::size_t count, HttpServer& server) : threads_(count), server_(server) {}
    // Versions of cpp-httplib differ in what this gives.
    decltype(std::declval<TaskQueue&>().enqueue({})) enqueue(std::function<void()> work) override {
      return threads_.enqueue(std::move(work));
    }
    // A stop that comes before the first connection is waited for is seen when none came for a while.
    void on_idle() override { server_.close_when_idle(); }
    // Nothing is accepted any more, though perhaps nobody stopped it: the connections that there are end too.
    void shutdown() override {
      server_.closed_ = true;
      server_.stopping_ = true;
      threads_.shutdown();
    }
    httplib::ThreadPool threads_;
    HttpServer& server_;
  };
  new_task_queue = [this] { return new Threads(options_.connections, *this); };
  set_idle_interval(0, 100000);
  set_payload_max_length(options_.body_bytes);
  set_tcp_nodelay(true);
  // Not SO_REUSEPORT, which is cpp-httplib's choice: two servers would share a port and not know it.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  set_pre_routing_handler([this](const auto& request, auto& response) { return before_routing(request, response); });
  set_expect_100_continue_handler([this](const httplib::Request& request, httplib::Response& response) {
    response.status = 413;                                                  // of the answer, where there is one
    const std::string length = request.get_header_value("Content-Length");  // what is no number is refused later
    const bool large = std::strtoull(length.c_str(), nullptr, 10) > options_.body_bytes;
    if (!large) response.status = -1;
    return large ? 413 : 100;
  });
  set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    // cpp-httplib refuses some requests before it reads their bodies. What has no path was read.
    if (current_ != nullptr && response.status != 404) current_->end_after_request();
    if (response.status == 400 && current_ != nullptr && current_->exceeded()) response.status = 413;
    set_json(response, HttpError(response.status, message_of(response.status)).body(), response.status);
  });
  // It sees every answer, whoever made it.
  set_post_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (on_answer) on_answer(route_of(request.path), response.status);
    if (current_ == nullptr || !current_->ends()) return;
    response.headers.erase("Keep-Alive");
    response.headers.erase("Connection");
    response.set_header("Connection", "close");
  });
  if (!options_.cors.empty()) {
    Options(".*", [](const httplib::Request& request, httplib::Response& response) {
      // Clients in browsers send headers of their own (X-Stainless-*); none can do more than those that are read here.
      const std::string asked = request.get_header_value("Access-Control-Request-Headers");
      response.set_header("Access-Control-Allow-Methods", "GET, POST");
      response.set_header("Access-Control-Allow-Headers", asked.empty() ? "Authorization, Content-Type" : asked);
      response.set_header("Access-Control-Max-Age", "600");
      response.status = 204;
    });
  }
}

httplib::Server::HandlerResponse HttpServer::before_routing(const httplib::Request& request,
                                                            httplib::Response& response) {
  // What is left of a body would be read as the next request, which whoever wrote it could choose.
  // Where chunks end cpp-httplib is not strict about.
  if ((has_body(request) && !reads_body(request)) || request.has_header("Transfer-Encoding")) {
    current_->end_after_request();
  }
  const auto refuse = [&](int status, const std::string& why) {
    if (has_body(request) || status == 400 || status == 411) current_->end_after_request();
    set_json(response, HttpError(status, why).body(), status);
    return HandlerResponse::Handled;
  };
  if (const std::string unclear = unclear_length(request); !unclear.empty()) return refuse(400, unclear);
  // It would be read to the connection's end.
  if (reads_body(request) && !has_body(request)) return refuse(411, "a POST needs a Content-Length");
  // Unpacked it could be of any size.
  if (request.has_header("Content-Encoding")) return refuse(415, "a compressed body is not taken; send it plainly");
  const std::string host = request.get_header_value("Host");
  // A name that someone else points at this machine would make their page one of ours.
  const std::string name(host_name(host));
  const auto& allowed = options_.allowed_hosts;
  const bool guards = !allowed.empty() || is_loopback(options_.host);
  if (guards && !is_loopback(name) &&
      std::ranges::none_of(allowed, [&](const std::string& other) { return same_name(name, other); })) {
    return refuse(403, fmt::format("this server is not for the name '{}'; its option --allowed-host takes one", name));
  }
  const std::string origin = request.get_header_value("Origin");
  if (!origin.empty() && origin != "http://" + host && origin != "https://" + host) {
    if (options_.cors.empty() || (options_.cors != "*" && options_.cors != origin)) {
      return refuse(403, "pages of other origins may not ask this server; its option --cors allows one");
    }
    response.set_header("Access-Control-Allow-Origin", options_.cors);
    response.set_header("Vary", "Origin");
  }
  if (const std::string methods = other_methods(request); !methods.empty()) {
    response.set_header("Allow", methods);
    return refuse(405, fmt::format("this path takes {}, not {}", methods, request.method));
  }
  if (request.method != "POST") return HandlerResponse::Unhandled;
  // Before the body is read, which costs.
  const auto route = post_routes_.find(request.path);
  if (!has_key(request) && (route == post_routes_.end() || !route->second.open)) {
    current_->end_after_request();
    set_json(response, missing_key().body(), 401);
    return HandlerResponse::Handled;
  }
  if (media_type(current_->content_type).starts_with("multipart/") &&
      (route == post_routes_.end() || !route->second.form)) {
    return refuse(415, "this path takes no forms of several parts");
  }
  return HandlerResponse::Unhandled;
}

bool HttpServer::has_key(const httplib::Request& request, std::string_view key) const {
  if (options_.api_key.empty() || (!key.empty() && same_secret(key, options_.api_key))) return true;
  constexpr std::string_view kScheme = "Bearer ";
  const std::string header = request.get_header_value("Authorization");
  return header.starts_with(kScheme) && same_secret(std::string_view(header).substr(kScheme.size()), options_.api_key);
}

HttpError HttpServer::missing_key() {
  return HttpError(401, "the API key is missing or wrong: send it as 'Authorization: Bearer KEY'", {},
                   "invalid_api_key");
}

HttpServer::Handler HttpServer::guarded(Handler handler, bool open, bool plain) {
  return
      [this, handler = std::move(handler), open, plain](const httplib::Request& request, httplib::Response& response) {
        const auto fail = [&](const HttpError& error) {
          set_json(response, error.body(plain), error.status());
          if (error.retry_after > 0) response.set_header("Retry-After", std::to_string(error.retry_after));
        };
        try {
          if (stopping_) throw HttpError(503, "the server is stopping");
          if (!open && !has_key(request)) throw missing_key();
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
      };
}

void HttpServer::get(const std::string& path, Handler handler, bool open) {
  const std::size_t pattern = path.find('(');
  if (pattern == std::string::npos) {
    get_paths_.insert(path);
  } else {
    get_patterns_[path.substr(0, pattern)] = path;
  }
  Get(path, guarded(std::move(handler), open));
}

std::string HttpServer::route_of(const std::string& path) const {
  if (post_routes_.contains(path) || get_paths_.contains(path)) return path;
  for (const auto& [prefix, route] : get_patterns_) {
    if (path.starts_with(prefix)) return route;
  }
  return "other";
}

std::string HttpServer::other_methods(const httplib::Request& request) const {
  const bool posts = post_routes_.contains(request.path);
  const bool gets = get_paths_.contains(request.path) || std::ranges::any_of(get_patterns_, [&](const auto& route) {
                      return request.path.starts_with(route.first);
                    });
  const bool answers_options = request.method == "OPTIONS" && !options_.cors.empty();
  const bool fits = (posts && request.method == "POST") || answers_options ||
                    (gets && (request.method == "GET" || request.method == "HEAD"));
  if (fits || (!posts && !gets)) return {};
  const std::string methods = gets ? (posts ? "GET, HEAD, POST" : "GET, HEAD") : "POST";
  return options_.cors.empty() ? methods : methods + ", OPTIONS";
}

void HttpServer::post(const std::string& path, Handler handler) {
  post_routes_[path] = {};
  Post(path, guarded(std::move(handler), false));
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
  post_routes_[path] = {.form = true, .open = route.open};
  // Read here: cpp-httplib itself takes no more than 8 KiB of a form's fields.
  Post(path, [this, handler = std::move(handler), route](const httplib::Request& request, httplib::Response& response,
                                                         const httplib::ContentReader& reader) {
    PostedBody body{.content_type = current_->content_type, .bytes = {}};
    const bool read = reader([&](const char* data, std::size_t size) {
      body.bytes.append(data, size);
      return true;
    });
    if (!read) {
      current_->end_after_request();
      if (response.status < 400) response.status = 400;
      return;
    }
    const auto work = [&](const httplib::Request& whole, httplib::Response& answer) {
      handler(whole, PostedForm::read(std::move(body)), answer);
    };
    guarded(work, route.open, route.plain)(request, response);
  });
}

template <typename Self>
bool HttpServer::process_with(Self& server, Connection& connection, bool& closed,
                              const std::function<void(httplib::Request&)>& set_up) {
  // Later versions of cpp-httplib are told who talks with whom.
  if constexpr (requires { server.process_request(connection, "", 0, "", 0, true, closed, set_up); }) {
    std::string remote, local;
    int remote_port = 0, local_port = 0;
    connection.get_remote_ip_and_port(remote, remote_port);
    connection.get_local_ip_and_port(local, local_port);
    return server.process_request(connection, remote, remote_port, local, local_port, stopping_, closed, set_up);
  } else {
    return server.process_request(connection, stopping_, closed, set_up);
  }
}

bool HttpServer::process_and_close_socket(socket_t socket) {
  Connection connection(socket, options_.write_time);
  current_ = &connection;
  const auto stopping = [this] { return stopping_.load(); };
  bool fine = true;
  bool closed = false;
  while (fine && !closed && connection.wait_for_request(options_.idle_time, stopping)) {
    // Counted before anything asks whether the server is stopping: the socket that it listens on stays open till then.
    ++active_;
    connection.begin_request(options_.request_time, options_.body_bytes + kHeaderBytes);
    fine = process_with(*this, connection, closed, [&](httplib::Request& request) {
      // Parts of an answer are no use to anyone, and cost.
      request.ranges.clear();
      connection.content_type = request.get_header_value("Content-Type");
      // cpp-httplib would match each line of a part against a regular expression that takes hours.
      if (request.is_multipart_form_data()) {
        request.headers.erase("Content-Type");
        request.set_header("Content-Type", "application/octet-stream");
      }
    });
    fine = fine && !connection.exceeded() && !connection.ends() && !stopping_;
    --active_;
    close_when_idle();
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

void HttpServer::run() {
  if (!listen_after_bind()) throw Error("the server cannot take connections any more; start it again");
}

void HttpServer::stop() {
  stopping_ = true;
  close_when_idle();
}

void HttpServer::close_when_idle() {
  // cpp-httplib sends nothing more of a stream once it is closed.
  if (stopping_ && active_ == 0 && is_running() && !closed_.exchange(true)) httplib::Server::stop();
}

}  // namespace heed::tools
