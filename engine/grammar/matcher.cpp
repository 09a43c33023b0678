#include "grammar/matcher.h"

#include <algorithm>

namespace heed::grammar {
namespace {

constexpr std::int64_t kMostWork = 10'000'000;           // that a text saves, about a second
constexpr std::int64_t kWorkPerToken = 500'000;          // that it gets; all texts of a grammar wait while it is done
constexpr std::size_t kMostKept = std::size_t{6} << 20;  // words
constexpr std::size_t kMostSurroundings = 64;  // more than so many are walked together, with all that is around them
constexpr std::int64_t kNodesPerWork = 4;      // of the trie

}  // namespace

std::size_t Matcher::Hash::operator()(const std::vector<std::uint32_t>& nodes) const {
  std::uint64_t hash = nodes.size();
  for (const std::uint32_t node : nodes) hash = ((hash ^ node) * 0xFF51AFD7ED558CCDu) ^ hash >> 31;
  return hash;
}

Matcher::Matcher(Program program, std::shared_ptr<const TokenTrie> trie)
    : trie_(std::move(trie)),
      words_((trie_->vocabulary_size() + 31) / 32),
      automaton_(std::move(program)),
      path_(trie_->depth() + 1) {}

Matcher::Place::Place(Matcher& matcher) : matcher_(matcher), work_(kMostWork) {
  const std::lock_guard lock(matcher.mutex_);
  matcher.make_room();
  state_ = matcher.automaton_.start(work_);
  matcher.places_.push_back(&state_);
}

Matcher::Place::~Place() {
  const std::lock_guard lock(matcher_.mutex_);
  std::erase(matcher_.places_, &state_);
}

void Matcher::make_room() {
  if (automaton_.is_full()) {
    automaton_.keep(places_);
    for (const auto& [state, words] : masks_) kept_ -= words.size();
    masks_.clear();
  }
  if (kept_ > kMostKept) {
    masks_ = decltype(masks_)();
    within_ = decltype(within_)();
    kept_ = 0;
  }
}

void Matcher::walk(std::size_t node, std::uint32_t state, Words& words, std::vector<std::uint32_t>* completed,
                   std::int64_t& work) {
  const std::span<const TokenTrie::Node> nodes = trie_->nodes();
  const std::size_t end = nodes[node].end;
  path_[nodes[node].depth] = state;
  std::int64_t walked = 0;
  for (std::size_t i = node + 1; i < end; ++walked) {
    const TokenTrie::Node& here = nodes[i];
    const std::uint32_t next = automaton_.step(path_[here.depth - 1u], here.byte, work);
    if (next == Automaton::kDead) {
      i = here.end;
      continue;
    }
    path_[here.depth] = next;
    for (const TokenId token : trie_->tokens(i)) {
      words[static_cast<std::uint32_t>(token) / 32] |= std::uint32_t{1} << (static_cast<std::uint32_t>(token) % 32);
    }
    if (completed != nullptr && here.end > i + 1 && automaton_.complete(next)) {
      completed->push_back(static_cast<std::uint32_t>(i));
    }
    ++i;
  }
  spend(work, walked / kNodesPerWork);
}

const Matcher::Within& Matcher::within(const std::vector<std::uint32_t>& nodes, std::int64_t& work) {
  if (const auto found = within_.find(nodes); found != within_.end()) return found->second;
  Within made;
  made.words.resize(words_);
  walk(0, automaton_.within(nodes, work), made.words, &made.behind, work);
  kept_ += made.words.size() + made.behind.size() + nodes.size();
  return within_[nodes] = std::move(made);
}

const Matcher::Words& Matcher::words_of(std::uint32_t state, std::int64_t& work) {
  if (const auto found = masks_.find(state); found != masks_.end()) return found->second;
  Words words(words_);
  std::vector<Automaton::Item> items(automaton_.items(state).begin(), automaton_.items(state).end());
  std::ranges::stable_sort(items, {}, &Automaton::Item::stacks);
  std::vector<std::vector<std::uint32_t>> groups;  // nodes with the same stacks
  std::vector<std::uint32_t> around;
  for (const Automaton::Item& item : items) {
    if (around.empty() || around.back() != item.stacks) {
      around.push_back(item.stacks);
      groups.emplace_back();
    }
    groups.back().push_back(item.node);
  }
  if (groups.size() > kMostSurroundings) {
    walk(0, state, words, nullptr, work);
  } else {
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const Within& inner = within(groups[i], work);
      for (std::size_t word = 0; word < words_; ++word) words[word] |= inner.words[word];
      if (inner.behind.empty()) continue;
      const std::uint32_t behind = automaton_.behind(around[i], work);
      for (const std::uint32_t node : inner.behind) walk(node, behind, words, nullptr, work);
    }
  }
  kept_ += words.size();
  return masks_[state] = std::move(words);
}

bool Matcher::allowed(Place& place, std::span<std::uint32_t> mask) {
  const std::lock_guard lock(mutex_);
  make_room();
  const Words& words = words_of(place.state_, place.work_);
  std::ranges::fill(mask, 0u);
  std::ranges::copy(words, mask.begin());
  return automaton_.complete(place.state_);
}

std::size_t Matcher::kept_bytes() {
  const std::lock_guard lock(mutex_);
  return automaton_.bytes() + kept_ * sizeof(std::uint32_t);
}

bool Matcher::complete(const Place& place) {
  const std::lock_guard lock(mutex_);
  return automaton_.complete(place.state_);
}

bool Matcher::accept(Place& place, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  make_room();
  place.work_ = std::min(place.work_ + kWorkPerToken, kMostWork);
  std::uint32_t state = place.state_;
  for (const char byte : bytes) {
    state = automaton_.step(state, static_cast<std::uint8_t>(byte), place.work_);
    if (state == Automaton::kDead) return false;
  }
  place.state_ = state;
  return true;
}

}  // namespace heed::grammar
