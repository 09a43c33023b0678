// What the tuner times for sampling, and the ways to run it.
#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ops/sample.h"
#include "ops/sample_kernels.h"
#include "ops/tuning.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kVocabulary = 32000;

std::vector<std::int64_t> words_of_sampler() {
  SamplerState state;
  state.top_k = 40;
  state.top_p = 0.95f;
  std::vector<std::int64_t> words;
  for (const std::int32_t word : std::bit_cast<std::array<std::int32_t, kSamplerWords>>(state)) words.push_back(word);
  return words;
}

/// A draw from logits of which few are large, as a model's are: no two are alike, and their weights fall to exp(-16).
Graph draw_of_a_token(const DeviceCaps&) {
  GraphBuilder builder("draw of a token");
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < kVocabulary; ++i) numbers.push_back(i * 7919 % kVocabulary);
  const auto as = [&](const char* type, const std::string& name, std::vector<std::int64_t> values) {
    return builder.add("cast", name + " as " + type, {builder.integers(name, std::move(values))},
                       {{"to", std::string(type)}});
  };
  const ValueId row =
      builder.add("reshape", "row",
                  {as("f32", "numbers", std::move(numbers)), builder.integers("shape of a row", {1, kVocabulary})});
  const ValueId logits = builder.add("div", "logits", {row, as("f32", "least", {kVocabulary / 16})});
  const ValueId sampler = builder.state("sampler", DType::I32, {kSamplerWords});
  builder.add_many("store", "state", {sampler, as("i32", "words", words_of_sampler())}, {}, 0);
  builder.output(
      builder.add("sample", "sample",
                  {logits, builder.state("tokens", DType::I32, {"rows"}), builder.state("position", DType::I32, {1}),
                   builder.state("history", DType::I32, {1}), sampler},
                  {{"greedy", std::int64_t{0}}, {"rows", "rows"}}),
      "token");
  return std::move(builder).finish();
}

std::vector<Tuning> workgroups_of_a_draw(const DeviceCaps& caps, const Tuning& best) {
  // CPU drivers, too, are faster with a few passes of histograms than with one for each bit; but each workgroup clears
  // its bins.
  const bool cpu = caps.type == DeviceType::Cpu;
  return each_other(best, &Tuning::sample_groups,
                    cpu ? std::vector<std::uint32_t>{0, 2} : std::vector<std::uint32_t>{0, 64, 256, 640});
}

}  // namespace

std::vector<TuningStep> sample_tuning() {
  return {{"workgroups of a draw", draw_of_a_token, workgroups_of_a_draw, {{"rows", 1}}}};
}

}  // namespace heed::ops
