#include "tools/sampling_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "heed/error.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/prompts.h"

namespace heed::tools {

const CLI::Option* SamplingArguments::given() const {
  const auto found = std::ranges::find_if(options, [](const CLI::Option* option) { return option->count() > 0; });
  return found == options.end() ? nullptr : *found;
}

namespace {

/// All of a text as a number; false where it is none.
template <typename Number>
bool is_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// What --logit-bias names: an id, or a text that is one token.
std::int32_t token_of(const TextModel& model, const std::string& given) {
  std::int32_t id = 0;
  if (is_number(given, id)) {
    if (id >= 0 && id < model.vocabulary()) return id;
    throw Error(fmt::format("--logit-bias: there is no token {}, expected 0 to {}", id, model.vocabulary() - 1));
  }
  if (!model.has_tokenizer()) {
    throw Error(fmt::format("--logit-bias: the model has no tokenizer to find '{}' with; give the token's id", given));
  }
  // A token that adds this very text, as it does within another: " yes" where it begins a word.
  const std::string text = unescape(given);
  std::vector<std::int32_t> same;
  for (std::int32_t token = 0; token < model.vocabulary(); ++token) {
    if (model.token_text(token) == text) same.push_back(token);
  }
  if (same.size() == 1) return same.front();
  // What stands around every text is not of it.
  const std::vector<std::int32_t> around = model.tokenize("");
  std::vector<std::int32_t> tokens = model.tokenize(text, true);
  const auto begin = std::ranges::mismatch(around, tokens).in2;
  const auto count = static_cast<std::ptrdiff_t>(tokens.size()) - static_cast<std::ptrdiff_t>(around.size());
  if (count == 1 && begin != tokens.end()) return *begin;
  throw Error(fmt::format(
      "--logit-bias: '{}' is {} tokens, expected one; 'heed generate --json' shows the ids of a prompt, which can be "
      "given as well",
      given, count));
}

}  // namespace

void SamplingArguments::resolve_tokens(const TextModel& model, SamplingOptions& into) const {
  for (const std::string& given : bias == nullptr ? std::vector<std::string>() : bias->results()) {
    const std::size_t equals = given.rfind('=');
    double value = 0.0;
    if (equals == std::string::npos || equals == 0 || !is_number(std::string_view(given).substr(equals + 1), value)) {
      throw Error(fmt::format("--logit-bias is '{}', expected TOKEN=BIAS such as 17=-2.5 or yes=4", given));
    }
    into.logit_bias[token_of(model, given.substr(0, equals))] = value;
  }
  if (into.dry_multiplier <= 0.0 || !model.has_tokenizer()) return;
  std::vector<std::string> texts = {"\n", ":", "\"", "*"};
  if (breaker != nullptr && breaker->count() > 0) {
    texts.clear();
    for (const std::string& given : breaker->results()) {
      if (given.empty()) throw Error("--dry-breaker is empty, which every token holds; 'none' is for no breakers");
      if (given != "none") texts.push_back(unescape(given));
    }
  }
  for (std::int32_t token = 0; token < model.vocabulary() && !texts.empty(); ++token) {
    const std::string text = model.token_text(token);
    const auto holds = [&](const std::string& each) { return text.find(each) != std::string::npos; };
    if (std::ranges::any_of(texts, holds)) into.dry_breakers.push_back(token);
  }
}

void SamplingArguments::choose_seed() {
  if (seed->count() == 0) sampling.seed = std::random_device()();
}

void add_sampling_options(CLI::App& verb, SamplingArguments& arguments) {
  SamplingOptions& sampling = arguments.sampling;
  arguments.seed = verb.add_option("--seed", sampling.seed, "The same seed gives the same text (default: drawn)")
                       ->transform(integers(0, UINT64_MAX))
                       ->type_name("SEED");
  arguments.options = {
      verb.add_option("--temperature", sampling.temperature, "0 takes the most probable token, always")
          ->capture_default_str()
          ->type_name("T"),
      verb.add_option("--top-k", sampling.top_k, "Only the K most probable tokens; 0 for all")
          ->capture_default_str()
          ->type_name("K"),
      verb.add_option("--top-p", sampling.top_p, "Only the most probable tokens that sum to P; 1 for all")
          ->capture_default_str()
          ->type_name("P"),
      verb.add_option("--min-p", sampling.min_p, "Only tokens with P times the probability of the best; 0 for all")
          ->capture_default_str()
          ->type_name("P"),
      verb.add_option("--repetition-penalty", sampling.repetition_penalty,
                      "Above 1 disfavours tokens that were there; 1 for none")
          ->capture_default_str()
          ->type_name("R"),
      arguments.seed};
}

std::vector<const CLI::Option*> add_text_sampling_options(CLI::App& verb, SamplingArguments& arguments) {
  add_sampling_options(verb, arguments);
  SamplingOptions& sampling = arguments.sampling;
  const auto add = [&](const char* name, auto& value, const char* what, const char* type) {
    return verb.add_option(name, value, what)->capture_default_str()->type_name(type);
  };
  add("--penalty-window", sampling.penalty_window, "How many tokens penalties look back", "N");
  add("--presence-penalty", sampling.presence_penalty, "Taken off the logits of tokens that were there; 0 for none",
      "R");
  add("--frequency-penalty", sampling.frequency_penalty, "Taken off as often as they were there; 0 for none", "R");
  add("--typical-p", sampling.typical_p, "Only the most typical tokens that sum to P; 1 for all", "P");
  arguments.bias =
      verb.add_option("--logit-bias", arguments.biases,
                      "Added to a token's logit, -100 to 100, or -inf to forbid it; an id or a text that is "
                      "one token; repeatable")
          ->type_name("TOKEN=BIAS")
          ->allow_extra_args(false);
  add("--no-repeat-ngram", sampling.no_repeat_ngram, "No N tokens in a row come twice; 0 for they may", "N");
  add("--xtc-probability", sampling.xtc_probability, "How often the most probable tokens are left out; 0 for never",
      "P");
  add("--xtc-threshold", sampling.xtc_threshold, "They have this probability, and the least of them stays", "P");
  add("--dry-multiplier", sampling.dry_multiplier, "Disfavours what would repeat a stretch of the text; 0 for none",
      "R");
  add("--dry-base", sampling.dry_base, "By this factor more for each token that it is longer", "R");
  add("--dry-allowed-length", sampling.dry_allowed_length, "Stretches of fewer tokens may come again", "N");
  add("--dry-window", sampling.dry_window, "Of the last so many tokens; -1 for the whole text", "N");
  arguments.breaker =
      verb.add_option(
              "--dry-breaker",
              "Stretches end at tokens that hold this text; repeatable (default: a newline, : \" and *); none for "
              "no breakers")
          ->type_name("TEXT")
          ->allow_extra_args(false);
  return {arguments.bias, arguments.breaker};
}

}  // namespace heed::tools
