#pragma once

#include <optional>
#include <span>
#include <vector>

#include "plan/default_tuning.h"

namespace heed {

class Gpu;

/// Goes through the steps that ops offer (ops/tuning.h), times what each one is about as it is with what was found so
/// far and with each candidate, and returns the fastest. Takes about a second on a CPU driver, less on a GPU; Gpu keeps
/// the verdict.
Tuning tune(Gpu& gpu);

/// For the cache file. Bytes that are no verdict, or one that the device's limits forbid, give nothing.
std::vector<std::byte> tuning_to_bytes(const Tuning& tuning);
std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps);

}  // namespace heed
