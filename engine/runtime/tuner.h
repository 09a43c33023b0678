#pragma once

#include <optional>
#include <span>
#include <vector>

#include "plan/default_tuning.h"

namespace heed {

class Gpu;

/// Times matrix-vector products with each candidate (memory access, whether lanes share rows or have their own, rows,
/// number of workgroups) and returns the fastest. Takes about a second on a CPU driver, less on a GPU; Gpu keeps the
/// verdict.
Tuning tune(Gpu& gpu);

/// For the cache file. Bytes that are no verdict, or one that the device's limits forbid, give nothing.
std::vector<std::byte> tuning_to_bytes(const Tuning& tuning);
std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps);

}  // namespace heed
