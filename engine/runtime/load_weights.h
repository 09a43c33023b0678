#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "plan/weight_layout.h"
#include "runtime/gpu.h"
#include "runtime/weights.h"

namespace heed {

/// A weight and where in device memory it goes.
struct PlacedWeight {
  const DeviceWeight* weight = nullptr;
  const vk::Buffer* buffer = nullptr;
  std::uint64_t offset = 0;
};

/// The threads that load: those of the machine, at most 8, for no disk or bus gains from more.
std::size_t loading_threads();

/// Reads weights, compares the checksums of their tensors, packs them and puts them where they go: on several threads,
/// straight into memory that the host sees, else through at most 128 MiB of staging buffers whose copies run meanwhile.
/// Returns when all is there, and names the tensors whose checksums were right; those in `checked` are taken for right.
/// Throws Error, naming file and tensor, where one is damaged or cannot be read: of several always the first in order.
/// `source` is read by many threads at once.
std::set<std::string> load_weights(Gpu& gpu, const WeightBytes& source, std::span<const PlacedWeight> weights,
                                   const std::set<std::string>& checked, std::size_t threads = loading_threads());

}  // namespace heed
