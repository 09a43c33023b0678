#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "constants/sample.h"
#include "ops/tuning.h"
#include "plan/lowering.h"

namespace heed::ops {

/// Logits that a choice is made of: those that the op got, or a copy that was changed.
struct SampledLogits {
  Binding binding;
  SamplePush push;  // of kernels that read it
};

/// Which inputs of an op the kernels read.
struct SampledInputs {
  std::size_t position, history, sampler;
};

/// How wide the workgroup is that does all of a sequence: as the device makes worthwhile for that many iterations over
/// the lanes together.
std::uint32_t lanes_of_sequence(const Lowering& l, std::uint64_t loops);
/// The same for that many passes over a vocabulary, which only few sequences ask for: on GPUs as wide as workgroups go,
/// since there is one a sequence.
std::uint32_t lanes_of_vocabulary(const Lowering& l, std::uint64_t passes, std::uint32_t vocabulary);
/// A copy of the last rows of input 0, one a sequence of `push`.
SampledLogits copy_of_logits(Lowering& l, const SamplePush& push);
/// The repetition penalty on such a copy.
void emit_penalty(Lowering& l, const SampledLogits& copy, const SamplePush& push, const SampledInputs& inputs);
/// The choice, greedy or drawn, by a workgroup a sequence or by many (Tuning::sample_groups). `rest` is what the kernel
/// that ends it binds behind the logits.
void emit_choice(Lowering& l, const SampledLogits& logits, const SampledInputs& inputs, bool greedy, bool several,
                 std::vector<Binding> rest);
/// What op sample_rows chose enters the sums, likewise. `bindings` are those that the kernels have in common.
void emit_score(Lowering& l, const SamplePush& push, std::vector<Binding> bindings);

/// What the tuner times for sampling: sample_tuning.cpp.
std::vector<TuningStep> sample_tuning();

}  // namespace heed::ops
