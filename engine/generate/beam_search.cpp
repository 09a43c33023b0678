#include "generate/beam_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "heed/error.h"
#include "ops/op.h"

namespace heed {

Graph BeamSearch::append_to(const Graph& stepped, std::int64_t beams, std::int64_t ends) {
  GraphBuilder builder(stepped);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+beam_search {} beams, {} ends", stepped.name, beams, ends);
  const ValueId logits = graph.find("logits");
  graph.outputs.clear();  // logits need not outlive the step
  const auto state = [&](const char* name, SymbolicShape shape, DType dtype = DType::I32) {
    return builder.state(name, dtype, std::move(shape));
  };
  builder.add_many(
      "beam_search", "beam_search",
      {logits, graph.find("tokens"), graph.find("position"), StepState::parents(builder), graph.find("table"),
       state("search.sums", {"tokens"}, DType::F32), state("search.records", {"places", 2}),
       state("search.hypotheses", {"sentences", beams, 3}), state("search.scores", {"sentences", beams}, DType::F32),
       state("search.progress", {"sentences", 2}), state("search.options", {"options"})},
      {{"beams", beams}, {"ends", ends}}, 0);
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

void BeamSearch::begin(const std::vector<std::int32_t>& first_tokens) {
  std::vector<float> sums;
  std::vector<std::int32_t> progress;
  std::vector<std::int32_t> records;
  for (std::int64_t s = 0; s < sentences_; ++s) {
    const auto state = s < live_ ? ops::SearchProgress::Running : ops::SearchProgress::Done;
    progress.insert(progress.end(), {static_cast<std::int32_t>(state), 0});
    for (std::int64_t b = 0; b < ways_; ++b) {
      sums.push_back(s < live_ && b < first_ways() ? 0.0f : ops::kNoScore);
      records.insert(records.end(), {first_tokens[static_cast<std::size_t>(s * ways_ + b)], -1});
    }
  }
  write("search.records", records);
  write("search.sums", sums);
  write("search.progress", progress);
  write("search.hypotheses", std::vector<std::int32_t>(static_cast<std::size_t>(rows() * 3), 0));
  write("search.scores", std::vector<float>(static_cast<std::size_t>(rows()), 0.0f));
}

std::int64_t BeamSearch::running() {
  const auto progress = read<std::int32_t>("search.progress", 2 * live_);
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
  const auto hypotheses = read<std::int32_t>("search.hypotheses", live_ * ways_ * 3);
  const auto scores = read<float>("search.scores", live_ * ways_);
  const auto records = read<std::int32_t>("search.records", 2 * steps_.rows() * steps_.capacity());
  std::vector<std::vector<Hypothesis>> results(static_cast<std::size_t>(live_));
  for (std::int64_t s = 0; s < live_; ++s) {
    if (hypotheses[static_cast<std::size_t>(3 * s * ways_ + 2)] == 0) {
      throw SentenceError(s,
                          "no token is left that may come next; allow repetitions, or ask for fewer tokens at least");
    }
    for (std::int64_t b = 0; b < ways_; ++b) {
      const auto at = static_cast<std::size_t>(s * ways_ + b);
      const std::int32_t count = hypotheses[3 * at + 2];
      if (count == 0) continue;
      Hypothesis made;
      made.score = static_cast<double>(scores[at]);
      const std::int32_t last = hypotheses[3 * at + 1];
      made.ended = options_.ends_with(last);
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

}  // namespace heed
