#include "runtime/threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace heed {

std::size_t machine_threads() { return std::max(1u, std::thread::hardware_concurrency()); }

void for_each_on_threads(std::size_t count, const std::function<void(std::size_t)>& work, std::size_t threads) {
  std::atomic<std::size_t> next = 0;
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::size_t failed = count;
  const auto take_turns = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (i < failed) failure = std::current_exception();
        failed = std::min(failed, i);
      }
    }
  };
  std::vector<std::thread> others;
  const std::size_t wanted = std::min(count, threads);
  others.reserve(wanted);
  try {
    while (others.size() + 1 < wanted) others.emplace_back(take_turns);
  } catch (const std::system_error&) {
    // A limit of the user or of memory: the threads there are do it all.
  }
  take_turns();
  for (std::thread& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace heed
