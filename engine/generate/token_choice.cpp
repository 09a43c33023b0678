#include "generate/token_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <limits>

#include "generate/sampling_options.h"
#include "graph/integer.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr const char* kRules = "choice.rules";
constexpr const char* kList = "choice.list";
constexpr const char* kMask = "choice.mask";
constexpr const char* kValues = "choice.logprobs";
constexpr const char* kTokens = "choice.logprob_tokens";

bool adjusts(const TokenChoice& choice) {
  const SamplingOptions& s = choice.sampling;
  return choice.constraint || s.presence_penalty != 0.0 || s.frequency_penalty != 0.0 || !s.logit_bias.empty() ||
         s.no_repeat_ngram > 0 || s.dry_multiplier > 0.0;
}

bool filters(const TokenChoice& choice) {
  const SamplingOptions& s = choice.sampling;
  return s.temperature > 0.0 && (s.typical_p < 1.0 || s.xtc_probability > 0.0);
}

/// Pairs of tokens and biases, then DRY's breakers.
std::vector<std::int32_t> list_of(const TokenChoice& choice) {
  std::vector<std::int32_t> words;
  for (const auto& [token, bias] : choice.sampling.logit_bias) {
    words.push_back(token);
    words.push_back(std::bit_cast<std::int32_t>(static_cast<float>(bias)));
  }
  if (choice.sampling.dry_multiplier > 0.0) {
    words.insert(words.end(), choice.sampling.dry_breakers.begin(), choice.sampling.dry_breakers.end());
  }
  return words;
}

}  // namespace

void TokenChoice::check(std::int64_t vocabulary) const {
  sampling.check();
  check_sampled_tokens(sampling, vocabulary);
  if (logprobs && (*logprobs < 0 || *logprobs > kMostLogprobs)) {
    throw Error(fmt::format("logprobs is {}, expected 0 to {} alternatives", *logprobs, kMostLogprobs));
  }
}

std::int64_t TokenChoice::most_steps() const {
  if (constraint) return 1;
  return logprobs ? ops::kLogprobPositions : std::numeric_limits<std::int32_t>::max();
}

ChoiceMode ChoiceMode::of(const TokenChoice& choice) {
  ChoiceMode mode;
  mode.greedy = choice.sampling.temperature == 0.0;
  mode.adjusts = heed::adjusts(choice);
  mode.penalty = choice.sampling.repetition_penalty != 1.0 && !mode.adjusts;
  mode.masks = choice.constraint != nullptr;
  mode.filters = heed::filters(choice);
  mode.logprobs = choice.logprobs.has_value();
  return mode;
}

ChoiceMode ChoiceMode::with(const ChoiceMode& other) const {
  return {.greedy = greedy && other.greedy,
          .penalty = penalty || other.penalty,
          .adjusts = adjusts || other.adjusts,
          .masks = masks || other.masks,
          .filters = filters || other.filters,
          .logprobs = logprobs || other.logprobs};
}

std::string ChoiceMode::text() const {
  std::string text = fmt::format("greedy={} penalty={}", greedy, penalty);
  if (adjusts) text += masks ? " adjusts masks" : " adjusts";
  if (filters) text += " filters";
  if (logprobs) text += " logprobs";
  return text;
}

ops::SamplerState sampler_state(const TokenChoice& choice) {
  const SamplingOptions& options = choice.sampling;
  ops::SamplerState state;
  state.seed_low = static_cast<std::uint32_t>(options.seed);
  state.seed_high = static_cast<std::uint32_t>(options.seed >> 32);
  state.temperature = static_cast<float>(options.temperature);
  if (!filters(choice)) {
    state.top_k = static_cast<std::uint32_t>(options.top_k);
    state.top_p = static_cast<float>(options.top_p);
    state.min_p = static_cast<float>(options.min_p);
  }
  if (!adjusts(choice)) state.penalty = static_cast<float>(options.repetition_penalty);
  state.penalty_window = static_cast<std::uint32_t>(options.penalty_window);
  return state;
}

ops::LogitRules logit_rules(const TokenChoice& choice) {
  const SamplingOptions& options = choice.sampling;
  ops::LogitRules rules;
  if (adjusts(choice)) {
    rules.adjusts = 1;
    rules.masked = choice.constraint ? 1 : 0;
    rules.biases = static_cast<std::uint32_t>(options.logit_bias.size());
    rules.repetition = static_cast<float>(options.repetition_penalty);
    rules.presence = static_cast<float>(options.presence_penalty);
    rules.frequency = static_cast<float>(options.frequency_penalty);
    rules.window = static_cast<std::uint32_t>(options.penalty_window);
    rules.no_repeat = static_cast<std::uint32_t>(options.no_repeat_ngram);
    rules.dry_multiplier = static_cast<float>(options.dry_multiplier);
    rules.dry_base = static_cast<float>(options.dry_base);
    rules.dry_allowed = static_cast<std::uint32_t>(options.dry_allowed_length);
    rules.dry_window = static_cast<std::uint32_t>(options.dry_window);  // -1 is more than there ever are
    if (options.dry_multiplier > 0.0) rules.breakers = static_cast<std::uint32_t>(options.dry_breakers.size());
  }
  if (filters(choice)) {
    rules.filters = 1;
    rules.temperature = static_cast<float>(options.temperature);
    rules.top_k = static_cast<std::uint32_t>(options.top_k);
    rules.typical_p = static_cast<float>(options.typical_p);
    rules.top_p = static_cast<float>(options.top_p);
    rules.min_p = static_cast<float>(options.min_p);
    rules.xtc_probability = static_cast<float>(options.xtc_probability);
    rules.xtc_threshold = static_cast<float>(options.xtc_threshold);
  }
  if (choice.logprobs) rules.logprobs = static_cast<std::uint32_t>(*choice.logprobs) + 1;
  return rules;
}

namespace {

ValueId rules_state(GraphBuilder& builder, const Dim& sequences) {
  const ValueId known = builder.graph().find(kRules);
  return known != kNoValue ? known : builder.state(kRules, DType::I32, {sequences, ops::kLogitRulesWords});
}

}  // namespace

ValueId add_rules(GraphBuilder& builder, const ChoiceMode& mode, const ChoiceInputs& inputs) {
  ValueId logits = inputs.logits;
  if (mode.adjusts) {
    std::vector<ValueId> read = {logits,
                                 inputs.tokens,
                                 inputs.position,
                                 inputs.history,
                                 rules_state(builder, inputs.sequences),
                                 builder.state(kList, DType::I32, {inputs.sequences, "list"})};
    if (mode.masks) read.push_back(builder.state(kMask, DType::I32, {inputs.sequences, "mask_words"}));
    logits = builder.add("adjust_logits", "adjust_logits", read, {});
  }
  if (mode.filters) {
    logits = builder.add("filter_logits", "filter_logits",
                         {logits, inputs.position, inputs.sampler, rules_state(builder, inputs.sequences)}, {});
  }
  return logits;
}

void add_logprobs(GraphBuilder& builder, const ChoiceMode& mode, const ChoiceInputs& inputs, ValueId place,
                  ValueId chosen) {
  if (!mode.logprobs) return;
  const Dim kept = ops::kLogprobPositions;
  builder.add_many("token_logprobs", "token_logprobs",
                   {inputs.logits, place, chosen, rules_state(builder, inputs.sequences),
                    builder.state(kValues, DType::F32, {kept, inputs.sequences, ops::kLogprobChoices + 1}),
                    builder.state(kTokens, DType::I32, {kept, inputs.sequences, ops::kLogprobChoices})},
                   {}, 0);
}

Bindings ChoiceStates::reserve(const ChoiceMode& mode, std::span<const TokenChoice* const> rows) {
  Bindings dims;
  if (!mode.has_rules()) return dims;
  const auto bytes = [&](std::int64_t words) { return saturating_product({u64(rows_), u64(words), 4}); };
  session_.reserve(kRules, bytes(ops::kLogitRulesWords));
  if (mode.adjusts) {
    // Few sizes, so that few plans are made.
    std::size_t most = 16;
    for (const TokenChoice* choice : rows) {
      if (choice != nullptr) most = std::max(most, list_of(*choice).size());
    }
    list_words_ = static_cast<std::int64_t>(std::bit_ceil(most));
    dims["list"] = list_words_;
    session_.reserve(kList, bytes(list_words_));
  }
  if (mode.masks) {
    dims["mask_words"] = ops::mask_words(vocabulary_);
    session_.reserve(kMask, bytes(dims["mask_words"]));
  }
  if (mode.logprobs) {
    session_.reserve(kValues, bytes(ops::kLogprobPositions * (ops::kLogprobChoices + 1)), vk::MemoryUse::Readback);
    session_.reserve(kTokens, bytes(ops::kLogprobPositions * ops::kLogprobChoices), vk::MemoryUse::Readback);
  }
  return dims;
}

void ChoiceStates::write(const ChoiceMode& mode, std::span<const TokenChoice* const> rows) {
  if (!mode.has_rules()) return;
  std::vector<ops::LogitRules> rules;
  std::vector<std::int32_t> list(static_cast<std::size_t>(list_words_) * rows.size(), 0);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    rules.push_back(rows[row] == nullptr ? ops::LogitRules() : logit_rules(*rows[row]));
    if (!mode.adjusts || rows[row] == nullptr) continue;
    std::ranges::copy(list_of(*rows[row]),
                      list.begin() + static_cast<std::ptrdiff_t>(row) * static_cast<std::ptrdiff_t>(list_words_));
  }
  session_.write(kRules, std::as_bytes(std::span(rules)));
  if (mode.adjusts) session_.write(kList, std::as_bytes(std::span(list)));
}

void ChoiceStates::write_masks(std::span<const std::uint32_t> words) { session_.write(kMask, std::as_bytes(words)); }

std::vector<std::uint32_t> ChoiceStates::mask_of(TokenConstraint& constraint) const {
  std::vector<std::uint32_t> mask(static_cast<std::size_t>(ops::mask_words(vocabulary_)), 0);
  try {
    constraint.allowed(mask);
  } catch (const std::exception& error) {
    throw Error(error.what());
  }
  if (vocabulary_ % 32 != 0) mask.back() &= (1u << (vocabulary_ % 32)) - 1;
  if (std::ranges::all_of(mask, [](std::uint32_t word) { return word == 0; })) {
    throw Error("the constraint allows no token, and no end of the text either; it cannot be met with this vocabulary");
  }
  return mask;
}

TokenLogprobs ChoiceStates::logprobs(const TokenChoice& choice, std::int64_t row, std::int64_t rows,
                                     std::int64_t place) {
  const std::int64_t at = place % ops::kLogprobPositions * rows + row;
  const auto count = static_cast<std::size_t>(choice.logprobs.value());
  std::vector<float> values(count + 1);
  std::vector<std::int32_t> tokens(count);
  session_.read(kValues, std::as_writable_bytes(std::span(values)), u64(at * (ops::kLogprobChoices + 1)) * 4);
  if (count > 0) {
    session_.read(kTokens, std::as_writable_bytes(std::span(tokens)), u64(at * ops::kLogprobChoices) * 4);
  }
  TokenLogprobs result{.logprob = values[0], .best = {}};
  for (std::size_t i = 0; i < count && tokens[i] >= 0; ++i) result.best.push_back({tokens[i], values[i + 1]});
  return result;
}

}  // namespace heed
