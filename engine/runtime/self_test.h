#pragma once

#include <string>
#include <vector>

namespace heed {

class Gpu;

/// Runs small graphs through the kernels that plans on this device use most (products with weights of every type,
/// attention with a cache, norms, convolutions, sampling, ...) and compares them with the reference in double
/// (runtime/verify.h). What is wrong is put into quarantine on `gpu`, and tested again with what takes its place.
/// Returns a line for each module that is off now. A second or two on a CPU driver, most of it the driver's compiler.
///
/// Throws Error where the device runs nothing at all.
std::vector<std::string> self_test(Gpu& gpu);

}  // namespace heed
