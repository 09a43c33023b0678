#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace heed::tools {

class Worker;

/// What happened since the server started, in Prometheus' text format. Any thread may count.
class Metrics {
 public:
  void count_answer(const std::string& route, int status);
  /// A request that a model finished: so many texts, lines of translations or pictures, and the seconds that they took
  /// together. `shared_tokens`: of the prompts, those whose keys were there already.
  void count_done(const std::string& model, std::size_t count, std::int64_t prompt_tokens, std::int64_t shared_tokens,
                  std::int64_t new_tokens, double seconds);

  std::string text(const std::vector<std::unique_ptr<Worker>>& workers) const;

 private:
  struct Done {
    std::uint64_t count = 0;
    std::int64_t prompt_tokens = 0, shared_tokens = 0, new_tokens = 0;
    double seconds = 0;
  };

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> answers_;
  std::map<std::string, Done> done_;
};

}  // namespace heed::tools
