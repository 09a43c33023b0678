#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "grammar/syntax.h"

namespace heed::grammar {

/// A grammar over bytes, as the nodes of small automata, one a rule, that call each other. Plain data, never changed.
struct Program {
  struct Node {
    enum class Kind : std::uint8_t {
      Bytes,   // a byte from `first` to `last`, then `next`
      Split,   // `next` or `other`
      Call,    // the rule `other`, then `next`
      Accept,  // the end of the rule
    };
    Kind kind = Kind::Accept;
    std::uint8_t first = 0, last = 0;
    std::uint32_t next = 0, other = 0;
  };
  struct Rule {
    std::string name;
    std::uint32_t start = 0;
    bool nullable = false;  // the empty text is one of its texts
    /// Greater than that of every rule that it may begin with.
    std::uint32_t rank = 0;
  };

  std::vector<Node> nodes;
  std::vector<Rule> rules;
  std::uint32_t root = 0;
  /// Bytes that no node tells from each other are of one class.
  std::array<std::uint8_t, 256> class_of{};
  std::vector<std::uint8_t> byte_of;  // one byte of each class
};

/// Throws Error for a rule that may begin with itself, one that no text ends, and a grammar that becomes too large.
Program compile(const Grammar& grammar);

}  // namespace heed::grammar
