#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/serve/posted_form.h"

namespace heed::tools {

/// What a request is answered with that cannot be served: a status, and the body that OpenAI's interface has for it.
class HttpError : public std::runtime_error {
 public:
  /// `param`: the field of the request that is wrong, as OpenAI names it ("messages[0].role"); empty for none.
  HttpError(int status, const std::string& message, std::string param = {}, std::string code = {})
      : std::runtime_error(message),
        retry_after(status == 503 ? kSoon : 0),
        status_(status),
        param_(std::move(param)),
        code_(std::move(code)) {}

  int status() const { return status_; }
  /// `plain`: as LibreTranslate has it, {"error": "text"}.
  nlohmann::ordered_json body(bool plain = false) const;
  /// Seconds after which it may be tried again; 0 says nothing of it.
  int retry_after;

 private:
  static constexpr int kSoon = 5;  // a server that was stopped is started again, a device opened afresh

  int status_;
  std::string param_, code_;
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8080;                         // 0: any that is free
  std::string api_key;                     // what requests must bring as "Authorization: Bearer"; empty: nothing
  std::string cors;                        // the origin whose pages may ask, "*" for all; empty: none
  std::vector<std::string> allowed_hosts;  // names that requests may call it by, besides those of this machine
  std::size_t body_bytes = 8 << 20;        // of a request, at most
  std::size_t connections = 256;           // at a time; others wait
  std::chrono::seconds request_time{30};   // in which a request must have come, from its first byte on
  std::chrono::seconds write_time{30};     // in which a client must take some of what is sent to it
  std::chrono::seconds idle_time{15};      // in which a connection brings its next request
};

/// cpp-httplib's server, on connections that bound what a client can cost: bytes, seconds, threads. Handlers run on
/// threads of their own, many at a time; what they throw becomes a JSON answer.
class HttpServer : private httplib::Server {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  explicit HttpServer(HttpOptions options);

  /// Routes, before run(). `open`: no key is asked for.
  void get(const std::string& path, Handler handler, bool open = false);
  /// Bodies must be said to be JSON: a foreign page's form cannot send that without being asked for leave.
  void post_json(const std::string& path,
                 std::function<void(const nlohmann::ordered_json&, httplib::Response&)> handler);
  void post(const std::string& path, Handler handler);
  /// Bodies that may be JSON, and forms, as programs that are no pages send them. What goes wrong is answered as
  /// HttpError::body(`plain`) says it. `open`: the handler looks for the key, which may be in the form.
  struct FormRoute {
    bool plain = false;
    bool open = false;
  };
  using FormHandler = std::function<void(const httplib::Request&, const PostedForm&, httplib::Response&)>;
  void post_form(const std::string& path, FormHandler handler, FormRoute route);

  /// Whether no key is asked for, or the request's header has it, or `key` is it.
  bool has_key(const httplib::Request& request, std::string_view key = {}) const;
  bool asks_for_key() const { return !options_.api_key.empty(); }

  /// Takes the port. Throws Error where it cannot be had.
  int bind();
  /// Answers until stop() was called and all requests that came before are answered. Throws Error where connections
  /// can no longer be taken.
  void run();
  /// Takes no new requests: they are answered 503, and refused once all others are answered. From any thread.
  void stop();

  /// Called before an answer is sent, with its status and the path as it was said to get() or post(); paths that are
  /// none of these, and requests that are no HTTP, are "other".
  std::function<void(const std::string& route, int status)> on_answer;

  /// Whether the client has gone whose request this thread is answering.
  static bool client_gone();

 private:
  class Connection;
  bool process_and_close_socket(socket_t socket) override;
  /// Has cpp-httplib answer a request; `server` is this one.
  template <typename Self>
  bool process_with(Self& server, Connection& connection, bool& closed,
                    const std::function<void(httplib::Request&)>& set_up);
  Handler guarded(Handler handler, bool open, bool plain = false);
  std::string route_of(const std::string& path) const;
  static HttpError missing_key();
  HandlerResponse before_routing(const httplib::Request& request, httplib::Response& response);

  /// Closes the listening socket where the server is stopping and no request is being answered.
  void close_when_idle();

  struct PostRoute {
    bool form = false;
    bool open = false;
  };

  HttpOptions options_;
  /// What a path takes that does not take this request's method, for a header Allow; empty where it does, and where
  /// there is no such path.
  std::string other_methods(const httplib::Request& request) const;

  std::map<std::string, PostRoute> post_routes_;  // by path
  std::set<std::string, std::less<>> get_paths_;
  std::map<std::string, std::string> get_patterns_;  // routes that end in a pattern, by what they begin with
  std::atomic<bool> stopping_ = false, closed_ = false;
  std::atomic<int> active_ = 0;  // requests that are being read or answered
  static thread_local Connection* current_;
};

/// Whether this names or is an address of the machine itself: localhost, ::1, or any of 127.0.0.0/8.
bool is_loopback(const std::string& host);

/// Answers with JSON.
void set_json(httplib::Response& response, const nlohmann::ordered_json& body, int status = 200);

}  // namespace heed::tools
