// The server on real connections: what strangers send, and clients that go.
#include "tools/serve/http_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>

#include "heed/error.h"

namespace heed::tools {
namespace {

using Clock = std::chrono::steady_clock;

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
    server_.get("/waits", [this](const httplib::Request&, httplib::Response&) {
      const Clock::time_point end = Clock::now() + std::chrono::seconds(20);
      while (!HttpServer::client_gone() && Clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      saw_it_go_ = HttpServer::client_gone();
      handled_ = true;
    });
    port_ = server_.bind();
    thread_ = std::thread([this] { server_.run(); });
  }
  ~Running() { stop(); }
  void stop() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  httplib::Client client() const { return httplib::Client("127.0.0.1", port_); }
  bool wait_handled() const {
    for (int i = 0; i < 4000 && !handled_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return handled_;
  }
  bool saw_it_go() const { return saw_it_go_; }
  int port() const { return port_; }

 private:
  std::atomic<bool> handled_ = false, saw_it_go_ = false;
  HttpServer server_;
  int port_ = 0;
  std::thread thread_;
};

/// A client that sends what it likes.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
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
  std::string receive() const {
    std::string text;
    char part[4096];
    pollfd poll = {.fd = socket_, .events = POLLIN, .revents = 0};
    while (::poll(&poll, 1, 20000) > 0) {
      const ssize_t count = ::recv(socket_, part, sizeof(part), 0);
      if (count <= 0) break;
      text.append(part, static_cast<std::size_t>(count));
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
  CHECK(client.Get("/wrong/other")->status == 500);
  const auto busy = client.Get("/wrong/busy");
  CHECK(busy->status == 429);
  CHECK(busy->get_header_value("Retry-After") == "3");
  CHECK(nlohmann::ordered_json::parse(busy->body)["error"]["type"] == "rate_limit_error");
  CHECK(client.Post("/echo", R"({"a": [1, {"b": null}]})", "application/json; charset=utf-8")->body ==
        R"({"a":[1,{"b":null}]})");
}

TEST_CASE("http server: bodies that are no JSON, too deep, or said to be something else") {
  const Running running;
  auto client = running.client();
  CHECK(client.Post("/echo", "{}", "text/plain")->status == 415);
  CHECK(client.Post("/echo", "{", "application/json")->status == 400);
  CHECK(client.Post("/echo", "[]", "application/json")->status == 400);
  CHECK(client.Post("/echo", "", "application/json")->status == 400);
  const std::string deep = R"({"a":)" + std::string(200000, '[') + std::string(200000, ']') + "}";
  CHECK(message(client.Post("/echo", deep, "application/json")) == "the body is not valid JSON of at most 100 levels");
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
  CHECK(client.Get("/plain", {{"Host", "evil.example"}})->status == 403);
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
  CHECK(client.Options("/echo")->status == 404);
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
        std::string("POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n")}) {
    CAPTURE(head);
    const RawClient raw(running.port());
    REQUIRE(raw.send(head + length + hidden));
    const std::string answer = raw.receive();
    CHECK(answer.find("HTTP/1.1") == answer.rfind("HTTP/1.1"));
    CHECK(answer.find("secret") == std::string::npos);
  }
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
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
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
