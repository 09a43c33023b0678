#include "generate/sampling_options.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "heed/error.h"
#include "ops/search.h"

namespace heed {
namespace {

void require(bool holds, const char* option, auto value, const char* expected) {
  if (!holds) throw Error(fmt::format("{} is {}, expected {}", option, value, expected));
}

}  // namespace

void SamplingOptions::check() const {
  require(temperature >= 0.0 && std::isfinite(temperature), "temperature", temperature, "0 (greedy) or more");
  // Below, logits divided by it would leave the range of a float.
  require(temperature == 0.0 || temperature >= 1e-3, "temperature", temperature, "0 (greedy) or at least 0.001");
  require(top_k >= 0, "top-k", top_k, "0 (all) or more");
  require(top_p >= 0.0 && top_p <= 1.0, "top-p", top_p, "a number from 0 to 1");
  require(min_p >= 0.0 && min_p <= 1.0, "min-p", min_p, "a number from 0 to 1");
  require(repetition_penalty >= 0.01 && repetition_penalty <= 100.0, "repetition penalty", repetition_penalty,
          "a number from 0.01 to 100");
  require(penalty_window >= 0, "penalty window", penalty_window, "0 or more");
  constexpr const char* kPenalties = "a number from -100 to 100";
  require(std::abs(presence_penalty) <= 100.0, "presence penalty", presence_penalty, kPenalties);
  require(std::abs(frequency_penalty) <= 100.0, "frequency penalty", frequency_penalty, kPenalties);
  require(typical_p >= 0.0 && typical_p <= 1.0, "typical-p", typical_p, "a number from 0 to 1");
  require(logit_bias.size() <= kMostBiases, "logit bias", fmt::format("for {} tokens", logit_bias.size()),
          fmt::format("at most {}", kMostBiases).c_str());
  for (const auto& [token, bias] : logit_bias) {
    if (std::abs(bias) <= 100.0 || bias == -std::numeric_limits<double>::infinity()) continue;
    throw Error(fmt::format("logit bias of token {} is {}, expected a number from -100 to 100, or -inf to forbid it",
                            token, bias));
  }
  require(no_repeat_ngram >= 0 && no_repeat_ngram <= ops::SearchOptions::kMostNoRepeat, "no-repeat n-gram",
          no_repeat_ngram, "0 (off) to 64 tokens");
  require(xtc_probability >= 0.0 && xtc_probability <= 1.0, "XTC probability", xtc_probability, "a number from 0 to 1");
  require(xtc_threshold >= 0.0 && xtc_threshold <= 1.0, "XTC threshold", xtc_threshold, "a number from 0 to 1");
  require(dry_multiplier >= 0.0 && dry_multiplier <= 1e6, "DRY multiplier", dry_multiplier, "0 (off) to 1000000");
  require(dry_base >= 1.0 && std::isfinite(dry_base), "DRY base", dry_base, "1 or more");
  require(dry_allowed_length >= 1, "DRY allowed length", dry_allowed_length, "1 token or more");
  require(dry_window >= -1, "DRY window", dry_window, "-1 (the whole text) or more");
}

const char* text_only_option(const SamplingOptions& sampling) {
  if (sampling.presence_penalty != 0.0) return "presence penalty";
  if (sampling.frequency_penalty != 0.0) return "frequency penalty";
  if (sampling.typical_p < 1.0) return "typical-p";
  if (!sampling.logit_bias.empty()) return "logit bias";
  if (sampling.no_repeat_ngram != 0) return "no-repeat n-gram";
  if (sampling.xtc_probability > 0.0) return "XTC";
  if (sampling.dry_multiplier > 0.0) return "DRY";
  return nullptr;
}

void check_sampled_tokens(const SamplingOptions& sampling, std::int64_t vocabulary) {
  const auto check = [&](const char* option, std::int32_t token) {
    if (token >= 0 && token < vocabulary) return;
    throw Error(fmt::format("{} names token {}, expected 0 to {}", option, token, vocabulary - 1));
  };
  for (const auto& [token, bias] : sampling.logit_bias) check("logit bias", token);
  for (const std::int32_t token : sampling.dry_breakers) check("DRY breaker", token);
}

}  // namespace heed
