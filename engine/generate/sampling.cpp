#include "generate/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>

#include "ops/op.h"

namespace heed {

Graph Sampling::append_to(const Graph& stepped, Mode mode, bool keep_table) {
  GraphBuilder builder(stepped);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+sampling {} keep_table={}", stepped.name, mode.text(), keep_table);
  const ValueId parents = StepState::parents(builder);
  const ChoiceInputs inputs = {.logits = graph.find("logits"),
                               .tokens = graph.find("tokens"),
                               .position = graph.find("position"),
                               .history = builder.state("search.history", DType::I32, {"positions", "tokens"}),
                               .sampler = builder.state("search.sampler", DType::I32, {"tokens", ops::kSamplerWords}),
                               .sequences = "tokens"};
  graph.outputs.clear();  // logits need not outlive the step
  // The step moves the position on, or ends it.
  ValueId place = kNoValue;
  if (mode.logprobs) {
    const ValueId one = builder.add("cast", "one as i32", {builder.integers("one", {1})}, {{"to", std::string("i32")}});
    place = builder.add("add", "place", {inputs.position, one});
  }
  const ValueId logits = add_rules(builder, mode, inputs);
  builder.add_many(
      "sample_rows", "sample_rows",
      {logits, inputs.tokens, inputs.position, parents, inputs.history, inputs.sampler, graph.find("table"),
       builder.state("search.sums", DType::F32, {"tokens"}), builder.state("search.options", DType::I32, {"options"})},
      {{"greedy", std::int64_t{mode.greedy}},
       {"penalty", std::int64_t{mode.penalty}},
       {"keep_table", std::int64_t{keep_table}}},
      0);
  add_logprobs(builder, mode, inputs, place, inputs.tokens);
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

void Sampling::begin(const std::vector<std::int32_t>& first_tokens) {
  ops::SamplerState state = sampler_state(sampling_);
  std::vector<std::uint32_t> words;
  for (std::int64_t row = 0; row < rows(); ++row) {
    state.stream = streams_.empty() ? static_cast<std::uint32_t>(row % ways_) : streams_[static_cast<std::size_t>(row)];
    std::array<std::uint32_t, ops::kSamplerWords> of_row;
    std::memcpy(of_row.data(), &state, sizeof(state));
    words.insert(words.end(), of_row.begin(), of_row.end());
  }
  write("search.sampler", words);
  write("search.history", first_tokens);
  write("search.sums", std::vector<float>(static_cast<std::size_t>(rows()), 0.0f));
}

std::int64_t Sampling::running() {
  // Rows that are done, and those that broke, stand at no position.
  const auto position = read<std::int32_t>("position", live_ * ways_);
  std::int64_t running = 0;
  for (std::int64_t s = 0; s < live_; ++s) {
    const auto first = position.begin() + static_cast<std::ptrdiff_t>(s * ways_);
    running += std::any_of(first, first + static_cast<std::ptrdiff_t>(ways_), [](auto at) { return at >= 0; }) ? 1 : 0;
  }
  return running;
}

std::vector<std::vector<Hypothesis>> Sampling::results() {
  const auto history = read<std::int32_t>("search.history", rows() * steps_.capacity());
  const auto sums = read<float>("search.sums", rows());
  std::vector<std::vector<Hypothesis>> results(static_cast<std::size_t>(live_));
  for (std::int64_t s = 0; s < live_; ++s) {
    std::vector<Hypothesis>& of_sentence = results[static_cast<std::size_t>(s)];
    for (std::int64_t row = s * ways_; row < (s + 1) * ways_; ++row) {
      Hypothesis made;
      std::int64_t count = 0;
      while (count < options_.max_tokens && !made.ended) {
        ++count;
        const std::int32_t token = history[static_cast<std::size_t>(count * rows() + row)];
        if (token < 0) {
          throw SentenceError(
              s, fmt::format("token {}: nothing is left that may come next (allow repetitions), or the logits hold NaN "
                             "or infinity and the model or the driver is broken: 'heed verify' tells which",
                             count));
        }
        made.ended = options_.ends_with(token);
        if (made.ended) {
          made.end_token = token;
        } else {
          made.tokens.push_back(token);
        }
      }
      made.score = static_cast<double>(sums[static_cast<std::size_t>(row)]) /
                   std::pow(static_cast<double>(count), static_cast<double>(options_.length_penalty));
      of_sentence.push_back(std::move(made));
    }
    std::ranges::stable_sort(of_sentence, std::greater(), &Hypothesis::score);
  }
  return results;
}

std::vector<std::vector<std::int32_t>> Sampling::made(std::int64_t count) {
  const auto history = read<std::int32_t>("search.history", rows() * (count + 1));
  std::vector<std::vector<std::int32_t>> made(static_cast<std::size_t>(live_ * ways_));
  for (std::size_t row = 0; row < made.size(); ++row) {
    for (std::int64_t n = 1; n <= count; ++n) {
      made[row].push_back(history[static_cast<std::size_t>(n * rows()) + row]);
    }
  }
  return made;
}

}  // namespace heed
