#include "generate/search.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace heed {

Search::Search(Session& session, StepState& steps, std::int64_t sentences, std::int64_t ways)
    : session_(session), steps_(steps), sentences_(sentences), ways_(ways) {
  assert(steps.rows() == sentences * ways);
}

void Search::start(std::int64_t live, std::int32_t first_token, const std::vector<std::vector<std::int32_t>>& forced,
                   const ops::SearchOptions& options, std::int64_t capacity) {
  start(std::vector<std::int32_t>(static_cast<std::size_t>(live), first_token), forced, options, capacity);
}

void Search::start(const std::vector<std::int32_t>& first_tokens, const std::vector<std::vector<std::int32_t>>& forced,
                   const ops::SearchOptions& options, std::int64_t capacity) {
  const auto live = static_cast<std::int64_t>(first_tokens.size());
  assert(live <= sentences_);
  live_ = live;
  options_ = options;
  std::size_t most = 0;
  for (const std::vector<std::int32_t>& tokens : forced) most = std::max(most, tokens.size());
  options_.forced = static_cast<std::int32_t>(most);

  std::vector<std::int32_t> firsts;  // by row
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> parents;
  for (std::int64_t s = 0; s < sentences_; ++s) {
    for (std::int64_t w = 0; w < ways_; ++w) {
      firsts.push_back(s < live ? first_tokens[static_cast<std::size_t>(s)] : 0);
      tokens.push_back(s < live && w < first_ways() ? firsts.back() : -1);
      parents.push_back(static_cast<std::int32_t>(s));
    }
  }
  steps_.start(tokens, parents, capacity);

  const auto lists = static_cast<std::size_t>(forced_lists());
  std::vector<std::int32_t> words(ops::kFirstForced + lists * most, -1);
  std::memcpy(words.data(), &options_, sizeof(options_));
  for (std::size_t i = 0; i < lists; ++i) {
    const std::size_t sentence = i * static_cast<std::size_t>(sentences_) / lists;
    if (sentence >= forced.size()) break;
    std::ranges::copy(forced[sentence], words.begin() + static_cast<std::ptrdiff_t>(ops::kFirstForced + i * most));
  }
  write("search.options", words);
  begin(firsts);
}

Bindings Search::dims() const {
  Bindings dims = steps_.dims();
  dims["sentences"] = sentences_;
  dims["options"] = static_cast<std::int64_t>(ops::kFirstForced) + forced_lists() * options_.forced;
  return dims;
}

}  // namespace heed
