#include "plan/barriers.h"

#include <algorithm>

namespace heed {
namespace {

/// Bytes [begin, end) of a piece of memory: an arena block, or a tensor with memory of its own.
struct Range {
  bool arena;
  std::size_t memory;
  std::uint64_t begin;
  std::uint64_t end;
};

Range range_of(const Plan& plan, const Binding& binding) {
  const PlanTensor& tensor = plan.tensors[binding.tensor];
  const bool arena = tensor.storage == Storage::Arena;
  const std::uint64_t begin = binding.offset + (arena ? tensor.arena_offset : 0);
  return {arena, arena ? tensor.arena_block : binding.tensor, begin, begin + binding.size};
}

/// Whether a binding may be used in any order: of weights and tables that are only read, and of flags, which kernels
/// raise by atomic operations and only the host reads. A constant that is written is a counter (Lowering::counter).
bool needs_no_order(const Plan& plan, const Binding& binding) {
  const Storage storage = plan.tensors[binding.tensor].storage;
  return storage == Storage::Flag ||
         ((storage == Storage::Weight || storage == Storage::Constant) && binding.access == Access::Read);
}

bool hits(const std::vector<Range>& ranges, const Range& range) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& other) {
    return other.arena == range.arena && other.memory == range.memory && other.begin < range.end &&
           range.begin < other.end;
  });
}

/// Adds a range to those it touches, so that pieces of one tensor are looked at as one.
void add(std::vector<Range>& ranges, const Range& range) {
  for (Range& other : ranges) {
    if (other.arena != range.arena || other.memory != range.memory) continue;
    if (range.begin > other.end || other.begin > range.end) continue;
    other.begin = std::min(other.begin, range.begin);
    other.end = std::max(other.end, range.end);
    return;
  }
  ranges.push_back(range);
}

}  // namespace

void place_barriers(Plan& plan) {
  std::vector<Range> written;
  std::vector<Range> read;
  for (Dispatch& dispatch : plan.dispatches) {
    bool hazard = false;
    for (const Binding& binding : dispatch.bindings) {
      if (needs_no_order(plan, binding)) continue;
      const Range range = range_of(plan, binding);
      hazard = hazard || hits(written, range) || (binding.access != Access::Read && hits(read, range));
    }
    dispatch.barrier_before = hazard;
    if (hazard) {
      written.clear();
      read.clear();
    }
    for (const Binding& binding : dispatch.bindings) {
      if (needs_no_order(plan, binding)) continue;
      if (binding.access != Access::Write) add(read, range_of(plan, binding));
      if (binding.access != Access::Read) add(written, range_of(plan, binding));
    }
  }
}

}  // namespace heed
