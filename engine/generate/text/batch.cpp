#include "generate/text/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <chrono>
#include <cstring>
#include <exception>
#include <limits>
#include <numeric>
#include <span>

#include "generate/step_state.h"
#include "generate/submission_length.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/search.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

/// Rows of a run for so many that have work: few plans, and never a kernel for single rows.
std::int64_t padded_rows(std::int64_t rows) {
  return std::max(StepState::kLeastRows, static_cast<std::int64_t>(std::bit_ceil(u64(rows))));
}

/// Rows of a run for the next of `left` tokens of a prompt, and how many of these it reads: of more rows than a block
/// at least three quarters, else half as many rows, all of which do.
struct PieceRows {
  std::int64_t rows;
  std::int64_t tokens;

  static PieceRows of(std::int64_t left, std::int64_t most) {
    const std::int64_t tokens = std::min(left, most);
    const std::int64_t rows = padded_rows(tokens);
    if (rows <= PagePool::kPositions || 4 * tokens >= 3 * rows) return {rows, tokens};
    return {rows / 2, rows / 2};
  }
};

std::int64_t pages_of(std::int64_t positions) { return ceil_div(positions, PagePool::kPositions); }

/// Pages for so many sequences of so many positions, which tables count in 32 bits.
std::int64_t checked_pages(std::int64_t slots, std::int64_t context) {
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / (pages_of(context) * PagePool::kPositions);
  if (slots > most) {
    throw Error(
        fmt::format("{} texts of {} tokens at a time were asked for, at most {} are possible", slots, context, most));
  }
  return slots * pages_of(context);
}

}  // namespace

TextBatch::TextBatch(Gpu& gpu, WeightStore& weights, const TextGraph& text, std::int64_t slots, std::int64_t places,
                     std::int64_t first_places, std::int64_t most_run)
    : gpu_(gpu),
      text_(text),
      slots_(slots),
      most_run_(most_run),
      session_(gpu, weights),
      pool_(0),
      most_places_((places > 0 ? pages_of(places) : checked_pages(slots, text.context)) * PagePool::kPositions),
      places_(0),
      piece_graph_(StepState::with_rows(text.graph, StepState::Rows::Together)),
      rows_graph_(StepState::with_rows(text.graph, StepState::Rows::Apart, padded_rows(slots))),
      choice_states_(session_, text.vocabulary, std::max(padded_rows(slots), PagePool::kPositions)),
      seconds_a_step_(kSubmissionSeconds) {
  assert(slots > 0);
  // A cache is bound as a whole.
  for (const auto& [name, bytes] : state_sizes(rows_graph_, "places", PagePool::kPositions)) {
    const std::uint64_t range = gpu.caps().largest_binding();
    const std::uint64_t pages = std::max<std::uint64_t>(1, range / std::max<std::uint64_t>(1, bytes));
    if (pages < u64(most_places_ / PagePool::kPositions)) {
      most_places_ = static_cast<std::int64_t>(pages) * PagePool::kPositions;
    }
  }
  places_ = std::min(pages_of(first_places) * PagePool::kPositions, most_places_);
  pool_.add(places_ / PagePool::kPositions);
  const std::int64_t rows = padded_rows(slots);
  const std::uint64_t words = saturating_product({u64(text_.context), u64(rows), 4});
  for (const char* name : {"tokens", "position", "parents", "search.sums"}) {
    session_.reserve(name, u64(std::max(rows, kMostPromptRun)) * 4);
  }
  session_.reserve("table", words);
  session_.reserve("search.sampler", u64(rows) * sizeof(ops::SamplerState));
  // Kernels write a token a step there, and read back only what a repetition penalty looks at.
  session_.reserve("search.history", words, vk::MemoryUse::Readback);
  // The host ends sequences, each at its own time.
  ops::SearchOptions options;
  options.max_tokens = static_cast<std::int32_t>(text_.context);
  session_.reserve_and_write("search.options", std::as_bytes(std::span(&options, 1)));
}

std::int64_t TextBatch::most_tokens(std::int64_t prompt, std::int64_t max_tokens, std::int64_t places) const {
  if (max_tokens <= text_.context - prompt) return prompt + max_tokens;
  return std::min(text_.context, std::max(prompt, places) + 1);  // the last token is not fed
}

void TextBatch::check(const std::vector<std::int32_t>& prompt, const TokenChoice& choice,
                      std::int64_t max_tokens) const {
  check_prompt(prompt, text_);
  choice.check(text_.vocabulary);
  const auto count = static_cast<std::int64_t>(prompt.size());
  const std::int64_t most = most_tokens(count, max_tokens, most_places_);
  const std::int64_t needed = pages_of(most - 1) * PagePool::kPositions;  // the last token is not fed
  if (needed > most_places_) {
    throw Error(fmt::format("a prompt of {} tokens and {} new ones need {} places, but all sequences together have {}",
                            count, most - count, needed, most_places_));
  }
}

bool TextBatch::add(std::int64_t id, const std::vector<std::int32_t>& prompt, const TokenChoice& choice,
                    std::int64_t max_tokens, std::uint32_t drawn) {
  check(prompt, choice, max_tokens);
  assert(max_tokens > 0 && !sequences_.contains(id));
  Sequence sequence;
  sequence.tokens = prompt;
  sequence.prompt = sequence.size();
  sequence.choice = choice;
  sequence.drawn = drawn;
  if (static_cast<std::int64_t>(size()) == slots_) return false;
  sequence.most = most_tokens(sequence.prompt, max_tokens, most_places_);
  try {
    if (!set_aside(pages_of(sequence.most - 1))) return false;
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error&) {
    // Alone, with what there is.
    sequence.most = std::min(sequence.most, most_tokens(sequence.prompt, max_tokens, places_));
    if (!pool_.set_aside(pages_of(sequence.most - 1))) throw;
  }
  sequence.set_aside = pages_of(sequence.most - 1);
  sequences_.emplace(id, std::move(sequence));
  arrivals_.push_back(id);
  return true;
}

void TextBatch::remove(std::int64_t id) {
  const auto found = sequences_.find(id);
  assert(found != sequences_.end());
  std::for_each(found->second.pages.rbegin(), found->second.pages.rend(),
                [&](std::int64_t page) { pool_.give_back(page); });
  pool_.give_up(found->second.set_aside);
  sequences_.erase(found);
  std::erase(arrivals_, id);
  has_no_memory_ = false;
}

bool TextBatch::has_room(std::int64_t id) const {
  const Sequence& sequence = sequences_.at(id);
  return sequence.size() < sequence.most;
}

std::vector<TextBatch::Made> TextBatch::advance() {
  Sequence* reader = nullptr;
  bool any_goes = false;
  for (const std::int64_t id : arrivals_) {
    Sequence& sequence = sequences_.at(id);
    if (reader == nullptr && sequence.reads_prompt()) reader = &sequence;
    any_goes = any_goes || sequence.goes();
  }
  if (turns_.reads(reader != nullptr, any_goes)) {
    turns_.has_read(read_piece(*reader));
    return {};
  }
  return any_goes ? step() : std::vector<Made>();
}

bool TextBatch::set_aside(std::int64_t pages) {
  while (!pool_.set_aside(pages)) {
    if (places_ == most_places_ || has_no_memory_) return false;
    const std::string why = grow(pages);
    if (why.empty()) continue;
    if (sequences_.empty()) throw Error(why);
    has_no_memory_ = true;  // others give theirs back
  }
  return true;
}

std::string TextBatch::grow(std::int64_t pages) {
  const std::int64_t missing = (pages - pool_.available()) * PagePool::kPositions;
  std::string why;
  for (const std::int64_t more : {std::max(places_, missing), missing}) {
    const std::int64_t places = places_ + std::min(more, most_places_ - places_);
    try {
      session_.grow(state_sizes(rows_graph_, "places", places), fmt::format("room for {} tokens of all texts", places));
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {
      why = error.what();
      continue;
    }
    pool_.add((places - places_) / PagePool::kPositions);
    places_ = places;
    return "";
  }
  return why;
}

void TextBatch::take_page(Sequence& sequence) {
  assert(sequence.set_aside > 0);
  --sequence.set_aside;
  sequence.pages.push_back(pool_.take());
}

double TextBatch::read_piece(Sequence& sequence) {
  const auto tokens_from = [&](std::int64_t first, std::int64_t size) {
    return std::span(sequence.tokens).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size));
  };
  const std::int64_t end = sequence.prompt - 1;
  assert(static_cast<std::int64_t>(sequence.pages.size()) == pages_of(sequence.cached));
  while (end - sequence.cached >= PagePool::kPositions) {
    const auto found = pool_.find(sequence.content, tokens_from(sequence.cached, PagePool::kPositions));
    if (!found) break;
    --sequence.set_aside;
    sequence.pages.push_back(found->first);
    sequence.content = found->second;
    sequence.cached += PagePool::kPositions;
    sequence.shared += PagePool::kPositions;
    shared_tokens_ += PagePool::kPositions;
  }
  if (sequence.cached == end) return 0;
  if (!prompt_length_) {
    prompt_length_ = prompt_length(gpu_.caps(), gpu_.tuning(), most_run_, [&](std::int64_t tokens) {
      return make_plan(piece_graph_, dims(tokens, 0), gpu_.caps(), gpu_.tuning());
    });
  }
  // Before anything is changed for it.
  PieceRows piece;
  Executable* executable = nullptr;
  while (executable == nullptr) {
    piece = PieceRows::of(end - sequence.cached, prompt_length_->behind(sequence.cached));
    executable = prepared_unless_too_long(
        prompt_length_, piece.rows, [&]() -> Executable& { return this->executable(piece_graph_, piece.rows, 0); });
  }
  while (static_cast<std::int64_t>(sequence.pages.size()) < pages_of(sequence.cached + piece.tokens)) {
    take_page(sequence);
  }
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(piece.rows), 0);
  std::vector<std::int32_t> position(static_cast<std::size_t>(piece.rows), -1);
  std::ranges::copy(tokens_from(sequence.cached, piece.tokens), tokens.begin());
  std::iota(position.begin(), position.begin() + piece.tokens, static_cast<std::int32_t>(sequence.cached));
  write("tokens", tokens);
  write("position", position);
  write_table({&sequence}, sequence.cached + piece.tokens);
  const double seconds = run(*executable, 1);
  for (std::int64_t left = piece.tokens; left > 0; left -= PagePool::kPositions) {
    const std::int64_t size = std::min(left, PagePool::kPositions);
    if (size == PagePool::kPositions) {
      const auto page = static_cast<std::size_t>(sequence.cached / PagePool::kPositions);
      sequence.content = pool_.publish(sequence.pages[page], sequence.content, tokens_from(sequence.cached, size));
    }
    sequence.cached += size;
  }
  return seconds;
}

double TextBatch::run(Executable& executable, int repeats) {
  const auto begin = std::chrono::steady_clock::now();
  session_.run(executable, repeats);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void TextBatch::write_table(const std::vector<const Sequence*>& rows, std::int64_t positions) {
  std::vector<std::int32_t> table(static_cast<std::size_t>(positions) * rows.size(), 0);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row] == nullptr) continue;
    const std::vector<std::int64_t>& pages = rows[row]->pages;
    const std::int64_t known = std::min(positions, static_cast<std::int64_t>(pages.size()) * PagePool::kPositions);
    for (std::int64_t p = 0; p < known; ++p) {
      const std::int64_t place =
          pages[static_cast<std::size_t>(p / PagePool::kPositions)] * PagePool::kPositions + p % PagePool::kPositions;
      table[static_cast<std::size_t>(p) * rows.size() + row] = static_cast<std::int32_t>(place);
    }
  }
  write("table", table);
}

std::vector<std::uint32_t> TextBatch::masks_of(std::vector<Sequence*>& going, std::vector<Made>& made) const {
  std::vector<std::uint32_t> masks;
  for (std::size_t row = 0; row < going.size();) {
    std::vector<std::uint32_t> own(static_cast<std::size_t>(ops::mask_words(text_.vocabulary)), 0);
    try {
      if (going[row]->choice.constraint) own = choice_states_.mask_of(*going[row]->choice.constraint);
    } catch (const std::exception& error) {
      // That of one text is no reason to end the others.
      made[row].broken = going[row]->broken = true;
      made[row].why = error.what();
      std::rotate(made.begin() + static_cast<std::ptrdiff_t>(row), made.begin() + static_cast<std::ptrdiff_t>(row) + 1,
                  made.begin() + static_cast<std::ptrdiff_t>(going.size()));
      going.erase(going.begin() + static_cast<std::ptrdiff_t>(row));
      continue;
    }
    masks.insert(masks.end(), own.begin(), own.end());
    ++row;
  }
  return masks;
}

std::vector<TextBatch::Made> TextBatch::step() {
  std::vector<Made> made;
  std::vector<Sequence*> going;
  ChoiceMode mode{.greedy = true};
  std::int64_t room = text_.context;
  std::int64_t longest = 0;
  for (auto& [id, sequence] : sequences_) {
    if (!sequence.goes()) continue;
    made.push_back({.id = id, .tokens = {}});
    going.push_back(&sequence);
    mode = mode.with(ChoiceMode::of(sequence.choice));
    room = std::min({room, sequence.most - sequence.size(), sequence.choice.most_steps()});
    longest = std::max(longest, sequence.size());
  }
  std::vector<std::uint32_t> masks;
  if (mode.masks) masks = masks_of(going, made);
  if (going.empty()) return made;
  const int steps = steps_for(seconds_a_step_, room);
  const auto rows = static_cast<std::size_t>(padded_rows(static_cast<std::int64_t>(going.size())));
  std::vector<std::int32_t> tokens(rows, 0), position(rows, -1);
  std::vector<const Sequence*> of_row(rows, nullptr);
  std::vector<const TokenChoice*> choices(rows, nullptr);
  std::vector<ops::SamplerState> samplers(rows);
  for (std::size_t row = 0; row < going.size(); ++row) {
    Sequence& sequence = *going[row];
    while (static_cast<std::int64_t>(sequence.pages.size()) < pages_of(sequence.size() - 1 + steps)) {
      take_page(sequence);
    }
    tokens[row] = sequence.tokens.back();
    position[row] = static_cast<std::int32_t>(sequence.size() - 1);
    of_row[row] = &sequence;
    choices[row] = &sequence.choice;
    samplers[row] = sampler_state(sequence.choice);
    samplers[row].step = sequence.drawn + static_cast<std::uint32_t>(sequence.size() - sequence.prompt);
    // The best of one is what a greedy step takes.
    if (ChoiceMode::of(sequence.choice).greedy) {
      samplers[row].temperature = 1.0f;
      samplers[row].top_k = 1;
    }
  }
  const Bindings choice_dims = choice_states_.reserve(mode, choices);
  Executable& stepping =
      executable(step_graph(mode), static_cast<std::int64_t>(rows), static_cast<std::int64_t>(rows), choice_dims);
  write("tokens", tokens);
  write("position", position);
  write("search.sampler", samplers);
  choice_states_.write(mode, choices);
  if (mode.masks) {
    masks.resize(rows * static_cast<std::size_t>(ops::mask_words(text_.vocabulary)), 0);
    choice_states_.write_masks(masks);
  }
  write_table(of_row, longest - 1 + steps);
  if (mode.penalty || mode.adjusts) {
    std::vector<std::int32_t> history(static_cast<std::size_t>(longest) * rows, 0);
    for (std::size_t row = 0; row < going.size(); ++row) {
      for (std::size_t p = 0; p < going[row]->tokens.size(); ++p) history[p * rows + row] = going[row]->tokens[p];
    }
    write("search.history", history);
  }
  const double seconds = run(stepping, steps);
  turns_.has_stepped(seconds);
  seconds_a_step_ = seconds / steps;
  take_made(going, rows, steps, made);
  return made;
}

void TextBatch::take_made(const std::vector<Sequence*>& going, std::size_t rows, int steps, std::vector<Made>& made) {
  for (std::size_t row = 0; row < going.size(); ++row) {
    Sequence& sequence = *going[row];
    for (int i = 0; i < steps && !made[row].broken; ++i) {
      std::int32_t token = -1;
      session_.read("search.history", std::as_writable_bytes(std::span(&token, 1)),
                    (u64(sequence.size()) * rows + row) * 4);
      if (token < 0 || token >= text_.vocabulary) {
        made[row].broken = sequence.broken = true;
        continue;
      }
      if (sequence.choice.logprobs) {
        made[row].logprobs.push_back(choice_states_.logprobs(sequence.choice, static_cast<std::int64_t>(row),
                                                             static_cast<std::int64_t>(rows), sequence.size()));
      }
      made[row].tokens.push_back(token);
      sequence.tokens.push_back(token);
    }
  }
}

const Graph& TextBatch::step_graph(const ChoiceMode& mode) {
  for (const auto& [known, graph] : step_graphs_) {
    if (known == mode) return graph;
  }
  return step_graphs_.emplace_back(mode, Sampling::append_to(rows_graph_, mode, true)).second;
}

Bindings TextBatch::dims(std::int64_t rows, std::int64_t outputs) const {
  return {{"tokens", rows},
          {"rows", rows},
          {"outputs", outputs},
          {"positions", text_.context},
          {"context", text_.context},
          {"places", places_},
          {"options", static_cast<std::int64_t>(ops::kFirstForced)}};
}

Executable& TextBatch::executable(const Graph& graph, std::int64_t rows, std::int64_t outputs,
                                  const Bindings& besides) {
  Bindings all = dims(rows, outputs);
  all.insert(besides.begin(), besides.end());
  return session_.prepare(graph, all);
}

const Plan& TextBatch::step_plan(std::int64_t sequences) {
  const std::int64_t rows = padded_rows(sequences);
  return executable(step_graph({.greedy = true}), rows, rows).plan();
}

}  // namespace heed
