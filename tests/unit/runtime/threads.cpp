#include "runtime/threads.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace heed {
namespace {

/// No further thread fits in this process while it lives: a stack needs more address space than is left.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    ::getrlimit(RLIMIT_AS, &before_);
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit limit = before_;
    limit.rlim_cur = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + (1u << 20);
    ::setrlimit(RLIMIT_AS, &limit);
  }
  ~NoMoreThreads() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("work is done once each, also where the system gives no further thread") {
  for (const bool limited : {false, true}) {
    std::vector<std::atomic<int>> done(100);
    {
      const std::optional<NoMoreThreads> limit = limited ? std::make_optional<NoMoreThreads>() : std::nullopt;
      for_each_on_threads(done.size(), [&](std::size_t i) { ++done[i]; });
    }
    for (const std::atomic<int>& count : done) CHECK(count == 1);
  }
}

TEST_CASE("an exception of one piece of work is thrown when all are done") {
  std::atomic<int> done = 0;
  const auto work = [&](std::size_t i) {
    ++done;
    if (i == 3) throw std::runtime_error("the third");
  };
  CHECK_THROWS_WITH_AS(for_each_on_threads(10, work), "the third", std::runtime_error);
  CHECK(done == 10);
  CHECK_NOTHROW(for_each_on_threads(0, work));
}

TEST_CASE("of several exceptions that of the first piece of work is thrown, whichever comes first in time") {
  std::atomic<bool> second_failed = false;
  const auto work = [&](std::size_t i) {
    if (i == 1) {
      second_failed = true;
      throw std::runtime_error("the second");
    }
    while (!second_failed) std::this_thread::yield();
    throw std::runtime_error("the first");
  };
  CHECK_THROWS_WITH_AS(for_each_on_threads(2, work, 2), "the first", std::runtime_error);
}

}  // namespace heed
