#include "tests/end_to_end/served.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace heed::end_to_end {

Served::Served(std::vector<std::string> arguments) {
  const char* const other = std::getenv("HEED_PROGRAM");
  const char* const program = other == nullptr ? HEED_BUILT_PROGRAM : other;
  arguments.insert(arguments.begin(), {"heed", "serve", "--port", "0", "--grace", "1"});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  process_ = ::fork();
  REQUIRE(process_ >= 0);
  if (process_ == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::execv(program, argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  error_ = ends[0];

  const std::string begin = "heed serves on ";
  std::string said;
  std::array<char, 4096> block;
  while (said.find(begin) == std::string::npos || said.find('\n', said.find(begin)) == std::string::npos) {
    pollfd polled = {error_, POLLIN, 0};
    const bool more = ::poll(&polled, 1, 120000) > 0;
    const ssize_t count = more ? ::read(error_, block.data(), block.size()) : 0;
    if (count <= 0) ::kill(process_, SIGKILL);
    REQUIRE_MESSAGE(count > 0, "heed serve does not come up; it said: ", said);
    said.append(block.data(), static_cast<std::size_t>(count));
  }
  const std::size_t at = said.find(begin) + begin.size();
  url_ = said.substr(at, said.find('\n', at) - at);
}

Served::~Served() {
  ::kill(process_, SIGTERM);
  int status = 0;
  pid_t ended = 0;
  for (int i = 0; i < 6000 && (ended = ::waitpid(process_, &status, WNOHANG)) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(ended == process_);
  if (ended == 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, &status, 0);
  }
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  ::close(error_);
}

}  // namespace heed::end_to_end
