// What the tuner times for attention, and the ways to run it.
#include <string>

#include "ops/attention.h"
#include "ops/tuning.h"

namespace heed::ops {
namespace {

/// A cache as generation has it: of f16 but on CPU drivers, by head.
ValueId cache(GraphBuilder& builder, const DeviceCaps& caps, const char* name, std::int64_t rows, std::int64_t width) {
  return builder.state(name, caps.type == DeviceType::Cpu ? DType::F32 : DType::F16, {rows, width});
}

Attributes how_text_attends(std::int64_t heads) {
  return {{"heads", heads}, {"causal", std::int64_t{1}}, {"by_head", std::int64_t{1}}};
}

/// A step of generation with a cache that is nearly full.
Graph step_with_cache(const DeviceCaps& caps) {
  const bool large = times_large_work(caps);
  const std::int64_t heads = large ? 32 : 16;
  const std::int64_t head_width = large ? 128 : 64;
  const std::int64_t context = large ? 4096 : 1024;
  GraphBuilder builder("attention of a step");
  const ValueId q = builder.input("q", DType::F32, {1, heads * head_width});
  const ValueId k = builder.input("k", DType::F32, {1, heads * head_width});
  const ValueId v = builder.input("v", DType::F32, {1, heads * head_width});
  const ValueId keys = cache(builder, caps, "keys", context, heads * head_width);
  const ValueId values = cache(builder, caps, "values", context, heads * head_width);
  const ValueId position =
      builder.add("cast", "position", {builder.integers("last", {context - 1})}, {{"to", std::string("i32")}});
  builder.output(
      builder.add("attention", "attention", {q, k, v, kNoValue, keys, values, position}, how_text_attends(heads)), "y");
  return std::move(builder).finish();
}

/// Some rows behind others, as few as tell what runs several times as long from what does not.
Graph piece_of_a_prompt(const DeviceCaps& caps) {
  constexpr std::int64_t kHeads = 8, kHeadWidth = 128, kContext = 512, kRows = 32;
  GraphBuilder builder("attention of a piece");
  const auto input = [&](const char* name) { return builder.input(name, DType::F32, {kRows, kHeads * kHeadWidth}); };
  const ValueId q = input("q"), k = input("k"), v = input("v");
  const ValueId keys = cache(builder, caps, "keys", kContext, kHeads * kHeadWidth);
  const ValueId values = cache(builder, caps, "values", kContext, kHeads * kHeadWidth);
  const ValueId position =
      builder.add("cast", "position", {builder.integers("first", {kContext - kRows})}, {{"to", std::string("i32")}});
  builder.output(
      builder.add("attention", "attention", {q, k, v, kNoValue, keys, values, position}, how_text_attends(kHeads)),
      "y");
  return std::move(builder).finish();
}

/// Prompts of several lengths, short ones as often as takes them about as long as the longest: at the beginning, and
/// after what is in the cache already.
Graph prompts(const DeviceCaps& caps) {
  const bool large = times_large_work(caps);
  const std::int64_t heads = large ? 32 : 8;
  const std::int64_t head_width = large ? 128 : 64;
  const std::int64_t context = large ? 2048 : 256;
  const std::int64_t longest = large ? 512 : 128;
  GraphBuilder builder("attention of prompts");
  const ValueId keys = cache(builder, caps, "keys", context, heads * head_width);
  const ValueId values = cache(builder, caps, "values", context, heads * head_width);
  for (std::int64_t rows = longest, times = 1; rows >= longest / 16; rows /= 4, times *= 4) {
    const std::string name = std::to_string(rows);
    const auto input = [&](const char* what) {
      return builder.input(what + name, DType::F32, {rows, heads * head_width});
    };
    const ValueId q = input("q"), k = input("k"), v = input("v");
    for (std::int64_t i = 0; i < times; ++i) {
      const std::string one = name + "." + std::to_string(i);
      const std::int64_t first = i % 2 == 0 ? context - rows : 0;
      const ValueId position = builder.add("cast", "position" + one, {builder.integers("first" + one, {first})},
                                           {{"to", std::string("i32")}});
      builder.output(builder.add("attention", "attention" + one, {q, k, v, kNoValue, keys, values, position},
                                 how_text_attends(heads)),
                     "y" + one);
    }
  }
  return std::move(builder).finish();
}

std::vector<Tuning> tiles_of_prompts(const DeviceCaps& caps, const Tuning& best) {
  // Each takes a CPU driver a second to compile.
  if (caps.type == DeviceType::Cpu) return each_other(best, &Tuning::query_tile, {0, 64});
  return each_other(best, &Tuning::query_tile, {0, 32, 64, 128});
}

/// Matrix units where there are any, and drivers that make do without them: either may win. CPU drivers make each of
/// their products a loop.
std::vector<Tuning> cooperative_tiles_of_prompts(const DeviceCaps& caps, const Tuning& best) {
  if (caps.cooperative_sizes.empty() || caps.type == DeviceType::Cpu) return {};
  std::vector<Tuning> candidates;
  for (const std::uint32_t rows : {32u, 64u, 128u}) {
    candidates.push_back(with(with(best, &Tuning::query_tile, rows), &Tuning::cooperative_attention, true));
  }
  return candidates;
}

std::vector<Tuning> workgroups_of_a_step(const DeviceCaps&, const Tuning& best) {
  return each_other(best, &Tuning::attention_groups, {0, 128, 640});
}

/// Of those that go over keys together: a single row's where one workgroup has a head, and others'.
std::vector<Tuning> lanes_of_a_step(const DeviceCaps& caps, const Tuning& best) {
  // CPU drivers run a workgroup's lanes one subgroup after the other.
  const bool narrow = caps.subgroup_size <= 8;
  std::vector<std::uint32_t> widths = {std::max(4u, caps.subgroup_size)};
  for (const std::uint32_t lanes : {32u, 64u, 128u}) {
    if (!narrow && lanes > caps.subgroup_size) widths.push_back(lanes);
  }
  return each_other(best, &Tuning::lanes, widths);
}

std::vector<Tuning> lanes_with_queries(const DeviceCaps& caps, const Tuning& best) {
  // On GPUs, whose registers a head of no usual model fits, nothing would be another kernel (attention_lower.cpp).
  if (caps.type != DeviceType::Cpu) return {};
  const Tuning own = with(best, &Tuning::query_lanes, true);
  if (!caps.can_hand_on()) return {own};
  return {own, with(own, &Tuning::key_shuffle, true)};
}

}  // namespace

std::vector<TuningStep> attention_tuning() {
  return {{.name = "lanes of a step's attention",
           .problem = step_with_cache,
           .candidates = lanes_of_a_step,
           .time_without = [](Tuning& tuning) { tuning.attention_groups = 0; }},
          {"workgroups of a step's attention", step_with_cache, workgroups_of_a_step},
          {.name = "lanes with queries of their own",
           .problem = piece_of_a_prompt,
           .candidates = lanes_with_queries,
           .last = true,
           .time_without = [](Tuning& tuning) { tuning.query_tile = 0; }},
          {.name = "tiles of a prompt's attention", .problem = prompts, .candidates = tiles_of_prompts, .last = true},
          {.name = "cooperative tiles of it",
           .problem = prompts,
           .candidates = cooperative_tiles_of_prompts,
           .last = true}};
}

}  // namespace heed::ops
