#include "grammar/automaton.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_set>
#include <utility>

#include "heed/error.h"

namespace heed::grammar {
namespace {

using Kind = Program::Node::Kind;

constexpr std::size_t kMostFollows = std::size_t{1} << 20;
constexpr std::size_t kMostStates = std::size_t{1} << 15;
constexpr std::size_t kMostStateBytes = std::size_t{32} << 20;
constexpr std::int64_t kStateWork = 64;  // of keeping one

std::uint64_t hash_of(std::span<const Automaton::Item> items, bool complete) {
  std::uint64_t hash = complete ? 0x2545F4914F6CDD1Du : 0x9E3779B97F4A7C15u;
  for (const Automaton::Item& item : items) hash = mixed_in(hash, item.node, item.stacks);
  return hash;
}

}  // namespace

/// Rules that begin, with the stacks around them: by rank, since all that is around one is known when those that may
/// begin with it are done.
struct Automaton::Pending {
  struct Begun {
    std::uint32_t rule, stacks;
  };
  std::map<std::uint32_t, Begun, std::greater<>> rules;
};

Automaton::Automaton(Program program) : program_(std::move(program)), classes_(program_.byte_of.size()) { reset(); }

void Automaton::reset() {
  // New ones, since those that are cleared keep their memory.
  states_ = std::vector<State>(1);
  items_ = std::vector<Item>();
  after_ = std::vector<std::uint32_t>(classes_, kDead);
  by_hash_ = decltype(by_hash_)();
  behind_ = decltype(behind_)();
}

std::size_t Automaton::bytes() const {
  constexpr std::size_t kEntry = 40;  // of a map
  return states_.size() * (sizeof(State) + kEntry) + items_.size() * sizeof(Item) + after_.size() * sizeof(after_[0]) +
         behind_.size() * kEntry + stacks_.bytes();
}

bool Automaton::is_full() const {
  // What texts need is not kept again and again for the little that comes to it.
  const std::size_t sets_left = StackSets::kMostSets - std::min(sets_kept_, StackSets::kMostSets);
  if (stacks_.size() > sets_kept_ + sets_left / 2) return true;
  const std::size_t now = bytes();
  return now > 2 * bytes_kept_ && (states_.size() > kMostStates || now > kMostStateBytes);
}

// The nodes that are reached within the rule without a byte; a rule that may be empty is stepped over too.
const Automaton::Follow& Automaton::follow(std::uint32_t node, std::int64_t& work) {
  if (const auto found = follows_.find(node); found != follows_.end()) return found->second;
  Follow made;
  std::vector<std::uint32_t> path{node};
  std::unordered_set<std::uint32_t> seen{node};
  const auto go_on = [&](std::uint32_t next) {
    if (seen.insert(next).second) path.push_back(next);
  };
  while (!path.empty()) {
    const std::uint32_t at = path.back();
    const Program::Node& here = program_.nodes[at];
    path.pop_back();
    spend(work, 1);
    switch (here.kind) {
      case Kind::Bytes:
        made.bytes.push_back(at);
        break;
      case Kind::Split:
        go_on(here.other);
        go_on(here.next);
        break;
      case Kind::Call:
        made.calls.push_back({here.other, here.next, program_.nodes[here.next].kind == Kind::Accept});
        if (program_.rules[here.other].nullable) go_on(here.next);
        break;
      case Kind::Accept:
        made.ends = true;
        break;
    }
  }
  constexpr std::size_t kEach = 8;  // what one takes besides
  follows_size_ += kEach + made.bytes.size() + made.calls.size();
  if (follows_size_ > kMostFollows) {  // they are made again when they are needed
    follows_ = decltype(follows_)();
    follows_size_ = kEach + made.bytes.size() + made.calls.size();
  }
  return follows_[node] = std::move(made);
}

std::uint32_t Automaton::intern(std::span<const Item> items, bool complete, std::int64_t& work) {
  if (items.empty() && !complete) return kDead;
  const std::uint64_t hash = hash_of(items, complete);
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto found = begin; found != end; ++found) {
    if (states_[found->second].complete == complete && std::ranges::equal(this->items(found->second), items)) {
      return found->second;
    }
  }
  spend(work, kStateWork + static_cast<std::int64_t>(classes_));
  const auto number = static_cast<std::uint32_t>(states_.size());
  states_.push_back({items_.size(), static_cast<std::uint32_t>(items.size()), complete});
  items_.insert(items_.end(), items.begin(), items.end());
  after_.insert(after_.end(), classes_, kUnknown);
  by_hash_.emplace(hash, number);
  return number;
}

std::uint32_t Automaton::finish(Pending& pending, std::vector<Item> items, bool complete, std::int64_t& work) {
  while (!pending.rules.empty()) {
    const Pending::Begun begun = pending.rules.begin()->second;
    pending.rules.erase(pending.rules.begin());
    const Follow& first = follow(program_.rules[begun.rule].start, work);
    spend(work, static_cast<std::int64_t>(first.bytes.size() + first.calls.size()));
    for (const std::uint32_t node : first.bytes) items.push_back({node, begun.stacks});
    for (const Call& call : first.calls) {
      const std::uint32_t stacks = call.last ? begun.stacks : stacks_.push(call.back, begun.stacks);
      const auto [place, added] =
          pending.rules.try_emplace(program_.rules[call.rule].rank, Pending::Begun{call.rule, stacks});
      if (!added) place->second.stacks = stacks_.unite(place->second.stacks, stacks, work);
    }
  }
  std::ranges::sort(items, {}, [](const Item& item) { return std::pair(item.node, item.stacks); });
  std::size_t count = 0;
  for (const Item& item : items) {
    if (count > 0 && items[count - 1].node == item.node) {
      items[count - 1].stacks = stacks_.unite(items[count - 1].stacks, item.stacks, work);
    } else {
      items[count++] = item;
    }
  }
  items.resize(count);
  return intern(items, complete, work);
}

std::uint32_t Automaton::make(std::vector<Item> places, bool complete, std::int64_t& work) {
  Pending pending;
  std::vector<Item> items;
  std::unordered_set<std::uint64_t> seen;
  const auto key = [](const Item& place) { return std::uint64_t{place.node} << 32 | place.stacks; };
  for (const Item& place : places) seen.insert(key(place));
  while (!places.empty()) {
    const Item place = places.back();
    places.pop_back();
    const Follow& next = follow(place.node, work);
    spend(work, static_cast<std::int64_t>(1 + next.bytes.size() + next.calls.size()));
    for (const std::uint32_t node : next.bytes) items.push_back({node, place.stacks});
    for (const Call& call : next.calls) {
      const std::uint32_t stacks = call.last ? place.stacks : stacks_.push(call.back, place.stacks);
      const auto [begun, added] =
          pending.rules.try_emplace(program_.rules[call.rule].rank, Pending::Begun{call.rule, stacks});
      if (!added) begun->second.stacks = stacks_.unite(begun->second.stacks, stacks, work);
    }
    if (!next.ends) continue;
    complete = complete || stacks_.holds_empty(place.stacks);
    for (const StackSets::Top& top : stacks_.tops(place.stacks)) {
      spend(work, 1);
      const Item back{top.node, top.below};
      if (seen.insert(key(back)).second) places.push_back(back);
    }
  }
  return finish(pending, std::move(items), complete, work);
}

std::uint32_t Automaton::start(std::int64_t& work) {
  Pending pending;
  const Program::Rule& root = program_.rules[program_.root];
  pending.rules.emplace(root.rank, Pending::Begun{program_.root, StackSets::kEmptyStack});
  return finish(pending, {}, root.nullable, work);
}

std::uint32_t Automaton::make_step(std::uint32_t state, std::uint8_t byte_class, std::int64_t& work) {
  const std::uint8_t byte = program_.byte_of[byte_class];
  std::vector<Item> places;
  spend(work, 1 + states_[state].count / 4);
  for (const Item& item : items(state)) {
    const Program::Node& node = program_.nodes[item.node];
    if (byte < node.first || byte > node.last) continue;
    places.push_back({node.next, item.stacks});
  }
  std::ranges::sort(places, {}, [](const Item& place) { return std::pair(place.node, place.stacks); });
  places.erase(std::unique(places.begin(), places.end()), places.end());
  const std::uint32_t next = places.empty() ? kDead : make(std::move(places), false, work);
  after_[state * classes_ + byte_class] = next;
  return next;
}

std::uint32_t Automaton::within(std::span<const std::uint32_t> nodes, std::int64_t& work) {
  std::vector<Item> items;
  for (const std::uint32_t node : nodes) items.push_back({node, StackSets::kEmptyStack});
  return intern(items, false, work);
}

std::uint32_t Automaton::behind(std::uint32_t stacks, std::int64_t& work) {
  if (const auto found = behind_.find(stacks); found != behind_.end()) return found->second;
  std::vector<Item> places;
  for (const StackSets::Top& top : stacks_.tops(stacks)) places.push_back({top.node, top.below});
  const std::uint32_t state = make(std::move(places), stacks_.holds_empty(stacks), work);
  behind_[stacks] = state;
  return state;
}

void Automaton::keep(std::span<std::uint32_t* const> wanted) {
  struct Kept {
    std::vector<Item> items;
    bool complete;
  };
  std::vector<Kept> states;
  std::vector<std::uint32_t> sets;
  for (const std::uint32_t* state : wanted) {
    const std::span<const Item> from = items(*state);
    states.push_back({{from.begin(), from.end()}, complete(*state)});
    for (const Item& item : from) sets.push_back(item.stacks);
  }
  const std::unordered_map<std::uint32_t, std::uint32_t> numbers = stacks_.keep(sets);
  reset();
  std::int64_t work = INT64_MAX;  // it is no more than what was there
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (Item& item : states[i].items) item.stacks = numbers.at(item.stacks);
    *wanted[i] = intern(states[i].items, states[i].complete, work);
  }
  bytes_kept_ = bytes();
  sets_kept_ = stacks_.size();
}

}  // namespace heed::grammar
