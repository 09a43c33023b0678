#include "generate/beam_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <string>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {
namespace {

template <typename T>
std::vector<T> read_all(Session& session, const char* name, std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  session.read(name, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace

Graph BeamSearch::append_to(const Graph& stepped, std::int64_t beams, std::int64_t ends) {
  GraphBuilder builder(stepped);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+beam_search {} beams, {} ends", stepped.name, beams, ends);
  const ValueId logits = graph.find("logits");
  const ValueId known_parents = graph.find("parents");
  graph.outputs.clear();  // logits need not outlive the step
  const auto state = [&](const char* name, SymbolicShape shape, DType dtype = DType::I32) {
    return builder.state(name, dtype, std::move(shape));
  };
  builder.add_many(
      "beam_search", "beam_search",
      {logits, graph.find("tokens"), graph.find("position"),
       known_parents != kNoValue ? known_parents : state("parents", {"tokens"}), graph.find("table"),
       state("search.sums", {"tokens"}, DType::F32), state("search.records", {"places", 2}),
       state("search.hypotheses", {"sentences", beams, 3}), state("search.scores", {"sentences", beams}, DType::F32),
       state("search.progress", {"sentences", 2}), state("search.options", {"options"})},
      {{"beams", beams}, {"ends", ends}}, 0);
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

BeamSearch::BeamSearch(Session& session, StepState& steps, std::int64_t sentences, std::int64_t beams)
    : session_(session), steps_(steps), sentences_(sentences), beams_(beams) {
  assert(steps.rows() == sentences * beams);
}

void BeamSearch::start(std::int64_t live, std::int32_t first_token,
                       const std::vector<std::vector<std::int32_t>>& forced, const ops::BeamOptions& options,
                       std::int64_t capacity) {
  assert(live <= sentences_);
  live_ = live;
  options_ = options;
  forced_ = 0;
  for (const std::vector<std::int32_t>& tokens : forced) {
    forced_ = std::max(forced_, static_cast<std::int64_t>(tokens.size()));
  }
  options_.forced = static_cast<std::int32_t>(forced_);

  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> parents;
  std::vector<float> sums;
  std::vector<std::int32_t> progress;
  std::vector<std::int32_t> words(ops::kFirstForced + static_cast<std::size_t>(sentences_ * forced_), -1);
  std::memcpy(words.data(), &options_, sizeof(options_));
  for (std::int64_t s = 0; s < sentences_; ++s) {
    for (std::int64_t b = 0; b < beams_; ++b) {
      // All beams would go the same way from here: one does.
      const bool goes = s < live && b == 0;
      tokens.push_back(goes ? first_token : -1);
      parents.push_back(static_cast<std::int32_t>(s));
      sums.push_back(goes ? 0.0f : ops::kNoScore);
    }
    const auto state = s < live ? ops::SearchProgress::Running : ops::SearchProgress::Done;
    progress.insert(progress.end(), {static_cast<std::int32_t>(state), 0});
    if (s < static_cast<std::int64_t>(forced.size())) {
      std::ranges::copy(forced[static_cast<std::size_t>(s)],
                        words.begin() + static_cast<std::ptrdiff_t>(ops::kFirstForced) + s * forced_);
    }
  }
  steps_.start(tokens, parents, capacity);
  const auto write = [&](const char* name, const auto& values) {
    session_.reserve_and_write(name, std::as_bytes(std::span(values)));
  };
  std::vector<std::int32_t> records;
  for (std::int64_t r = 0; r < sentences_ * beams_; ++r) records.insert(records.end(), {first_token, -1});
  write("search.records", records);
  write("search.sums", sums);
  write("search.progress", progress);
  write("search.options", words);
  write("search.hypotheses", std::vector<std::int32_t>(static_cast<std::size_t>(sentences_ * beams_ * 3), 0));
  write("search.scores", std::vector<float>(static_cast<std::size_t>(sentences_ * beams_), 0.0f));
}

std::int64_t BeamSearch::running() {
  const auto progress = read_all<std::int32_t>(session_, "search.progress", 2 * live_);
  std::int64_t running = 0;
  for (std::int64_t s = 0; s < live_; ++s) {
    const std::int32_t state = progress[static_cast<std::size_t>(2 * s)];
    if (state == static_cast<std::int32_t>(ops::SearchProgress::Broken)) {
      throw SentenceError(s, fmt::format("token {}: the logits hold NaN or infinity, or nothing finite; the model or "
                                         "the driver is broken: 'heed verify' tells which",
                                         progress[static_cast<std::size_t>(2 * s + 1)]));
    }
    running += state == static_cast<std::int32_t>(ops::SearchProgress::Running) ? 1 : 0;
  }
  return running;
}

std::vector<std::vector<Hypothesis>> BeamSearch::results() {
  const auto hypotheses = read_all<std::int32_t>(session_, "search.hypotheses", live_ * beams_ * 3);
  const auto scores = read_all<float>(session_, "search.scores", live_ * beams_);
  const auto records = read_all<std::int32_t>(session_, "search.records", 2 * steps_.rows() * steps_.capacity());
  std::vector<std::vector<Hypothesis>> results(static_cast<std::size_t>(live_));
  for (std::int64_t s = 0; s < live_; ++s) {
    if (hypotheses[static_cast<std::size_t>(3 * s * beams_ + 2)] == 0) {
      throw SentenceError(s,
                          "no token is left that may come next; allow repetitions, or ask for fewer tokens at least");
    }
    for (std::int64_t b = 0; b < beams_; ++b) {
      const auto at = static_cast<std::size_t>(s * beams_ + b);
      const std::int32_t count = hypotheses[3 * at + 2];
      if (count == 0) continue;
      Hypothesis made;
      made.score = static_cast<double>(scores[at]);
      const std::int32_t last = hypotheses[3 * at + 1];
      made.ended =
          std::find(options_.ends, options_.ends + options_.end_count, last) != options_.ends + options_.end_count;
      if (made.ended) {
        made.end_token = last;
      } else {
        made.tokens.push_back(last);
      }
      std::int32_t place = hypotheses[3 * at];
      for (std::int32_t i = 1; i < count; ++i) {
        if (place < 0 || static_cast<std::size_t>(place) * 2 + 1 >= records.size()) {
          throw Error(fmt::format("beam search: a hypothesis names place {} of {}; the driver or heed is broken", place,
                                  records.size() / 2));
        }
        made.tokens.push_back(records[static_cast<std::size_t>(2 * place)]);
        place = records[static_cast<std::size_t>(2 * place + 1)];
      }
      std::ranges::reverse(made.tokens);
      results[static_cast<std::size_t>(s)].push_back(std::move(made));
    }
  }
  return results;
}

Bindings BeamSearch::dims() const {
  Bindings dims = steps_.dims();
  dims["sentences"] = sentences_;
  dims["options"] = static_cast<std::int64_t>(ops::kFirstForced) + sentences_ * forced_;
  return dims;
}

}  // namespace heed
