#include "tools/serve/past_answers.h"

#include <algorithm>
#include <utility>

namespace heed::tools {
namespace {

constexpr std::size_t kOverhead = 256;  // bytes that a text costs besides its tokens, about

}  // namespace

void PastAnswers::keep(const std::string& id, std::size_t index, Text text) {
  const std::size_t bytes = kOverhead + (text.prompt.size() + text.tokens.size()) * sizeof(std::int32_t);
  if (bytes > limits_.bytes) return;
  const std::lock_guard lock(mutex_);
  std::deque<Answer>& answers = answers_[text.model];
  auto answer = std::ranges::find(answers, id, &Answer::id);
  if (answer == answers.end()) answer = answers.insert(answers.end(), {.id = id, .texts = {}, .bytes = 0});
  if (!answer->texts.emplace(index, std::move(text)).second) return;
  answer->bytes += bytes;
  std::size_t all = 0;
  for (const Answer& one : answers) all += one.bytes;
  while (answers.size() > limits_.answers || all > limits_.bytes) {
    all -= answers.front().bytes;
    answers.pop_front();
  }
}

std::optional<PastAnswers::Text> PastAnswers::find(const std::string& id, std::size_t index) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [model, answers] : answers_) {
    const auto answer = std::ranges::find(answers, id, &Answer::id);
    if (answer == answers.end()) continue;
    const auto text = answer->texts.find(index);
    if (text != answer->texts.end()) return text->second;
  }
  return {};
}

}  // namespace heed::tools
