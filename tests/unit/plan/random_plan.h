#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "plan/plan.h"

namespace heed {

/// A plan of random dispatches over random tensors of every storage, for brute-force checks. Bindings lie inside their
/// tensors at multiples of 16 bytes.
inline Plan random_plan(unsigned seed) {
  std::mt19937 engine(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(engine() % n); };
  Plan plan;
  const std::size_t tensors = 2 + below(30);
  for (std::size_t i = 0; i < tensors; ++i) {
    PlanTensor tensor;
    tensor.name = fmt::format("t{}", i);
    constexpr Storage kOthers[] = {Storage::Weight, Storage::Constant, Storage::State, Storage::Input, Storage::Output};
    tensor.storage = below(4) == 0 ? kOthers[below(5)] : Storage::Arena;
    tensor.bytes = 16 * (1 + below(below(3) == 0 ? 200 : 20));
    plan.tensors.push_back(tensor);
  }
  const std::size_t dispatches = 1 + below(40);
  for (std::size_t i = 0; i < dispatches; ++i) {
    Dispatch dispatch;
    // Mostly what is near in the list, so that lifetimes are short enough to share memory.
    const std::size_t centre = i * tensors / dispatches;
    for (std::size_t j = 0, count = 1 + below(4); j < count; ++j) {
      Binding binding;
      binding.tensor = below(5) == 0 ? below(tensors) : std::min(tensors - 1, centre + below(4));
      const PlanTensor& tensor = plan.tensors[binding.tensor];
      const bool constant = tensor.storage == Storage::Weight || tensor.storage == Storage::Constant;
      constexpr Access kAccesses[] = {Access::Read, Access::Write, Access::ReadWrite};
      binding.access = constant ? Access::Read : kAccesses[below(3)];
      const std::uint64_t units = tensor.bytes / 16;
      const std::uint64_t first = below(units);
      binding.offset = first * 16;
      binding.size = (1 + below(units - first)) * 16;
      dispatch.bindings.push_back(binding);
    }
    plan.dispatches.push_back(dispatch);
  }
  return plan;
}

}  // namespace heed
