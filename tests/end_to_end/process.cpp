#include "tests/end_to_end/process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>

namespace heed::end_to_end {
namespace {

constexpr std::chrono::seconds kTimeout(120);

/// Both ends of a pipe, closed on exec.
struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    close_read();
    close_write();
  }
  void close_read() { close_end(ends[0]); }
  void close_write() { close_end(ends[1]); }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become_heed(const char* path, char** argv, const RunOptions& options, int in, int out, int error) {
  if (!options.output_file.empty()) {
    out = ::open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (out < 0) ::_exit(126);
  }
  if (options.file_size_limit > 0) {
    const rlimit limit = {options.file_size_limit, options.file_size_limit};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(error, STDERR_FILENO);
  ::execv(path, argv);
  ::_exit(127);
}

/// Appends what there is to read; false at the end.
bool read_some(int descriptor, std::string& text) {
  std::array<char, 65536> block;
  const ssize_t count = ::read(descriptor, block.data(), block.size());
  if (count > 0) text.append(block.data(), static_cast<std::size_t>(count));
  return count > 0;
}

}  // namespace

const char* program() {
  const char* other = std::getenv("HEED_PROGRAM");
  return other == nullptr ? HEED_BUILT_PROGRAM : other;
}

Finished run_heed(const std::vector<std::string>& arguments, const RunOptions& options) {
  std::vector<char*> argv = {const_cast<char*>("heed")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const char* const path = program();
  Pipe in, out, error;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) become_heed(path, argv.data(), options, in.ends[0], out.ends[1], error.ends[1]);
  in.close_read();
  out.close_write();
  error.close_write();

  Finished finished;
  std::string_view input = options.input;
  bool seen_output = false;
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  while (out.ends[0] >= 0 || error.ends[0] >= 0) {
    if (input.empty()) in.close_write();
    std::array<pollfd, 3> polled = {{{in.ends[1], POLLOUT, 0}, {out.ends[0], POLLIN, 0}, {error.ends[0], POLLIN, 0}}};
    ::poll(polled.data(), polled.size(), 1000);
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      FAIL("heed took too long; it said: " << finished.out << finished.error);
    }
    if (polled[0].revents != 0) {
      const ssize_t written = ::write(in.ends[1], input.data(), input.size());
      if (written < 0) {
        input = {};
      } else {
        input.remove_prefix(static_cast<std::size_t>(written));
      }
    }
    if (polled[1].revents != 0) {
      if (!read_some(out.ends[0], finished.out)) out.close_read();
      if (!seen_output && !finished.out.empty()) {
        seen_output = true;
        if (options.on_output) options.on_output(child);
        if (options.close_output_early) out.close_read();
      }
    }
    if (polled[2].revents != 0 && !read_some(error.ends[0], finished.error)) error.close_read();
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) finished.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) finished.signal = WTERMSIG(status);
  REQUIRE(finished.exit_code != 127);
  return finished;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void check_error(const Finished& finished, const std::string& part) {
  INFO("expected: ", part, "\n", finished.both());
  CHECK(finished.exit_code == 1);
  CHECK(finished.out.empty());
  CHECK(finished.error.ends_with('\n'));
  std::vector<std::string> lines = lines_of(finished.error);
  std::erase_if(lines, [](const std::string& line) {
    return line.find("is a CPU driver") != std::string::npos || line.starts_with("measuring which kernels");
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("heed: "));
  CHECK(lines[0].find(part) != std::string::npos);
}

}  // namespace heed::end_to_end
