#include "formats/alignment.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "heed/error.h"

namespace heed {
namespace {

/// A unit of an alignment: indices of its tokens, one after the other but for special ones between them.
struct AlignedUnit {
  std::size_t number;  // as pairs call it
  std::vector<std::size_t> tokens;
};

/// Length of the space at the front of a text, as vocabularies write it; 0 where there is none.
std::size_t space_at_front(std::string_view text) {
  constexpr std::string_view kSpaces[] = {" ", "\n", "\t", "\r", "\u2581"};
  for (const std::string_view space : kSpaces) {
    if (text.starts_with(space)) return space.size();
  }
  return 0;
}

bool ends_in_space(std::string_view text) {
  return text.ends_with(' ') || text.ends_with('\n') || text.ends_with('\t') || text.ends_with('\r') ||
         text.ends_with("\u2581");
}

bool is_space_alone(std::string_view text) {
  while (const std::size_t size = space_at_front(text)) text.remove_prefix(size);
  return text.empty();
}

std::vector<AlignedUnit> units_of(const std::vector<std::string>& tokens, const std::vector<bool>& special,
                                  AlignmentUnit unit) {
  std::vector<AlignedUnit> units;
  bool begins = true;     // a word, with the next token
  bool has_text = false;  // the word that is being read
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!special.empty() && special[i]) {
      begins = true;
      continue;
    }
    if (unit == AlignmentUnit::Tokens) {
      units.push_back({i, {i}});
      continue;
    }
    // A space alone belongs to the word behind it.
    if (units.empty() || (has_text && (begins || space_at_front(tokens[i]) > 0))) {
      units.push_back({units.size(), {}});
      has_text = false;
    }
    units.back().tokens.push_back(i);
    has_text = has_text || !is_space_alone(tokens[i]);
    begins = ends_in_space(tokens[i]);
  }
  // One at the end of a text belongs to the word before it.
  if (unit == AlignmentUnit::Words && units.size() > 1 && !has_text) {
    const AlignedUnit last = units.back();
    units.pop_back();
    units.back().tokens.insert(units.back().tokens.end(), last.tokens.begin(), last.tokens.end());
  }
  return units;
}

double weight_between(const AveragedAttention& map, const AlignedUnit& source, const AlignedUnit& target) {
  double sum = 0;
  for (const std::size_t row : target.tokens) {
    for (const std::size_t column : source.tokens) {
      sum += map.weights[row * static_cast<std::size_t>(map.columns) + column];
    }
  }
  return sum / static_cast<double>(target.tokens.size());
}

}  // namespace

std::string pharaoh_pairs(const Attention& attention, const AttentionChoice& choice, AlignmentUnit unit) {
  const AveragedAttention map = average_attention(attention, choice);
  if (map.kind != AttentionKind::Cross) {
    throw Error(
        fmt::format("alignment: '{}' is no cross-attention, and aligns nothing; choose other layers", map.title));
  }
  const std::vector<AlignedUnit> sources = units_of(attention.source, attention.source_special, unit);
  const std::vector<AlignedUnit> targets = units_of(attention.target, attention.target_special, unit);
  std::string pairs;
  if (sources.empty()) return pairs;
  for (const AlignedUnit& target : targets) {
    std::size_t best = 0;
    double most = weight_between(map, sources.front(), target);
    for (std::size_t i = 1; i < sources.size(); ++i) {
      const double weight = weight_between(map, sources[i], target);
      if (weight > most) {
        most = weight;
        best = i;
      }
    }
    pairs += fmt::format("{}{}-{}", pairs.empty() ? "" : " ", sources[best].number, target.number);
  }
  return pairs;
}

}  // namespace heed
