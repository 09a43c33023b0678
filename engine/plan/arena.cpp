#include "plan/arena.h"

#include <algorithm>
#include <numeric>

#include "graph/integer.h"

namespace heed {
namespace {

constexpr std::uint64_t kAlignment = kMostAlignment;

struct Interval {
  std::size_t tensor;
  std::size_t first;
  std::size_t last;
};

struct Placed {
  std::size_t interval;
  std::size_t block;
  std::uint64_t begin;
  std::uint64_t end;
};

}  // namespace

void place_in_arena(Plan& plan, const DeviceCaps& caps, bool keep) {
  std::vector<Interval> intervals;
  std::vector<int> interval_of(plan.tensors.size(), -1);
  for (std::size_t i = 0; i < plan.dispatches.size(); ++i) {
    for (const Binding& binding : plan.dispatches[i].bindings) {
      if (plan.tensors[binding.tensor].storage != Storage::Arena) continue;
      if (interval_of[binding.tensor] < 0) {
        interval_of[binding.tensor] = static_cast<int>(intervals.size());
        intervals.push_back({binding.tensor, i, i});
      }
      intervals[static_cast<std::size_t>(interval_of[binding.tensor])].last = i;
    }
  }
  if (keep) {
    for (Interval& interval : intervals) interval.last = plan.dispatches.size();
  }
  std::vector<std::size_t> order(intervals.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return plan.tensors[intervals[a].tensor].bytes > plan.tensors[intervals[b].tensor].bytes;
  });

  std::vector<Placed> placed;
  for (const std::size_t index : order) {
    const Interval& interval = intervals[index];
    PlanTensor& tensor = plan.tensors[interval.tensor];
    const std::uint64_t size = round_up(tensor.bytes, kAlignment);
    for (std::size_t block = 0;; ++block) {
      if (block == plan.arena_blocks.size()) plan.arena_blocks.push_back(0);
      std::vector<std::pair<std::uint64_t, std::uint64_t>> busy;
      for (const Placed& other : placed) {
        const Interval& theirs = intervals[other.interval];
        const bool overlap = theirs.first <= interval.last && interval.first <= theirs.last;
        if (other.block == block && overlap) busy.emplace_back(other.begin, other.end);
      }
      std::sort(busy.begin(), busy.end());
      std::uint64_t begin = 0;
      for (const auto& [from, to] : busy) {
        if (begin + size <= from) break;
        begin = std::max(begin, to);
      }
      if (begin > 0 && begin + size > caps.max_memory_allocation) continue;
      tensor.arena_block = block;
      tensor.arena_offset = begin;
      plan.arena_blocks[block] = std::max(plan.arena_blocks[block], begin + size);
      placed.push_back({index, block, begin, begin + size});
      break;
    }
  }
}

}  // namespace heed
