#include "ops/same_reads.h"

#include "plan/lowering.h"

namespace heed::ops {

void choose_same_reads(const Lowering& l, Dispatch& d, std::initializer_list<std::size_t> bindings, bool hand_on) {
  const bool storage = !hand_on && l.tuning().texel && l.tuning().same_storage;
  d.variant.emplace_back(hand_on ? "shuffle" : storage ? "storage" : "read");
  if (!storage) return;
  for (const std::size_t binding : bindings) d.bindings[binding].view = View::None;
}

}  // namespace heed::ops
