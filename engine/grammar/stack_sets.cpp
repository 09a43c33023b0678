#include "grammar/stack_sets.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "heed/error.h"

namespace heed::grammar {
namespace {

constexpr std::uint32_t kMostStackDepth = 8192;            // unite() goes down as deep
constexpr std::size_t kMostUnited = std::size_t{1} << 18;  // that are remembered

std::uint64_t hash_of(std::span<const StackSets::Top> tops, bool holds_empty) {
  std::uint64_t hash = holds_empty ? 0x9E3779B97F4A7C15u : 0x517CC1B727220A95u;
  for (const StackSets::Top& top : tops) hash = mixed_in(hash, top.node, top.below);
  return hash;
}

}  // namespace

void fail_at_work_limit() {
  throw Error(
      "grammar: it is too ambiguous: what may come next takes more steps than heed allows; let fewer rules begin "
      "or end alike");
}

StackSets::StackSets() { intern({}, true); }

std::size_t StackSets::bytes() const {
  constexpr std::size_t kEntry = 40;  // of a map
  return sets_.size() * (sizeof(Set) + kEntry) + tops_.size() * sizeof(Top) + united_.size() * kEntry;
}

std::uint32_t StackSets::intern(std::span<const Top> tops, bool holds_empty) {
  const std::uint64_t hash = hash_of(tops, holds_empty);
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto found = begin; found != end; ++found) {
    const Set& set = sets_[found->second];
    if (set.holds_empty == holds_empty && std::ranges::equal(this->tops(found->second), tops)) return found->second;
  }
  Set made{tops_.size(), static_cast<std::uint32_t>(tops.size()), 0, holds_empty};
  for (const Top& top : tops) made.depth = std::max(made.depth, sets_[top.below].depth + 1);
  if (made.depth > kMostStackDepth)
    throw Error(fmt::format("grammar: the text nests deeper than {} rules", kMostStackDepth));
  if (sets_.size() == kMostSets) {
    throw Error(
        fmt::format("grammar: the text can be read in more than {} ways that differ in what follows", kMostSets));
  }
  const auto number = static_cast<std::uint32_t>(sets_.size());
  tops_.insert(tops_.end(), tops.begin(), tops.end());
  sets_.push_back(made);
  by_hash_.emplace(hash, number);
  return number;
}

std::uint32_t StackSets::push(std::uint32_t node, std::uint32_t set) {
  const Top top{node, set};
  return intern({&top, 1}, false);
}

std::uint32_t StackSets::unite(std::uint32_t left, std::uint32_t right, std::int64_t& work) {
  if (left == right) return left;
  if (left > right) std::swap(left, right);
  const std::uint64_t key = std::uint64_t{left} << 32 | right;
  if (const auto found = united_.find(key); found != united_.end()) return found->second;
  const std::size_t left_size = sets_[left].count, right_size = sets_[right].count;
  spend(work, static_cast<std::int64_t>(left_size + right_size + 1));
  std::vector<Top> both;
  // By index: what is made below moves the lists.
  for (std::size_t l = 0, r = 0; l < left_size || r < right_size;) {
    const auto node_at = [&](std::uint32_t set, std::size_t i, std::size_t size) {
      return i < size ? tops(set)[i].node : std::numeric_limits<std::uint32_t>::max();
    };
    const std::uint32_t left_node = node_at(left, l, left_size), right_node = node_at(right, r, right_size);
    if (left_node < right_node) {
      both.push_back(tops(left)[l++]);
    } else if (right_node < left_node) {
      both.push_back(tops(right)[r++]);
    } else {
      const std::uint32_t left_below = tops(left)[l++].below, right_below = tops(right)[r++].below;
      both.push_back({left_node, unite(left_below, right_below, work)});
    }
  }
  const std::uint32_t made = intern(both, sets_[left].holds_empty || sets_[right].holds_empty);
  if (united_.size() >= kMostUnited) united_.clear();
  united_[key] = made;
  return made;
}

std::unordered_map<std::uint32_t, std::uint32_t> StackSets::keep(const std::vector<std::uint32_t>& wanted) {
  std::vector<bool> needed(sets_.size());
  needed[kEmptyStack] = true;
  for (const std::uint32_t set : wanted) needed[set] = true;
  // What lies below was made before.
  for (std::size_t i = sets_.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Top& top : tops(static_cast<std::uint32_t>(i))) needed[top.below] = true;
  }
  StackSets kept;
  std::unordered_map<std::uint32_t, std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < sets_.size(); ++i) {
    if (!needed[i]) continue;
    std::vector<Top> moved;
    for (const Top& top : tops(i)) moved.push_back({top.node, numbers.at(top.below)});
    numbers[i] = kept.intern(moved, sets_[i].holds_empty);
  }
  *this = std::move(kept);
  return numbers;
}

}  // namespace heed::grammar
