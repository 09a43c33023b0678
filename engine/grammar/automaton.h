#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/program.h"
#include "grammar/stack_sets.h"

namespace heed::grammar {

/// The states that a program is in after some bytes, made as they are asked for and each kept once: the bytes that may
/// come next, each with the stacks of rules that it would be in. For one thread.
///
/// What is done counts against `work`; each method that may do something new throws Error where that is used up, and
/// for texts that nest too deep.
class Automaton {
 public:
  /// A node of kind Bytes and the rules around it.
  struct Item {
    std::uint32_t node = 0;
    std::uint32_t stacks = 0;
    bool operator==(const Item&) const = default;
  };
  static constexpr std::uint32_t kDead = 0;

  explicit Automaton(Program program);

  /// The state before the first byte.
  std::uint32_t start(std::int64_t& work);
  /// The state after a byte, kDead where it may not come.
  std::uint32_t step(std::uint32_t state, std::uint8_t byte, std::int64_t& work) {
    const std::uint32_t known = after_[state * classes_ + program_.class_of[byte]];
    return known != kUnknown ? known : make_step(state, program_.class_of[byte], work);
  }
  /// Whether the bytes so far are a text of the grammar.
  bool complete(std::uint32_t state) const { return states_[state].complete; }
  /// What may come, ascending by node. Valid until a state is made.
  std::span<const Item> items(std::uint32_t state) const {
    return std::span(items_).subspan(states_[state].begin, states_[state].count);
  }

  /// The state of a rule that stands at these nodes (ascending), whatever is around it: it is complete where the rule
  /// has ended.
  std::uint32_t within(std::span<const std::uint32_t> nodes, std::int64_t& work);
  /// The state in which a rule has just ended that such stacks are around.
  std::uint32_t behind(std::uint32_t stacks, std::int64_t& work);

  /// About what states and stacks take.
  std::size_t bytes() const;
  /// Whether so much was made that what no text needs should be forgotten.
  bool is_full() const;
  /// Forgets all states but these, whose numbers change to the new ones; is_full() is false until much is made again.
  void keep(std::span<std::uint32_t* const> wanted);

 private:
  static constexpr std::uint32_t kUnknown = 0xFFFFFFFF;
  struct State {
    std::size_t begin = 0;
    std::uint32_t count = 0;
    bool complete = false;
  };
  struct Call {
    std::uint32_t rule = 0, back = 0;
    bool last = false;  // nothing of the caller comes behind it
  };
  /// What may come at a node of a rule, before a byte.
  struct Follow {
    std::vector<std::uint32_t> bytes;
    std::vector<Call> calls;
    bool ends = false;
  };

  const Follow& follow(std::uint32_t node, std::int64_t& work);
  std::uint32_t make_step(std::uint32_t state, std::uint8_t byte_class, std::int64_t& work);
  /// The state after a byte (or a rule) that leads to these places; `complete`: it is one besides.
  std::uint32_t make(std::vector<Item> places, bool complete, std::int64_t& work);
  struct Pending;
  std::uint32_t finish(Pending& pending, std::vector<Item> items, bool complete, std::int64_t& work);
  std::uint32_t intern(std::span<const Item> items, bool complete, std::int64_t& work);
  void reset();

  const Program program_;
  const std::size_t classes_;
  StackSets stacks_;
  std::unordered_map<std::uint32_t, Follow> follows_;
  std::size_t follows_size_ = 0;
  std::vector<State> states_;
  std::vector<Item> items_;
  std::vector<std::uint32_t> after_;  // [state, class]
  std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash_;
  std::unordered_map<std::uint32_t, std::uint32_t> behind_;  // by stacks
  std::size_t bytes_kept_ = 0, sets_kept_ = 0;               // by the last keep()
};

}  // namespace heed::grammar
