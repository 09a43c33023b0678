#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <tuple>
#include <vector>

#include "grammar/syntax.h"

namespace heed::grammar_test {

/// A recogniser as textbooks have it (Earley 1970, with Aycock and Horspool's step over empty rules), over bytes. Slow
/// and plain, to compare with.
class Earley {
 public:
  explicit Earley(const grammar::Grammar& grammar);

  /// Goes on with a byte; false where no text of the grammar begins so. Then nothing may follow but cut().
  bool push(std::uint8_t byte);
  bool push(std::string_view bytes);
  /// Back to where `size` bytes were.
  void cut(std::size_t size) { sets_.resize(size + 1); }
  std::size_t size() const { return sets_.size() - 1; }
  bool complete() const;

 private:
  struct Symbol {
    bool terminal = false;
    std::uint8_t first = 0, last = 0;
    std::size_t name = 0;
  };
  struct Production {
    std::size_t name;
    std::vector<Symbol> symbols;
  };
  using Item = std::tuple<std::size_t, std::size_t, std::size_t>;  // production, symbols done, where it began
  using Items = std::vector<Item>;

  std::size_t new_name();
  void add(std::size_t name, std::vector<Symbol> symbols);
  std::vector<Symbol> symbols_of(const grammar::Expression& expression);
  void fill(Items& items) const;

  std::vector<Production> productions_;
  std::vector<std::vector<std::size_t>> by_name_;
  std::vector<bool> nullable_;
  std::size_t root_ = 0;
  std::vector<Items> sets_;
};

}  // namespace heed::grammar_test
