#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace heed::grammar {

/// The hash of a list that goes on with this pair.
inline std::uint64_t mixed_in(std::uint64_t hash, std::uint32_t first, std::uint32_t second) {
  hash = (hash ^ first) * 0xFF51AFD7ED558CCDu;
  hash = ((hash >> 32) ^ hash ^ second) * 0xC4CEB9FE1A85EC53u;
  return hash ^ hash >> 29;
}

/// Sets of stacks of return places, each kept once: two are equal where their numbers are. A set is the tops of its
/// stacks, each once, with the set of what lies below it, so that as many stacks as there are paths take the memory of
/// the nodes. For one thread.
class StackSets {
 public:
  struct Top {
    std::uint32_t node = 0;   // where to go on
    std::uint32_t below = 0;  // a set
    bool operator==(const Top&) const = default;
  };
  /// The set that holds the empty stack alone.
  static constexpr std::uint32_t kEmptyStack = 0;
  static constexpr std::size_t kMostSets = std::size_t{1} << 21;

  StackSets();

  /// Each stack of the set with `node` on it. Throws Error where they become too deep.
  std::uint32_t push(std::uint32_t node, std::uint32_t set);
  /// The stacks of both. `work` counts what it does; throws Error where nothing is left of it.
  std::uint32_t unite(std::uint32_t left, std::uint32_t right, std::int64_t& work);
  /// Ascending by node. Valid until a set is made.
  std::span<const Top> tops(std::uint32_t set) const {
    return std::span(tops_).subspan(sets_[set].begin, sets_[set].count);
  }
  bool holds_empty(std::uint32_t set) const { return sets_[set].holds_empty; }
  std::size_t size() const { return sets_.size(); }
  /// About what it takes.
  std::size_t bytes() const;
  /// Forgets all sets but these and what they consist of, which get new numbers: by old number.
  std::unordered_map<std::uint32_t, std::uint32_t> keep(const std::vector<std::uint32_t>& wanted);

 private:
  struct Set {
    std::size_t begin = 0;
    std::uint32_t count = 0;
    std::uint32_t depth = 0;  // of its deepest stack
    bool holds_empty = false;
  };
  std::uint32_t intern(std::span<const Top> tops, bool holds_empty);

  std::vector<Set> sets_;
  std::vector<Top> tops_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash_;
  std::unordered_map<std::uint64_t, std::uint32_t> united_;  // by both numbers
};

/// Throws Error: the limit on what a step of a grammar may take is passed.
[[noreturn]] void fail_at_work_limit();
inline void spend(std::int64_t& work, std::int64_t amount) {
  work -= amount;
  if (work < 0) fail_at_work_limit();
}

}  // namespace heed::grammar
