#include "tests/end_to_end/serving.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>

namespace heed::end_to_end {
namespace {

constexpr std::chrono::seconds kServingTimeout(120);

/// Appends what comes within a second; false at the end.
bool hear(int descriptor, std::string& text) {
  pollfd poll = {.fd = descriptor, .events = POLLIN, .revents = 0};
  if (::poll(&poll, 1, 1000) <= 0) return true;
  char block[4096];
  const ssize_t count = ::read(descriptor, block, sizeof(block));
  if (count > 0) text.append(block, static_cast<std::size_t>(count));
  return count > 0;
}

}  // namespace

nlohmann::json json_of(const httplib::Result& result, int status) {
  REQUIRE_MESSAGE(static_cast<bool>(result), httplib::to_string(result.error()));
  REQUIRE_MESSAGE(result->status == status, result->body);
  return nlohmann::json::parse(result->body);
}

Serving::Serving(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"serve", "--port", "0"});
  std::vector<char*> argv = {const_cast<char*>("heed")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const char* const path = program();
  child_ = ::fork();
  REQUIRE(child_ >= 0);
  if (child_ == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::execv(path, argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  error_ = ends[0];
  constexpr std::string_view kReady = "heed serves on http://127.0.0.1:";
  const auto deadline = std::chrono::steady_clock::now() + kServingTimeout;
  std::size_t ready = std::string::npos;
  while ((ready = said_.find(kReady)) == std::string::npos || said_.find('\n', ready) == std::string::npos) {
    const bool alive = hear(error_, said_) && std::chrono::steady_clock::now() < deadline;
    REQUIRE_MESSAGE(alive, said_);
  }
  port_ = std::atoi(said_.c_str() + ready + kReady.size());
}

Serving::~Serving() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  ::close(error_);
}

httplib::Client Serving::client() const {
  httplib::Client client("127.0.0.1", port_);
  client.set_read_timeout(kServingTimeout);
  return client;
}

nlohmann::json Serving::post(const std::string& path, const nlohmann::json& body, int status) const {
  return json_of(client().Post(path, body.dump(), "application/json"), status);
}

nlohmann::json Serving::get(const std::string& path, int status) const { return json_of(client().Get(path), status); }

std::vector<nlohmann::json> Serving::stream(const std::string& path, const nlohmann::json& body) const {
  const auto result = client().Post(path, body.dump(), "application/json");
  REQUIRE_MESSAGE(static_cast<bool>(result), httplib::to_string(result.error()));
  REQUIRE_MESSAGE(result->status == 200, result->body);
  CHECK(result->get_header_value("Content-Type") == "text/event-stream");
  std::vector<nlohmann::json> objects;
  bool ended = false;
  for (const std::string& line : lines_of(result->body)) {
    if (line.empty() || line.starts_with(':')) continue;
    CHECK_MESSAGE(!ended, line);
    REQUIRE(line.starts_with("data: "));
    ended = line == "data: [DONE]";
    if (!ended) objects.push_back(nlohmann::json::parse(line.substr(6)));
  }
  CHECK(ended);
  return objects;
}

Finished Serving::stop(int signal) {
  ::kill(child_, signal);
  const auto deadline = std::chrono::steady_clock::now() + kServingTimeout;
  while (hear(error_, said_)) {
    const bool in_time = std::chrono::steady_clock::now() < deadline;
    REQUIRE_MESSAGE(in_time, said_);
  }
  int status = 0;
  REQUIRE(::waitpid(child_, &status, 0) == child_);
  child_ = -1;
  Finished finished;
  if (WIFEXITED(status)) finished.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) finished.signal = WTERMSIG(status);
  finished.error = said_;
  return finished;
}

}  // namespace heed::end_to_end
