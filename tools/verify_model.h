#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heed/cache_type.h"
#include "heed/device.h"
#include "runtime/verify.h"
#include "tools/device_arguments.h"

namespace heed::tools {

/// What `heed verify` was told.
struct VerifyArguments {
  std::string model;
  std::string graph;
  std::vector<std::string> inputs;
  std::vector<std::string> binds;
  std::string prompt = "The quick brown fox jumps over the lazy dog.";
  bool has_prompt = false;
  std::string tokens;
  bool has_tokens = false;
  std::uint64_t seed = 1;
  double slack = 1.0;
  CacheType cache = CacheType::Auto;
  DeviceArguments device;
  bool json = false;
};

/// One run of one graph.
struct GraphRun {
  std::string graph;
  std::string what;  // "a prompt of 12 tokens"
  CacheType cache = CacheType::F32;
  std::vector<NodeCheck> checks;

  const NodeCheck* first_failure() const;  // null: all agree
  double worst() const;                    // in units of what rounding explains
};

struct VerifiedModel {
  DeviceInfo device;
  std::vector<GraphRun> runs;
  std::vector<std::string> left_out;  // graphs of the file that were not asked for
};

/// Runs the graphs of a model on a device and on the double-precision reference. Throws Error for what cannot be run.
VerifiedModel verify_model(const VerifyArguments& arguments);

}  // namespace heed::tools
