#include "tools/convert/rope_scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "heed/error.h"

namespace heed::convert {

namespace {

void check_wanted(const RopeContext& context, std::int64_t most, const char* kind) {
  if (context.wanted <= most) return;
  throw Error(fmt::format("{}: a context of {} tokens is wanted, but the model's {} positions reach up to {}",
                          context.where, context.wanted, kind, most));
}

std::int64_t times(std::int64_t tokens, double factor) {
  return static_cast<std::int64_t>(std::min(std::floor(static_cast<double>(tokens) * factor), 2147483647.0));
}

}  // namespace

double yarn_scale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

RopeScaling yarn(const Yarn& yarn, const RopeContext& context) {
  check_wanted(context, std::max(context.longest, times(context.original, yarn.factor)), "yarn");
  if (!(context.base > 1)) {
    throw Error(fmt::format("{}: yarn positions need a base above 1, not {}", context.where, context.base));
  }
  const auto dims = static_cast<double>(context.dims);
  // The pair that turns so many times within the original context.
  const auto pair_of = [&](double turns) {
    return dims * std::log(static_cast<double>(context.original) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(context.base));
  };
  double low = pair_of(yarn.beta_fast);
  double high = pair_of(yarn.beta_slow);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  RopeScaling result;
  for (std::int64_t pair = 0; pair < context.dims / 2; ++pair) {
    const double stretched = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    result.factors.push_back(static_cast<float>(1 / (stretched / yarn.factor + 1 - stretched)));
  }
  result.scale = yarn.scale > 0 ? yarn.scale : yarn_scale(yarn.factor);
  result.context = context.wanted;
  return result;
}

RopeScaling longrope(LongRope rope, const RopeContext& context) {
  check_wanted(context, std::max(context.longest, context.original), "longrope");
  RopeScaling result;
  const bool is_long = context.wanted > context.original;
  result.scale = is_long && rope.long_scale > 0 ? rope.long_scale : rope.scale;
  result.factors = std::move(is_long ? rope.long_factors : rope.short_factors);
  result.context = context.wanted > 0 ? context.wanted : std::min(context.original, context.longest);
  if (is_long) {
    result.note = fmt::format(
        "the model has rotary factors for texts up to {} tokens and for longer ones: it is converted "
        "with those for longer ones, for shorter texts too",
        context.original);
  } else if (context.longest > context.original) {
    result.note = fmt::format(
        "the model has rotary factors for texts up to {} tokens and for longer ones: it is converted for "
        "texts up to {}; --context {} takes the others",
        context.original, result.context, context.longest);
  }
  return result;
}

RopeScaling dynamic_rope(double factor, const RopeContext& context) {
  const std::int64_t most = std::max(context.longest, times(context.longest, factor));
  check_wanted(context, most, "dynamic");
  RopeScaling result;
  result.context = context.wanted;
  if (context.wanted > context.longest) {
    const auto dims = static_cast<double>(context.dims);
    if (context.dims < 4) {
      throw Error(fmt::format("{}: dynamic rotary positions of {} elements cannot be stretched to {} tokens",
                              context.where, context.dims, context.wanted));
    }
    const double length = static_cast<double>(context.wanted) / static_cast<double>(context.longest);
    result.base = context.base * std::pow(factor * length - (factor - 1), dims / (dims - 2));
    result.note = fmt::format(
        "the model's rotary base grows with a text beyond {} tokens: it is converted with the base "
        "of {} tokens, {:.0f}, for shorter texts too",
        context.longest, context.wanted, result.base);
  } else if (most > context.longest) {
    result.note = fmt::format(
        "the model's rotary base grows with a text beyond {} tokens: it is converted for texts up "
        "to that; --context N, up to {}, takes the base of N tokens",
        context.longest, most);
  }
  return result;
}

void throw_context_is_settled(const std::string& where) {
  throw Error(
      fmt::format("{}: --context is for models whose rotary positions are of kind yarn, longrope or dynamic, "
                  "which this is not; leave it out",
                  where));
}

RopeScaling linear_rope(double factor, std::int64_t dims) {
  RopeScaling result;
  result.factors.assign(static_cast<std::size_t>(dims / 2), static_cast<float>(factor));
  return result;
}

}  // namespace heed::convert
