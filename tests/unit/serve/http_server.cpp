// The server on real connections: what strangers send, and clients that go.
#include "tools/serve/http_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "heed/error.h"

namespace heed::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLarge = 16 << 20;

/// A server while it runs.
class Running {
 public:
  explicit Running(HttpOptions options = {})
      : server_([&] {
          options.port = 0;
          options.connections = 8;
          return options;
        }()) {
    server_.get(
        "/plain",
        [](const httplib::Request&, httplib::Response& response) { response.set_content("hello", "text/plain"); },
        /*open=*/true);
    server_.get("/kept", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("secret", "text/plain");
    });
    server_.get("/wrong/(.*)", [](const httplib::Request& request, httplib::Response&) {
      if (request.matches[1] == "error") throw Error("the model is wrong");
      if (request.matches[1] == "lost") throw DeviceLost("the device is gone");
      if (request.matches[1] == "busy") {
        HttpError busy(429, "too many");
        busy.retry_after = 3;
        throw busy;
      }
      throw std::runtime_error("something else");
    });
    server_.post_json("/echo", [](const nlohmann::ordered_json& body, httplib::Response& response) {
      set_json(response, nlohmann::ordered_json::parse(body.dump()));
    });
    server_.post_form("/form",
                      [this](const httplib::Request& request, const PostedForm& form, httplib::Response& response) {
                        const auto key = form.fields.find("key");
                        if (!server_.has_key(request, key == form.fields.end() ? "" : key->get<std::string>())) {
                          throw HttpError(403, "no key");
                        }
                        nlohmann::ordered_json sizes = nlohmann::ordered_json::object();
                        for (const auto& field : form.fields.items())
                          sizes[field.key()] = field.value().get<std::string>().size();
                        for (const auto& [name, content] : form.files) sizes["file " + name] = content.size();
                        set_json(response, sizes);
                      },
                      {.plain = true, .open = true});
    server_.get("/large", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(std::string(kLarge, 'x'), "text/plain");
    });
    server_.get("/stream", [this](const httplib::Request&, httplib::Response& response) {
      began_ = true;
      for (int i = 0; i < 4000 && !stopped_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      response.set_chunked_content_provider("text/plain", [](std::size_t offset, httplib::DataSink& sink) {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        if (offset == 3) {
          sink.done();
        } else {
          sink.write(&"abc"[offset], 1);
        }
        return true;
      });
    });
    server_.get("/waits", [this](const httplib::Request&, httplib::Response&) {
      began_ = true;
      const Clock::time_point end = Clock::now() + std::chrono::seconds(20);
      while (!HttpServer::client_gone() && Clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      saw_it_go_ = HttpServer::client_gone();
      handled_ = true;
    });
    server_.on_answer = [this](const std::string& route, int status) {
      const std::lock_guard lock(answers_mutex_);
      ++answers_[{route, status}];
    };
    port_ = server_.bind();
    thread_ = std::thread([this] {
      try {
        server_.run();
      } catch (const Error& error) {
        failure_ = error.what();
      }
    });
  }
  ~Running() { stop(); }
  void stop() {
    begin_stop();
    wait_ended();
  }
  void begin_stop() {
    server_.stop();
    stopped_ = true;
  }
  /// Waits for the end of a server that was not stopped, or was.
  std::string wait_ended() {
    if (thread_.joinable()) thread_.join();
    return failure_;
  }

  httplib::Client client() const { return httplib::Client("127.0.0.1", port_); }
  bool wait_handled() const { return wait_for(handled_); }
  /// Until a handler of those that wait has begun.
  bool wait_begun() const { return wait_for(began_); }
  bool saw_it_go() const { return saw_it_go_; }
  int port() const { return port_; }
  /// How many answers of a status a route has given, as on_answer was told.
  int answered(const std::string& route, int status) const {
    const std::lock_guard lock(answers_mutex_);
    const auto found = answers_.find({route, status});
    return found == answers_.end() ? 0 : found->second;
  }
  int all_answers() const {
    const std::lock_guard lock(answers_mutex_);
    int all = 0;
    for (const auto& [answer, count] : answers_) all += count;
    return all;
  }

 private:
  static bool wait_for(const std::atomic<bool>& flag) {
    for (int i = 0; i < 4000 && !flag; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return flag;
  }

  std::atomic<bool> began_ = false, handled_ = false, saw_it_go_ = false, stopped_ = false;
  std::string failure_;
  mutable std::mutex answers_mutex_;
  std::map<std::pair<std::string, int>, int> answers_;
  HttpServer server_;
  int port_ = 0;
  std::thread thread_;
};

/// A client that sends what it likes.
class RawClient {
 public:
  /// `buffer`: bytes that the system takes for it before it reads; 0 leaves that to the system.
  explicit RawClient(int port, int buffer = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (buffer > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~RawClient() { ::close(socket_); }
  /// False when the server does not want more.
  bool send(const std::string& text) const {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  /// All that comes until the server closes.
  std::string receive(std::chrono::milliseconds pause = {}) const {
    std::string text;
    char part[65536];
    pollfd poll = {.fd = socket_, .events = POLLIN, .revents = 0};
    while (::poll(&poll, 1, 20000) > 0) {
      const ssize_t count = ::recv(socket_, part, sizeof(part), 0);
      if (count <= 0) break;
      text.append(part, static_cast<std::size_t>(count));
      std::this_thread::sleep_for(pause);
    }
    return text;
  }

 private:
  int socket_;
};

std::string message(const httplib::Result& result) {
  return nlohmann::ordered_json::parse(result->body).at("error").at("message");
}

}  // namespace

TEST_CASE("http server: answers, errors and what is not there") {
  const Running running;
  auto client = running.client();
  CHECK(client.Get("/plain")->body == "hello");
  CHECK(client.Get("/kept")->body == "secret");
  CHECK(client.Get("/nowhere")->status == 404);
  CHECK(message(client.Get("/nowhere")) == "there is no such path");
  CHECK(client.Get("/../../etc/passwd")->status == 404);
  CHECK(client.Get("/wrong/error")->status == 400);
  CHECK(message(client.Get("/wrong/error")) == "the model is wrong");
  CHECK(client.Get("/wrong/lost")->status == 503);
  CHECK(client.Get("/wrong/lost")->get_header_value("Retry-After") == "5");
  CHECK(client.Get("/wrong/other")->status == 500);
  const auto busy = client.Get("/wrong/busy");
  CHECK(busy->status == 429);
  CHECK(busy->get_header_value("Retry-After") == "3");
  CHECK(nlohmann::ordered_json::parse(busy->body)["error"]["type"] == "rate_limit_error");
  CHECK(client.Post("/echo", R"({"a": [1, {"b": null}]})", "application/json; charset=utf-8")->body ==
        R"({"a":[1,{"b":null}]})");
}

TEST_CASE("http server: a path is told what it takes where a method is none of that") {
  const Running server;
  httplib::Client client = server.client();
  const auto refused = [](const httplib::Result& answer, const std::string& allow) {
    REQUIRE(answer);
    CHECK(answer->status == 405);
    CHECK(answer->get_header_value("Allow") == allow);
    CHECK(nlohmann::json::parse(answer->body)["error"]["message"].get<std::string>().find(allow) != std::string::npos);
  };
  refused(client.Post("/plain", "{}", "application/json"), "GET, HEAD");
  refused(client.Delete("/plain"), "GET, HEAD");
  refused(client.Put("/wrong/error", "x", "text/plain"), "GET, HEAD");
  refused(client.Get("/echo"), "POST");
  refused(client.Options("/echo"), "POST");
  refused(client.Patch("/form", "x", "text/plain"), "POST");
  CHECK(client.Head("/plain")->status == 200);
  CHECK(client.Head("/echo")->status == 405);
  CHECK(client.Delete("/nowhere")->status == 404);
  CHECK(client.Get("/plain")->status == 200);
}

TEST_CASE("http server: bodies that are no JSON, too deep, or said to be something else") {
  const Running running;
  auto client = running.client();
  CHECK(client.Post("/echo", "{}", "text/plain")->status == 415);
  CHECK(client.Post("/echo", "{", "application/json")->status == 400);
  CHECK(client.Post("/echo", "[]", "application/json")->status == 400);
  CHECK(client.Post("/echo", "", "application/json")->status == 400);
  const std::string deep = R"({"a":)" + std::string(200000, '[') + std::string(200000, ']') + "}";
  CHECK(message(client.Post("/echo", deep, "application/json")) ==
        "the body is not valid JSON of at most 100 levels and 200000 values");
  std::string many = R"({"a":[1)";
  for (int i = 0; i < 200000; ++i) many += ",1";
  CHECK(client.Post("/echo", many + "]}", "application/json")->status == 400);
  CHECK(client.Post("/echo", {{"Content-Encoding", "gzip"}}, "{}", "application/json")->status == 415);
}

TEST_CASE("http server: a key, where there is one, is asked for") {
  HttpOptions options;
  options.api_key = "open sesame";
  const Running running(options);
  auto client = running.client();
  CHECK(client.Get("/plain")->status == 200);
  CHECK(client.Get("/kept")->status == 401);
  for (const char* wrong :
       {"Bearer open sesam", "Bearer open sesame!", "Bearer ", "open sesame", "Basic open sesame"}) {
    CHECK(client.Get("/kept", {{"Authorization", wrong}})->status == 401);
  }
  CHECK(client.Get("/kept", {{"Authorization", "Bearer open sesame"}})->body == "secret");
}

TEST_CASE("http server: pages of other origins are kept out unless one is let in") {
  const Running closed;
  auto client = closed.client();
  const std::string own = "127.0.0.1:" + std::to_string(closed.port());
  CHECK(client.Get("/plain", {{"Origin", "http://" + own}})->status == 200);
  CHECK(client.Get("/plain", {{"Origin", "https://evil.example"}})->status == 403);
  for (const char* foreign : {"evil.example", "127.evil.example", "127.0.0.1.evil", "127.1", "localhost.evil"}) {
    CHECK(client.Get("/plain", {{"Host", foreign}})->status == 403);
  }
  CHECK(client.Get("/plain", {{"Host", "127.8.0.1:9"}})->status == 200);
  CHECK(client.Get("/plain", {{"Host", "localhost:1"}})->status == 200);
  CHECK(client.Get("/plain", {{"Host", "[::1]:80"}})->status == 200);

  HttpOptions options;
  options.cors = "https://friend.example";
  const Running open(options);
  auto other = open.client();
  const auto friendly = other.Get("/plain", {{"Origin", "https://friend.example"}});
  CHECK(friendly->status == 200);
  CHECK(friendly->get_header_value("Access-Control-Allow-Origin") == "https://friend.example");
  CHECK(other.Get("/plain", {{"Origin", "https://evil.example"}})->status == 403);
  CHECK(other.Options("/echo")->get_header_value("Access-Control-Allow-Headers") == "Authorization, Content-Type");
  CHECK(other.Options("/echo", {{"Access-Control-Request-Headers", "content-type,x-stainless-os"}})
            ->get_header_value("Access-Control-Allow-Headers") == "content-type,x-stainless-os");
  CHECK(client.Options("/echo")->status == 405);
}

TEST_CASE("http server: every answer is counted once, under the path that it has here or under other") {
  HttpOptions options;
  options.body_bytes = 1000;
  options.cors = "https://friend.example";
  const Running running(options);
  auto client = running.client();
  client.Get("/plain");
  client.Head("/plain");
  client.Get("/plain", {{"Host", "evil.example"}});
  client.Get("/plain", {{"Origin", "https://evil.example"}});
  client.Get("/nowhere");
  client.Get("/nowhere-else");
  client.Get("/wrong/busy");
  client.Get("/wrong/error");
  client.Delete("/plain");
  client.Options("/echo");
  client.Options("/nowhere");
  client.Post("/echo", "{}", "application/json");
  client.Post("/echo", "{", "application/json");
  client.Post("/echo", std::string(1001, ' '), "application/json");
  client.Post("/form", httplib::Params{{"a", "b"}});
  client.Post("/nowhere", "{}", "application/json");
  const RawClient raw(running.port());
  raw.send("NONSENSE\r\n\r\n");
  CHECK(raw.receive().starts_with("HTTP/1.1 400"));
  CHECK(running.answered("/plain", 200) == 2);
  CHECK(running.answered("/plain", 403) == 2);
  CHECK(running.answered("/plain", 405) == 1);
  CHECK(running.answered("/wrong/(.*)", 429) == 1);
  CHECK(running.answered("/wrong/(.*)", 400) == 1);
  CHECK(running.answered("/echo", 200) == 1);
  CHECK(running.answered("/echo", 204) == 1);
  CHECK(running.answered("/echo", 400) == 1);
  CHECK(running.answered("/echo", 413) == 1);
  CHECK(running.answered("/form", 200) == 1);
  CHECK(running.answered("other", 204) == 1);
  CHECK(running.answered("other", 404) == 3);
  CHECK(running.answered("other", 400) == 1);
  CHECK(running.all_answers() == 17);

  options.api_key = "sesame";
  const Running kept(options);
  auto stranger = kept.client();
  stranger.Get("/kept");
  stranger.Post("/echo", "{}", "application/json");
  stranger.Post("/nowhere", "{}", "application/json");
  CHECK(kept.answered("/kept", 401) == 1);
  CHECK(kept.answered("/echo", 401) == 1);
  CHECK(kept.answered("other", 401) == 1);
  CHECK(kept.all_answers() == 3);
}

TEST_CASE("http server: names that are allowed besides those of this machine") {
  HttpOptions options;
  options.allowed_hosts = {"models.example", "other.example"};
  const Running running(options);
  auto client = running.client();
  for (const char* name : {"models.example", "Other.Example:443", "localhost"}) {
    CHECK(client.Get("/plain", {{"Host", name}})->status == 200);
  }
  CHECK(client.Get("/plain", {{"Host", "models.example.evil"}})->status == 403);
}

TEST_CASE("http server: the body of a request that is refused is no request of its own") {
  const Running running;
  const std::string hidden = "GET /kept HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string length = "Content-Length: " + std::to_string(hidden.size()) + "\r\n\r\n";
  for (const std::string& head :
       {std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"),
        std::string("POST /echo HTTP/1.1\r\nHost: evil.example\r\n"),
        std::string("POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"),
        std::string("GET /plain HTTP/1.1\r\nHost: localhost\r\n"),
        std::string("PUT /echo HTTP/1.1\r\nHost: localhost\r\n"),
        std::string("POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\nX: y\r\n"),
        std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"),
        std::string("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"),
        "POST /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: localhost\r\n",
        std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nRange: bytes=x\r\n"),
        std::string("POST /echo\r\nHost: localhost\r\n"),
        "POST /echo HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n",
        std::string("BREW /echo HTTP/1.1\r\nHost: localhost\r\n"),
        std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"),
        std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"),
        std::string("GET /plain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n")}) {
    CAPTURE(head);
    const RawClient raw(running.port());
    REQUIRE(raw.send(head + length + hidden));
    const std::string answer = raw.receive();
    CHECK(answer.find("HTTP/1.1") == answer.rfind("HTTP/1.1"));
    CHECK(answer.find("secret") == std::string::npos);
  }
  for (const std::string end : {"Expect: 100-continue\r\nContent-Length: 900000000", "Content-Length: +5",
                                "Content-Length: 0x5", "Content-Length: ", "Transfer-Encoding: gzip, chunked",
                                "Transfer-Encoding: Chunked", "Transfer-Encoding: identity"}) {
    CAPTURE(end);
    const RawClient raw(running.port());
    REQUIRE(raw.send("POST /echo HTTP/1.1\r\nHost: localhost\r\n" + end + "\r\n\r\n" + hidden));
    const std::string answer = raw.receive();
    CAPTURE(answer);
    CHECK(answer.starts_with("HTTP/1.1 4"));
    CHECK(answer.find("Connection: close") != std::string::npos);
    CHECK(answer.find("secret") == std::string::npos);
  }
}

TEST_CASE("http server: without the key no body is read") {
  HttpOptions options;
  options.api_key = "open sesame";
  const Running running(options);
  const RawClient raw(running.port());
  REQUIRE(raw.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"));
  CHECK(raw.receive().starts_with("HTTP/1.1 401"));
}

TEST_CASE("http server: headers of parts cost no more than their bytes") {
  const Running running;
  auto client = running.client();
  std::string body = "--x\r\nContent-Disposition: form-data; name=q\r\n\r\nabc\r\n--x\r\n";
  while (body.size() < (4u << 20)) body += "Content-Disposition: " + std::string(8000, ' ') + "\r\n";
  const Clock::time_point begin = Clock::now();
  CHECK(client.Post("/form", body, "multipart/form-data; boundary=x")->status == 400);
  const auto refused = client.Post("/echo", body, "multipart/form-data; boundary=x");
  CHECK((!refused || refused->status == 415));  // the connection may end while it sends
  CHECK(Clock::now() - begin < std::chrono::seconds(10));
}

TEST_CASE("http server: forms of any size that a request may have, and keys in them") {
  HttpOptions options;
  options.api_key = "open sesame";
  options.body_bytes = 200000;
  const Running running(options);
  auto client = running.client();
  const std::string text(100000, 'x');
  CHECK(client.Post("/form", httplib::Params{{"key", "open sesame"}, {"q", text}})->body == R"({"key":11,"q":100000})");
  httplib::MultipartFormDataItems parts = {{"key", "open sesame", "", ""}, {"q", text, "q.txt", "text/plain"}};
  CHECK(client.Post("/form", parts)->body == R"({"key":11,"file q":100000})");
  CHECK(client.Post("/form", R"({"key": "open sesame"})", "application/json")->body == R"({"key":11})");
  CHECK(client.Post("/form", {{"Authorization", "Bearer open sesame"}}, "q=x", "application/x-www-form-urlencoded")
            ->body == R"({"q":1})");
  const auto refused = client.Post("/form", httplib::Params{{"key", "open"}});
  CHECK(refused->status == 403);
  CHECK(refused->body == R"({"error":"no key"})");
  CHECK(client.Post("/form", "x", "text/plain")->status == 415);
  const auto large = client.Post("/form", httplib::Params{{"key", "open sesame"}, {"q", text + text}});
  CHECK((!large || large->status == 413));
  CHECK(client.Get("/plain")->body == "hello");
}

TEST_CASE("http server: more than a request may have is not read") {
  HttpOptions options;
  options.body_bytes = 100000;
  const Running running(options);
  auto client = running.client();
  const auto large = client.Post("/echo", std::string(100001, 'x'), "application/json");
  REQUIRE(large);
  CHECK(large->status == 413);
  // Sizes that were said, sizes that were not, and headers without end.
  for (const std::string& head :
       {std::string("Content-Length: 1000000000"), std::string("Transfer-Encoding: chunked")}) {
    const RawClient raw(running.port());
    raw.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + head + "\r\n\r\n");
    const std::string part = head[0] == 'C' ? std::string(65536, 'x') : "10000\r\n" + std::string(65536, 'x') + "\r\n";
    std::size_t sent = 0;
    while (sent < (64u << 20) && raw.send(part)) sent += part.size();
    CHECK(sent < (64u << 20));
  }
  const RawClient talker(running.port());
  talker.send("GET /plain HTTP/1.1\r\nHost: localhost\r\n");
  const std::string header = "X-Header: " + std::string(4000, 'x') + "\r\n";
  std::size_t sent = 0;
  while (sent < (64u << 20) && talker.send(header)) sent += header.size();
  CHECK(sent < (64u << 20));
  CHECK(client.Get("/plain")->body == "hello");
}

TEST_CASE("http server: a client that says nothing, or not enough, is not waited for long") {
  HttpOptions options;
  options.request_time = std::chrono::seconds(1);
  options.idle_time = std::chrono::seconds(1);
  const Running running(options);
  const Clock::time_point begin = Clock::now();
  const RawClient silent(running.port()), slow(running.port()), garbage(running.port());
  slow.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
  garbage.send(std::string("\0\xff\r\n\r\n\x01 no http", 16));
  CHECK(silent.receive().empty());
  CHECK(slow.receive().find("200 OK") == std::string::npos);
  CHECK(garbage.receive().find("200 OK") == std::string::npos);
  CHECK(Clock::now() - begin < std::chrono::seconds(15));
  CHECK(running.client().Get("/plain")->body == "hello");
}

TEST_CASE("http server: a handler learns that its client has gone") {
  const Running running;
  {
    const RawClient raw(running.port());
    raw.send("GET /waits HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(running.wait_begun());
  }
  CHECK(running.wait_handled());
  CHECK(running.saw_it_go());
}

TEST_CASE("http server: a connection serves many requests, and a server that stops ends them") {
  Running running;
  auto client = running.client();
  client.set_keep_alive(true);
  for (int i = 0; i < 20; ++i) CHECK(client.Get("/plain")->body == "hello");
  const Clock::time_point begin = Clock::now();
  running.stop();  // though the client's connection is open
  CHECK(Clock::now() - begin < std::chrono::seconds(10));
  CHECK(!client.Get("/plain"));
}

TEST_CASE("http server: a stream that began before the server was stopped comes whole") {
  Running running;
  const RawClient raw(running.port());
  REQUIRE(raw.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(running.wait_begun());
  const RawClient late(running.port());
  running.begin_stop();
  REQUIRE(late.send("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const std::string refused = late.receive();
  CHECK(refused.starts_with("HTTP/1.1 503"));
  CHECK(refused.find("\r\nRetry-After: 5\r\n") != std::string::npos);
  CHECK(refused.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  const auto body = nlohmann::json::parse(refused.substr(refused.find("\r\n\r\n") + 4));
  CHECK(body.at("error").at("message") == "the server is stopping");
  CHECK(body.at("error").at("type") == "server_error");
  CHECK(raw.receive().ends_with("\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"));
  CHECK(running.wait_ended().empty());
}

TEST_CASE("http server: where connections can no longer be taken that is told") {
  Running running;
  CHECK(running.client().Get("/plain")->body == "hello");
  for (int file = 3; file < 1024; ++file) {
    int listens = 0;
    sockaddr_in address{};
    socklen_t size = sizeof(listens), address_size = sizeof(address);
    if (::getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    ::getsockname(file, reinterpret_cast<sockaddr*>(&address), &address_size);
    if (ntohs(address.sin_port) == running.port()) ::shutdown(file, SHUT_RDWR);
  }
  CHECK(running.wait_ended() == "the server cannot take connections any more; start it again");
}

TEST_CASE("http server: a client may be slow to take an answer, but must take some of it") {
  HttpOptions options;
  options.write_time = std::chrono::seconds(1);
  const Running running(options);
  const RawClient slow(running.port(), 65536), still(running.port(), 65536);
  const std::string asks = "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  REQUIRE(still.send(asks));
  REQUIRE(slow.send(asks));
  const Clock::time_point begin = Clock::now();
  CHECK(slow.receive(std::chrono::milliseconds(10)).size() > kLarge);
  CHECK(Clock::now() - begin > std::chrono::seconds(2));
  CHECK(still.receive().size() < kLarge);
}

TEST_CASE("http server: a port that is taken is told") {
  const Running first;
  HttpOptions options;
  options.port = first.port();
  HttpServer second(options);
  CHECK_THROWS_WITH_AS(second.bind(),
                       ("127.0.0.1 port " + std::to_string(first.port()) +
                        ": cannot be listened on; it is in use, or this machine has no such address")
                           .c_str(),
                       Error);
}

}  // namespace heed::tools
