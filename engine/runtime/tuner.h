#pragma once

#include <optional>
#include <span>
#include <vector>

#include "plan/default_tuning.h"

namespace heed {

class Gpu;

/// Goes through the steps that ops offer (ops/tuning.h). Each has some work: it is timed as planned with what was found
/// so far, and with each candidate of the step, and the fastest is kept for the steps that follow. Takes two or three
/// seconds on a CPU driver, most of them for compiling; Gpu keeps the verdict.
Tuning tune(Gpu& gpu);

/// For the cache file. Bytes that are no verdict, or one that the device's limits forbid, give nothing.
std::vector<std::byte> tuning_to_bytes(const Tuning& tuning);
std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps);

}  // namespace heed
