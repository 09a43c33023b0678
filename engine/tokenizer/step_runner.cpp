#include "tokenizer/step_runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tokenizer/normalize.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

using Kind = TextStep::Kind;

constexpr std::size_t kMostBytes = std::size_t{256} << 20;  // of a stretch; a text has at most 64 MiB

std::vector<std::string> patterns_of(const std::vector<TextStep>& steps) {
  std::vector<std::string> patterns;
  for (const TextStep& step : steps) {
    if (step.is_regex) patterns.push_back(step.find);
  }
  return patterns;
}

// Chinese characters as BERT's tokenizer has them, its mistake at U+2B820 included.
bool is_ideograph(char32_t c) {
  const auto in = [&](char32_t first, char32_t last) { return c >= first && c <= last; };
  return in(0x4E00, 0x9FFF) || in(0x3400, 0x4DBF) || in(0x20000, 0x2A6DF) || in(0x2A700, 0x2B73F) ||
         in(0x2B740, 0x2B81F) || in(0x2B920, 0x2CEAF) || in(0xF900, 0xFAFF) || in(0x2F800, 0x2FA1F);
}

std::string with_spaced_ideographs(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = scan_character(text, at).size;
    const bool spaced = is_ideograph(code_point_at(text, at));
    if (spaced) result += ' ';
    result += text.substr(at, size);
    if (spaced) result += ' ';
    at += size;
  }
  return result;
}

struct Part {
  TextRange range;
  bool is_match;
};

// Matches and what is between them; empty ones of the latter are left out.
std::vector<Part> parts_of(std::string_view text, const std::vector<TextRange>& matches, bool inverted) {
  std::vector<Part> parts;
  std::size_t done = 0;
  for (const TextRange& match : matches) {
    if (match.begin > done) parts.push_back({{done, match.begin}, inverted});
    parts.push_back({match, !inverted});
    done = match.end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, inverted});
  return parts;
}

// As NormalizedString::split of tokenizers joins them: a match directly behind another stays alone where matches go to
// a neighbour.
std::vector<TextRange> joined(const std::vector<Part>& parts, TextStep::Matches matches) {
  using Matches = TextStep::Matches;
  std::vector<TextRange> ranges;
  bool previous = false;
  const auto with_previous = [&](const Part& part) {
    return matches == Matches::Contiguous ? part.is_match == previous : part.is_match && !previous;
  };
  if (matches == Matches::WithNext) {
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (part->is_match && !previous && !ranges.empty()) {
        ranges.back().begin = part->range.begin;
      } else {
        ranges.push_back(part->range);
      }
      previous = part->is_match;
    }
    std::ranges::reverse(ranges);
    return ranges;
  }
  for (const Part& part : parts) {
    if (matches == Matches::Removed && part.is_match) continue;
    const bool joins = matches == Matches::Contiguous || matches == Matches::WithPrevious;
    if (joins && with_previous(part) && !ranges.empty()) {
      ranges.back().end = part.range.end;
    } else {
      ranges.push_back(part.range);
    }
    previous = part.is_match;
  }
  return ranges;
}

}  // namespace

StepRunner::StepRunner(const std::vector<TextStep>& steps, const std::string& charsmap)
    : steps_(steps), splitter_(std::make_unique<Splitter>(patterns_of(steps))) {
  std::size_t patterns = 0;
  for (const TextStep& step : steps_) {
    patterns_.push_back(patterns);
    if (step.is_regex) ++patterns;
    if (step.kind != Kind::Charsmap || charsmap_ != nullptr) continue;
    charsmap_ = std::make_unique<Charsmap>(charsmap);
    clusters_ = std::make_unique<Splitter>(std::vector<std::string>{"\\X"});
  }
}

StepRunner::~StepRunner() = default;

StepRunner::Work::Work(const StepRunner& runner) : runner_(runner), matcher_(*runner.splitter_) {}

StepRunner::Work::~Work() = default;

std::vector<StepRunner::Stretch> StepRunner::Work::run(Stretch stretch) {
  std::vector<Stretch> stretches = {stretch};
  for (std::size_t step = 0; step < runner_.steps_.size(); ++step) {
    std::vector<Stretch> results;
    for (const Stretch& one : stretches) apply(step, one, results);
    std::erase_if(results, [](const Stretch& one) { return one.text.empty(); });
    stretches = std::move(results);
  }
  return stretches;
}

StepRunner::Stretch StepRunner::Work::keep(std::string text, std::size_t begin) {
  if (text.size() > kMostBytes) {
    throw Error("cannot encode the text: replacing makes more than 256 MiB of it; encode shorter texts");
  }
  texts_.push_back(std::move(text));
  return {texts_.back(), std::min(begin, texts_.back().size())};
}

StepRunner::Stretch StepRunner::Work::mapped(const Stretch& stretch,
                                             const std::function<std::string(std::string_view)>& map) {
  std::string text = map(stretch.text);
  if (stretch.begin == 0 || text.empty()) return keep(std::move(text), 0);
  const std::string first = map(stretch.text.substr(0, stretch.begin));
  // Else it became one character with those behind it.
  const std::size_t begin = text.starts_with(first) ? first.size() : scan_character(text, 0).size;
  return keep(std::move(text), begin);
}

void StepRunner::Work::apply(std::size_t index, const Stretch& stretch, std::vector<Stretch>& results) {
  const TextStep& step = runner_.steps_[index];
  const auto add_mapped = [&](const std::function<std::string(std::string_view)>& map) {
    results.push_back(mapped(stretch, map));
  };
  switch (step.kind) {
    case Kind::Nfc:
      return add_mapped([](std::string_view text) { return normalized(text, NormalForm::Nfc); });
    case Kind::Nfd:
      return add_mapped([](std::string_view text) { return normalized(text, NormalForm::Nfd); });
    case Kind::Nfkc:
      return add_mapped([](std::string_view text) { return normalized(text, NormalForm::Nfkc); });
    case Kind::Nfkd:
      return add_mapped([](std::string_view text) { return normalized(text, NormalForm::Nfkd); });
    case Kind::Lower:
      return add_mapped(lower_characters);
    case Kind::Charsmap:
      if (step.longest) {
        return add_mapped([&](std::string_view text) { return with_longest_rules(*runner_.charsmap_, text); });
      }
      return add_mapped(
          [&](std::string_view text) { return with_rules_by_cluster(*runner_.charsmap_, *runner_.clusters_, text); });
    case Kind::SpaceIdeographs:
      return add_mapped(with_spaced_ideographs);
    case Kind::Strip: {
      const std::string_view text = trim_white_space(stretch.text, step.left, step.right);
      const auto gone = static_cast<std::size_t>(text.data() - stretch.text.data());
      return results.push_back({text, std::min(text.size(), stretch.begin - std::min(stretch.begin, gone))});
    }
    case Kind::Replace:
      return results.push_back(replaced(index, stretch));
    case Kind::Prepend: {
      const bool there = step.unless_there && stretch.text.starts_with(step.text);
      if (there || (step.first_only && stretch.begin == 0)) return results.push_back(stretch);
      const std::size_t begin = stretch.begin == 0 ? 0 : step.text.size() + stretch.begin;
      return results.push_back(keep(step.text + std::string(stretch.text), begin));
    }
    case Kind::Split:
      return split(index, stretch, results);
  }
}

void StepRunner::Work::split(std::size_t index, const Stretch& stretch, std::vector<Stretch>& results) {
  const TextStep& step = runner_.steps_[index];
  const std::vector<Part> parts = parts_of(stretch.text, matches(index, stretch.text), step.inverted);
  for (const TextRange& range : joined(parts, step.matches)) {
    const std::size_t size = range.end - range.begin;
    results.push_back(
        {stretch.text.substr(range.begin, size), std::min(size, stretch.begin - std::min(stretch.begin, range.begin))});
  }
}

StepRunner::Stretch StepRunner::Work::replaced(std::size_t index, const Stretch& stretch) {
  const TextStep& step = runner_.steps_[index];
  const std::vector<TextRange> found = matches(index, stretch.text);
  if (found.empty()) return stretch;
  std::string text;
  std::size_t done = 0;
  std::size_t begin = stretch.begin;
  for (const TextRange& match : found) {
    text += stretch.text.substr(done, match.begin - done);
    // What takes the place of several characters counts as the last of them.
    if (match.begin < stretch.begin && match.end > stretch.begin) {
      begin = text.size();
    } else if (match.begin < stretch.begin) {
      begin = begin + step.text.size() - (match.end - match.begin);
    }
    text += step.text;
    done = match.end;
    if (text.size() > kMostBytes) break;  // keep() refuses it
  }
  text += stretch.text.substr(done);
  return keep(std::move(text), begin);
}

std::vector<TextRange> StepRunner::Work::matches(std::size_t index, std::string_view text) {
  const TextStep& step = runner_.steps_[index];
  if (step.is_regex) return matcher_.matches(runner_.patterns_[index], text);
  std::vector<TextRange> found;
  for (std::size_t at = 0; (at = text.find(step.find, at)) != std::string_view::npos; at += step.find.size()) {
    found.push_back({at, at + step.find.size()});
  }
  return found;
}

}  // namespace heed
