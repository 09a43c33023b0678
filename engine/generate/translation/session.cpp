#include "generate/translation/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "generate/beam_search.h"
#include "generate/metadata.h"
#include "generate/submission_length.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/op.h"

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kFirstCapacity = 32;  // positions
// Sources are filled up to multiples of so many tokens, so that few plans are made.
constexpr std::int64_t kSourceStep = 8;
// Of a step, and of a recurrent encoder's.
constexpr std::int64_t kLeastRows = StepState::kLeastRows;

std::int64_t integer_of(const ModelFile& file, const char* key, std::int64_t least) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end() || !found->is_number_integer() || found->get<std::int64_t>() < least ||
      found->get<std::int64_t>() > 0x7fffffff) {
    throw Error(fmt::format("{}: metadata '{}' is missing or no integer from {} on; convert the model again",
                            file.path().string(), key, least));
  }
  return found->get<std::int64_t>();
}

/// Token ids below `vocabulary`; none where the key is absent.
std::vector<std::int32_t> tokens_of(const ModelFile& file, const char* key, std::int64_t vocabulary) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return {};
  return token_ids(file, key, found->is_array() ? *found : nlohmann::json::array({*found}), vocabulary);
}

bool is_recurrent(const Node& node) { return node.op == "lstm" || node.op == "gru" || node.op == "rnn"; }

std::int32_t token_of(const ModelFile& file, const char* key, std::int64_t vocabulary) {
  const std::vector<std::int32_t> tokens = tokens_of(file, key, vocabulary);
  if (tokens.size() != 1) {
    throw Error(fmt::format("{}: metadata '{}' names {} tokens, expected one; convert the model again",
                            file.path().string(), key, tokens.size()));
  }
  return tokens.front();
}

}  // namespace

TranslationSession::TranslationSession(Gpu& gpu, const ModelFile& file, CacheType cache)
    : gpu_(gpu),
      encode_(task_graph(file, "translation", "encoder", "encode", {"source_tokens", "source_lengths"})),
      decode_(with_cache_type(
          task_graph(file, "translation", "graph", "decode", {"tokens", "position", "logits", "source_lengths"}), cache,
          gpu.caps())),
      source_(file),
      weights_(gpu, source_),
      session_(gpu, weights_),
      context_(integer_of(file, "context", 2)),
      source_context_(integer_of(file, "source_context", 1)),
      vocabulary_(integer_of(file, "vocabulary", 1)),
      source_vocabulary_(integer_of(file, "source_vocabulary", 1)),
      first_token_(token_of(file, "decoder_start", vocabulary_)),
      pad_(token_of(file, "pad", source_vocabulary_)),
      end_tokens_(tokens_of(file, "end_tokens", vocabulary_)),
      suppressed_(tokens_of(file, "suppressed_tokens", vocabulary_)),
      recurrent_(decode_.find("parents") != kNoValue),
      recurrent_encoder_(std::ranges::any_of(encode_.nodes, is_recurrent)),
      seconds_a_step_(kSubmissionSeconds) {
  if (end_tokens_.size() > ops::SearchOptions::kMostEnds || suppressed_.size() > ops::SearchOptions::kMostSuppressed) {
    throw Error(fmt::format("{}: {} end tokens and {} suppressed ones, expected at most {} and {}",
                            file.path().string(), end_tokens_.size(), suppressed_.size(), ops::SearchOptions::kMostEnds,
                            ops::SearchOptions::kMostSuppressed));
  }
  if (file.metadata().contains("forced_first")) forced_first_ = token_of(file, "forced_first", vocabulary_);
  if (file.metadata().contains("forced_last")) forced_last_ = token_of(file, "forced_last", vocabulary_);
}

std::int64_t TranslationSession::most_sentences(std::int64_t ways, std::int64_t max_tokens) const {
  // The widest cache of one layer is one binding.
  const DeviceCaps& caps = gpu_.caps();
  std::uint64_t widest = 1;  // bytes of a position
  for (const Value& value : decode_.values) {
    if (value.kind != ValueKind::State || value.shape.empty() || value.shape[0].name != "context") continue;
    const auto elements = static_cast<std::uint64_t>(value.shape.back().size);
    widest = std::max(widest, saturating_product({elements, device_element_bytes(value.kind, value.dtype)}));
  }
  // So are the logits of a step, and what is added to scores by distance.
  const auto u64 = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  const std::uint64_t positions = u64(max_tokens) + 1;
  const std::uint64_t row = std::max(saturating_product({widest, positions}), u64(vocabulary_) * 4);
  const std::uint64_t bytes = saturating_product({row, u64(ways)});
  const std::uint64_t fits = caps.largest_binding() / bytes;
  constexpr std::uint64_t kMost = 64;
  return static_cast<std::int64_t>(std::bit_floor(std::clamp<std::uint64_t>(fits, 1, kMost)));
}

void TranslationSession::check(const SourceSentence& sentence) const {
  const auto fail = [&](const std::string& message) { throw Error(message); };
  if (sentence.tokens.empty()) fail("has no tokens");
  if (static_cast<std::int64_t>(sentence.tokens.size()) > source_context_) {
    fail(fmt::format("has {} tokens, the model reads at most {}; split it", sentence.tokens.size(), source_context_));
  }
  const auto check_ids = [&](const std::vector<std::int32_t>& tokens, std::int64_t size, const char* what) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < 0 || tokens[i] >= size) {
        fail(fmt::format("{} {} is {}; the vocabulary has ids 0 to {}", what, i + 1, tokens[i], size - 1));
      }
    }
  };
  check_ids(sentence.tokens, source_vocabulary_, "token");
  check_ids(sentence.forced, vocabulary_, "token of the prefix");
}

Executable& TranslationSession::encode(const Graph& graph, const std::vector<const std::vector<std::int32_t>*>& sources,
                                       std::int64_t sentences, std::int64_t source_tokens, std::int64_t rows) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(sentences * source_tokens), pad_);
  std::vector<std::int32_t> lengths(static_cast<std::size_t>(sentences), 1);
  for (std::size_t s = 0; s < sources.size(); ++s) {
    std::ranges::copy(*sources[s], tokens.begin() + static_cast<std::ptrdiff_t>(s) * source_tokens);
    lengths[s] = static_cast<std::int32_t>(sources[s]->size());
  }
  const auto write = [&](const char* name, const std::vector<std::int32_t>& values) {
    session_.reserve_and_write(name, std::as_bytes(std::span(values)));
  };
  write("source_tokens", tokens);
  write("source_lengths", lengths);
  Executable& executable = session_.prepare(graph, {{"batch", sentences}, {"source", source_tokens}, {"rows", rows}});
  session_.run(executable);
  return executable;
}

TranslationSession::Steps& TranslationSession::steps_of(std::int64_t sentences, const SearchKind& kind) {
  std::optional<Sampling::Mode> mode;
  if (kind.sampling) mode = Sampling::mode_of(*kind.sampling);
  if (current_ == nullptr || current_->sentences != sentences || current_->ways != kind.ways ||
      current_->sampling != mode) {
    const Graph stepped = StepState::with_rows(decode_);
    const auto ends = static_cast<std::int64_t>(end_tokens_.size());
    current_ = std::make_unique<Steps>(
        session_, mode ? Sampling::append_to(stepped, *mode) : BeamSearch::append_to(stepped, kind.ways, ends),
        sentences, kind.ways, mode);
  }
  Steps& steps = *current_;
  if (kind.sampling) {
    steps.search = std::make_unique<Sampling>(session_, steps.state, sentences, kind.ways, *kind.sampling);
  } else if (steps.search == nullptr) {
    steps.search = std::make_unique<BeamSearch>(session_, steps.state, sentences, kind.ways);
  }
  return steps;
}

Executable& TranslationSession::executable(Steps& steps, std::int64_t source_tokens) {
  Bindings dims = steps.search->dims();
  dims["batch"] = steps.sentences;
  dims["source"] = source_tokens;
  return session_.prepare(steps.graph, dims);
}

std::vector<std::vector<Hypothesis>> TranslationSession::translate(const std::vector<SourceSentence>& sentences,
                                                                   std::int32_t first_token, const SearchKind& kind,
                                                                   ops::SearchOptions options,
                                                                   const std::function<bool()>& cancelled) {
  if (sentences.empty()) return {};
  if (kind.ways < 1 || kind.ways > ops::kMostBeams) {
    throw Error(fmt::format("{} beams or samples were asked for, expected 1 to {}", kind.ways, ops::kMostBeams));
  }
  if (options.max_tokens < 1 || options.max_tokens > target_context()) {
    throw Error(fmt::format("translations of at most {} tokens were asked for, expected 1 to {}", options.max_tokens,
                            target_context()));
  }
  std::size_t longest = 1;
  std::vector<const std::vector<std::int32_t>*> sources;
  std::vector<std::vector<std::int32_t>> forced;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    try {
      check(sentences[i]);
    } catch (const Error& error) {
      throw Error(fmt::format("sentence {}: {}", i + 1, error.what()));
    }
    sources.push_back(&sentences[i].tokens);
    forced.push_back(sentences[i].forced);
    if (forced.back().empty() && forced_first_ >= 0) forced.back().push_back(forced_first_);
    if (static_cast<std::int64_t>(forced.back().size()) > options.max_tokens) {
      throw Error(fmt::format("sentence {}: the prefix has {} tokens, but the translation may have only {}", i + 1,
                              forced.back().size(), options.max_tokens));
    }
    longest = std::max(longest, sentences[i].tokens.size());
  }
  options.forced_last = forced_last_;
  options.end_count = static_cast<std::int32_t>(end_tokens_.size());
  std::ranges::copy(end_tokens_, options.ends);
  options.suppressed_count = static_cast<std::int32_t>(suppressed_.size());
  std::ranges::copy(suppressed_, options.suppressed);

  // A power of two, so that few plans are made.
  auto count = static_cast<std::int64_t>(std::bit_ceil(sentences.size()));
  while (count * kind.ways < kLeastRows) count *= 2;
  const std::int64_t source_tokens = std::min<std::int64_t>(
      source_context_, round_up(static_cast<std::uint64_t>(longest), static_cast<std::uint64_t>(kSourceStep)));
  Steps& steps = steps_of(count, kind);
  const std::int64_t most = options.max_tokens;  // positions that are fed
  const std::int64_t capacity = std::min<std::int64_t>(most + 1, std::max(kFirstCapacity, steps.state.capacity()));
  encode(encode_, sources, recurrent_encoder_ ? std::max(count, kLeastRows) : count, source_tokens, steps.state.rows());
  steps.search->start(static_cast<std::int64_t>(sentences.size()), first_token, forced, options, capacity);
  std::int64_t made = 0;
  while (steps.search->running() > 0) {
    if (cancelled && cancelled()) return {};
    const int repeats = steps_for(seconds_a_step_, most - made);
    steps.state.reserve_positions(made + repeats + 1, most + 1);
    Executable& step = executable(steps, source_tokens);
    const Clock::time_point begin = Clock::now();
    session_.run(step, repeats);
    seconds_a_step_ = std::chrono::duration<double>(Clock::now() - begin).count() / repeats;
    made += repeats;
  }
  return steps.search->results();
}

const Plan& TranslationSession::step_plan(std::int64_t sentences, std::int64_t beams) {
  Steps& steps = steps_of(sentences, {beams, {}});
  steps.state.reserve_positions(kFirstCapacity, kFirstCapacity);
  return executable(steps, std::min<std::int64_t>(source_context_, 3 * kSourceStep)).plan();
}

std::vector<DispatchTime> TranslationSession::profile(std::int64_t sentences, std::int64_t beams,
                                                      std::int64_t source_tokens) {
  constexpr int kRepeats = 9;
  Steps& steps = steps_of(sentences, {beams, {}});
  const std::vector<std::int32_t> source(static_cast<std::size_t>(std::min(source_tokens, source_context_)), pad_);
  const std::vector<const std::vector<std::int32_t>*> sources(static_cast<std::size_t>(sentences), &source);
  encode(encode_, sources, sentences, static_cast<std::int64_t>(source.size()), steps.state.rows());
  ops::SearchOptions options;
  options.max_tokens = static_cast<std::int32_t>(std::min(kFirstCapacity, target_context()));
  Executable* step = nullptr;
  const auto restart = [&] {
    steps.search->start(sentences, first_token_, {}, options, options.max_tokens);
    step = &executable(steps, static_cast<std::int64_t>(source.size()));
    session_.run(*step);  // the first step has one beam alone
  };
  restart();
  return session_.time_dispatches(*step, kRepeats, restart);
}

}  // namespace heed
