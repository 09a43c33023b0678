#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/token_trie.h"
#include "heed/constraint.h"

namespace heed::grammar {

/// Which tokens of a vocabulary may come in the states of a grammar. What was found out is kept, for all texts of the
/// grammar; any thread may call it.
///
/// A token mostly goes on with the rule that the text stands in, or is forbidden there, whatever is around the rule:
/// that is found by walking the tree of tokens once for each place in a rule. What remains are tokens with which the
/// rule ends before they do; they are walked on from the rules around it. (XGrammar, Dong et al. 2024, separates tokens
/// so.)
class Matcher {
 public:
  Matcher(Program program, std::shared_ptr<const TokenTrie> trie);

  /// Where a text stands, from its beginning on. Known to the matcher while it lives, which it must not outlive.
  class Place {
   public:
    explicit Place(Matcher& matcher);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    friend class Matcher;
    Matcher& matcher_;
    std::uint32_t state_ = 0;
    std::int64_t work_;  // that its text may take until more is given
  };

  const TokenTrie& trie() const { return *trie_; }
  /// Sets the bits of the tokens that may come, of words that cover the trie's vocabulary; the others are cleared.
  /// Gives whether the text is complete. Throws Error where the text takes more work than it has: it has about a second
  /// of it, and 50 ms more, up to a second, with each accept().
  bool allowed(Place& place, std::span<std::uint32_t> mask);
  bool complete(const Place& place);
  /// Goes on behind these bytes; false, where they may not come, leaves the place where it is. Throws as allowed().
  bool accept(Place& place, std::string_view bytes);
  /// About what is kept between calls, in bytes.
  std::size_t kept_bytes();

 private:
  using Words = std::vector<std::uint32_t>;
  /// Of a place in a rule.
  struct Within {
    Words words;                        // tokens that go on with the rule, or end with it
    std::vector<std::uint32_t> behind;  // nodes of the trie at which it ends and tokens go on
  };

  void make_room();
  const Words& words_of(std::uint32_t state, std::int64_t& work);
  const Within& within(const std::vector<std::uint32_t>& nodes, std::int64_t& work);
  /// Walks what is below a node of the trie from a state, setting the bits of tokens. Nodes with something below them
  /// where the state is complete go to `completed`, if given.
  void walk(std::size_t node, std::uint32_t state, Words& words, std::vector<std::uint32_t>* completed,
            std::int64_t& work);

  std::mutex mutex_;
  const std::shared_ptr<const TokenTrie> trie_;
  const std::size_t words_;
  Automaton automaton_;
  std::vector<std::uint32_t> path_;  // states by depth, of a walk
  std::vector<std::uint32_t*> places_;
  std::unordered_map<std::uint32_t, Words> masks_;  // by state
  struct Hash {
    std::size_t operator()(const std::vector<std::uint32_t>& nodes) const;
  };
  std::unordered_map<std::vector<std::uint32_t>, Within, Hash> within_;  // by nodes
  std::size_t kept_ = 0;                                                 // words in both
};

/// What a grammar lets come in one text, and the end tokens where the text is complete. Throws Error for end tokens
/// that are not in the vocabulary, and where there are none.
std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<Matcher> matcher, std::vector<TokenId> end_tokens);

}  // namespace heed::grammar
