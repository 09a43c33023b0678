#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace heed::convert {

/// What a kind of rotary positions changes of the default one, in heed's terms (engine/ops/rotary.h). The kinds are
/// those of transformers' modeling_rope_utils.py, whose formulas these are, and of GGUF's rope.scaling.type.
struct RopeScaling {
  std::vector<float> factors;  // [dims/2]; they divide the angles; empty: ones
  double scale = 1;            // of what turns
  double base = 0;             // in place of the model's; 0: the model's
  std::int64_t context = 0;    // in place of the model's; 0: the model's
  std::string note;            // for the user; empty for none
};

/// Numbers of a rope that is stretched, and what it is asked for.
struct RopeContext {
  double base = 10000;
  std::int64_t dims = 0;      // even, at least 2
  std::int64_t longest = 0;   // tokens that the checkpoint says the model takes
  std::int64_t original = 0;  // tokens that it was trained with before it was stretched
  std::int64_t wanted = 0;    // the longest text that the user asks for; 0: none is asked for
  std::string where;          // begins messages
};

/// YaRN (Peng et al. 2023): pairs that turn more than beta_fast times in the original context keep their angles, those
/// that turn less than beta_slow times are divided by `factor`, those between are blended. The context may be up to
/// `factor` times the original one.
struct Yarn {
  double factor = 1;
  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;  // whether the bounds of what is blended are whole pairs
  double scale = 0;      // of what turns; 0: yarn_scale(factor)
};
double yarn_scale(double factor, double mscale = 1);
/// Throws Error when a longer context is wanted.
RopeScaling yarn(const Yarn& yarn, const RopeContext& context);

/// LongRoPE (Ding et al. 2024): a set of factors for texts up to the original context, and one for longer ones. Which
/// of them the model gets is settled here, with the context it can be run with: without a wanted one the short set and
/// the original context, so that a text of the model never passes from one set to the other.
struct LongRope {
  std::vector<float> short_factors;
  std::vector<float> long_factors;
  double scale = 1;
  double long_scale = 0;  // of texts beyond the original context; 0: the same
};
RopeScaling longrope(LongRope rope, const RopeContext& context);

/// "dynamic" (NTK aware): up to the checkpoint's context the default rope; for longer texts a base that follows from
/// their length, up to `factor` times the context. The base is settled here, as that of a text as long as the wanted
/// context.
RopeScaling dynamic_rope(double factor, const RopeContext& context);

/// The same factor for every pair.
RopeScaling linear_rope(double factor, std::int64_t dims);

/// For a wanted context where a model's positions do not depend on one.
[[noreturn]] void throw_context_is_settled(const std::string& where);

}  // namespace heed::convert
