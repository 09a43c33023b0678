#include "grammar/grammars.h"

#include <algorithm>
#include <utility>

#include "grammar/gbnf_parser.h"
#include "grammar/json_schema.h"

namespace heed::grammar {
namespace {

constexpr std::size_t kMostGrammarsKept = 4;

}  // namespace

std::shared_ptr<Matcher> Grammars::matcher(Format format, std::string_view text) {
  std::shared_ptr<const TokenTrie> trie;
  {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::ranges::find_if(kept_, [&](const Kept& kept) { return kept.format == format && kept.text == text; });
    if (found != kept_.end()) {
      std::rotate(kept_.begin(), found, found + 1);
      return kept_.front().matcher;
    }
    for (const InUse& used : in_use_) {
      if (used.format != format || used.text != text) continue;
      if (std::shared_ptr<Matcher> matcher = used.matcher.lock(); matcher != nullptr) return matcher;
    }
    if (trie_ == nullptr) trie_ = std::make_shared<const TokenTrie>(tokenizer_);
    trie = trie_;
  }
  // Others need not wait for this.
  Program program = compile(format == Format::Gbnf ? parse_gbnf(text) : parse_json_schema(text));
  auto made = std::make_shared<Matcher>(std::move(program), std::move(trie));
  const std::lock_guard lock(mutex_);
  kept_.push_front({format, std::string(text), made});
  if (kept_.size() > kMostGrammarsKept) {
    std::erase_if(in_use_, [](const InUse& used) { return used.matcher.expired(); });
    Kept& last = kept_.back();
    in_use_.push_back({last.format, std::move(last.text), last.matcher});
    kept_.pop_back();
  }
  return made;
}

std::shared_ptr<TokenConstraint> Grammars::constrain(Format format, std::string_view text,
                                                     std::vector<TokenId> end_tokens) {
  return grammar::constrain(matcher(format, text), std::move(end_tokens));
}

}  // namespace heed::grammar
