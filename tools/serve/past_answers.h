#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace heed::tools {

/// The tokens of texts that were made, so that it can be asked later what the model looked at. The last answers of each
/// model are kept, as many as fit. Any thread may use it.
class PastAnswers {
 public:
  struct Text {
    std::string model;
    std::vector<std::int32_t> prompt, tokens;
  };
  struct Limits {
    std::size_t answers = 32;      // of a model
    std::size_t bytes = 4u << 20;  // of a model's tokens
  };

  PastAnswers() = default;
  explicit PastAnswers(Limits limits) : limits_(limits) {}

  /// Keeps text `index` of the answer `id`; nothing where it alone is larger than all that may be kept.
  void keep(const std::string& id, std::size_t index, Text text);
  /// Nothing where the answer is not kept, or has no such text.
  std::optional<Text> find(const std::string& id, std::size_t index) const;

 private:
  struct Answer {
    std::string id;
    std::map<std::size_t, Text> texts;
    std::size_t bytes = 0;
  };
  const Limits limits_{};
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Answer>> answers_;  // by model, the oldest first
};

}  // namespace heed::tools
