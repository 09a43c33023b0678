#include "tokenizer/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {

MergeTable::MergeTable(const TokenizerDescription& description, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary) {
  if (description.merging == TokenizerDescription::Merging::Scores) add_by_scores(description);
  if (description.merging == TokenizerDescription::Merging::Ranks) add_listed(description);
  sort_entries();
}

// SentencePiece merges any two neighbours that together are a piece. Every way to cut a piece in two is looked up here
// once, so that merging compares numbers only.
void MergeTable::add_by_scores(const TokenizerDescription& description) {
  std::vector<TokenId> order;
  for (std::size_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.is_mergeable(static_cast<TokenId>(id))) order.push_back(static_cast<TokenId>(id));
  }
  const auto score = [&](TokenId id) { return description.scores[static_cast<std::size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return score(a) > score(b); });

  const bool by_byte = description.alphabet == TokenizerDescription::Alphabet::Bytes;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && score(order[i]) < score(order[i - 1])) ++rank;
    const std::string_view piece = vocabulary_.bytes(order[i]);
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; at < piece.size(); at += by_byte ? 1 : scan_character(piece, at).size) cuts.push_back(at);
    cuts.push_back(piece.size());
    // A part is a piece or a single character.
    const auto part = [&](std::size_t from, std::size_t to) {
      const std::string_view bytes = piece.substr(cuts[from], cuts[to] - cuts[from]);
      return to - from == 1 ? symbol_or_new(bytes) : vocabulary_.find(bytes).value_or(kNoSymbol);
    };
    const std::size_t units = cuts.size() - 1;
    for (std::size_t middle = 1; middle < units; ++middle) {
      const Symbol left = part(0, middle);
      if (left == kNoSymbol) continue;
      const Symbol right = part(middle, units);
      if (right != kNoSymbol) entries_.push_back({left, right, {rank, order[i]}});
    }
  }
}

void MergeTable::add_listed(const TokenizerDescription& description) {
  std::unordered_set<std::string_view> not_mergeable;
  for (std::size_t id = 0; id < vocabulary_.size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (!vocabulary_.find(vocabulary_.bytes(token))) not_mergeable.insert(vocabulary_.bytes(token));
  }
  for (std::size_t rank = 0; rank < description.merges.size(); ++rank) {
    const auto [left_id, right_id] = description.merges[rank];
    const auto spells = [&](TokenId id) {
      return vocabulary_.kind(id) == PieceKind::Normal || vocabulary_.kind(id) == PieceKind::UserDefined ||
             vocabulary_.kind(id) == PieceKind::Unused;
    };
    if (!spells(left_id) || !spells(right_id)) continue;
    // Of pieces with the same bytes only one takes part.
    const std::optional<TokenId> left = vocabulary_.find(vocabulary_.bytes(left_id));
    const std::optional<TokenId> right = vocabulary_.find(vocabulary_.bytes(right_id));
    if (!left || !right) continue;
    const std::string merged = vocabulary_.bytes(*left) + vocabulary_.bytes(*right);
    const std::optional<TokenId> result = vocabulary_.find(merged);
    if (!result && not_mergeable.contains(merged)) continue;
    if (!result) {
      throw Error(
          fmt::format("tokenizer.json: merge {} of pieces {} and {} leads to no piece of the vocabulary; convert "
                      "the model again",
                      rank, left_id, right_id));
    }
    entries_.push_back({*left, *right, {static_cast<std::uint32_t>(rank), *result}});
  }
}

void MergeTable::sort_entries() {
  const auto pair_less = [](const Entry& a, const Entry& b) {
    return a.left != b.left ? a.left < b.left : a.right < b.right;
  };
  std::stable_sort(entries_.begin(), entries_.end(), pair_less);
  // Of equal pairs the last listed stays, as in Hugging Face's map of merges.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const bool last = i + 1 == entries_.size() || pair_less(entries_[i], entries_[i + 1]);
    if (last) entries_[kept++] = entries_[i];
  }
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(kept), entries_.end());
  entries_.shrink_to_fit();
  begins_.assign(vocabulary_.size() + loose_bytes_.size() + 1, 0);
  for (const Entry& entry : entries_) ++begins_[static_cast<std::size_t>(entry.left) + 1];
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

const MergeTable::Merge* MergeTable::find(Symbol left, Symbol right) const {
  if (left == kNoSymbol || right == kNoSymbol) return nullptr;
  const Entry* begin = entries_.data() + begins_[static_cast<std::size_t>(left)];
  const Entry* end = entries_.data() + begins_[static_cast<std::size_t>(left) + 1];
  const Entry* found =
      std::lower_bound(begin, end, right, [](const Entry& entry, Symbol symbol) { return entry.right < symbol; });
  return found != end && found->right == right ? &found->merge : nullptr;
}

Symbol MergeTable::symbol(std::string_view unit) const {
  if (const std::optional<TokenId> id = vocabulary_.find(unit)) return *id;
  if (loose_symbols_.empty()) return kNoSymbol;
  const auto found = loose_symbols_.find(std::string(unit));
  return found == loose_symbols_.end() ? kNoSymbol : found->second;
}

Symbol MergeTable::symbol_or_new(std::string_view unit) {
  if (const Symbol known = symbol(unit); known != kNoSymbol) return known;
  const auto added = static_cast<Symbol>(vocabulary_.size() + loose_bytes_.size());
  loose_symbols_.emplace(unit, added);
  loose_bytes_.emplace_back(unit);
  return added;
}

std::string_view MergeTable::bytes(Symbol symbol) const {
  const auto index = static_cast<std::size_t>(symbol);
  return index < vocabulary_.size() ? vocabulary_.bytes(symbol) : loose_bytes_[index - vocabulary_.size()];
}

Merger::Merger(const Vocabulary& vocabulary, const MergeTable& table, const TokenizerDescription& flags,
               std::vector<std::string>* unknown_texts)
    : vocabulary_(vocabulary),
      table_(table),
      bytes_alphabet_(flags.alphabet == TokenizerDescription::Alphabet::Bytes),
      word_suffix_(flags.word_suffix),
      speller_(vocabulary, flags.fuse_unknown, unknown_texts) {}

void Merger::encode(std::string_view stretch, std::vector<TokenId>& ids) {
  speller_.begin(stretch);
  make_nodes(stretch);
  merge_all();
  for (const Node& node : nodes_) {
    if (node.size > 0) name(node.symbol, stretch.substr(node.begin, node.size), ids);
  }
}

void Merger::make_nodes(std::string_view stretch) {
  nodes_.clear();
  for (std::size_t at = 0; at < stretch.size();) {
    const std::size_t size = bytes_alphabet_ ? 1 : scan_character(stretch, at).size;
    const auto index = static_cast<std::int32_t>(nodes_.size());
    nodes_.push_back({table_.symbol(stretch.substr(at, size)), index - 1, index + 1, static_cast<std::uint32_t>(at),
                      static_cast<std::uint32_t>(size)});
    at += size;
  }
  if (nodes_.empty()) return;
  Node& last = nodes_.back();
  last.next = -1;
  if (!word_suffix_.empty()) last.symbol = table_.symbol(std::string(stretch.substr(last.begin)) + word_suffix_);
}

bool Merger::goes_later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left_node > b.left_node;
}

void Merger::consider(std::int32_t left_node) {
  if (left_node < 0) return;
  const Node& left = nodes_[static_cast<std::size_t>(left_node)];
  if (left.next < 0) return;
  const Node& right = nodes_[static_cast<std::size_t>(left.next)];
  const MergeTable::Merge* merge = table_.find(left.symbol, right.symbol);
  if (merge == nullptr) return;
  candidates_.push_back({merge->rank, left_node, left.symbol, right.symbol, merge->result});
  std::push_heap(candidates_.begin(), candidates_.end(), goes_later);
  if (vocabulary_.kind(merge->result) == PieceKind::Unused) made_from_[merge->result] = {left.symbol, right.symbol};
}

void Merger::merge_all() {
  candidates_.clear();
  made_from_.clear();
  for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) consider(static_cast<std::int32_t>(i));
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end(), goes_later);
    const Candidate best = candidates_.back();
    candidates_.pop_back();
    Node& left = nodes_[static_cast<std::size_t>(best.left_node)];
    if (left.size == 0 || left.symbol != best.left || left.next < 0) continue;
    // A merge only makes symbols longer, so one that is still the same is the one that was considered.
    Node& right = nodes_[static_cast<std::size_t>(left.next)];
    if (right.symbol != best.right) continue;
    left.symbol = best.result;
    left.size += right.size;
    left.next = right.next;
    right.size = 0;
    if (left.next >= 0) nodes_[static_cast<std::size_t>(left.next)].previous = best.left_node;
    consider(left.previous);
    consider(best.left_node);
  }
}

void Merger::name(Symbol symbol, std::string_view bytes, std::vector<TokenId>& ids) {
  if (symbol == kNoSymbol || static_cast<std::size_t>(symbol) >= vocabulary_.size()) {
    return speller_.add_unspelled(bytes, ids);
  }
  if (vocabulary_.kind(symbol) == PieceKind::Unused) {
    const auto found = made_from_.find(symbol);
    if (found == made_from_.end()) return speller_.add_unspelled(bytes, ids);
    // The parts are shorter, so this ends, at most as many levels deep as a piece has bytes.
    const auto [left, right] = found->second;
    name(left, table_.bytes(left), ids);
    name(right, table_.bytes(right), ids);
    return;
  }
  speller_.add(symbol, ids);
}

}  // namespace heed
