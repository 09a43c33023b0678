#include "tests/op_cases/probes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "heed/error.h"
#include "planner/make_plan.h"
#include "runtime/session.h"

namespace heed::op_cases {
namespace {

std::span<const std::byte> bytes_of(const std::uint32_t& word) { return std::as_bytes(std::span(&word, 1)); }

/// The largest size of which `works`: `most`, or found by halving the gap between what does and what does not.
template <typename Works>
std::uint64_t largest(std::uint64_t most, const Works& works) {
  constexpr std::uint64_t kStep = 1u << 20;
  most = most / kStep * kStep;
  if (most == 0 || works(most)) return most;
  std::uint64_t good = 0;
  std::uint64_t bad = most;
  while (bad - good > std::max(kStep, bad / 16)) {
    const std::uint64_t middle = std::max(kStep, (good + (bad - good) / 2) / kStep * kStep);
    if (middle == good || middle == bad) break;
    (works(middle) ? good : bad) = middle;
  }
  return good;
}

bool allocation_works(Gpu& gpu, std::uint64_t bytes) {
  try {
    const vk::Buffer buffer(gpu.device(), bytes, vk::MemoryUse::Device, "probe of allocations");
    const std::array<std::uint64_t, 3> places = {0, bytes / 2, bytes - 4};
    for (std::uint32_t i = 0; i < places.size(); ++i) gpu.upload(buffer, places[i], bytes_of(0xa110c000u + i));
    for (std::uint32_t i = 0; i < places.size(); ++i) {
      std::uint32_t word = 0;
      gpu.download(buffer, places[i], std::as_writable_bytes(std::span(&word, 1)));
      if (word != 0xa110c000u + i) return false;
    }
    return true;
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error&) {
    return false;
  }
}

std::size_t add_tensor(Plan& plan, const char* name, Storage storage, std::uint64_t bytes) {
  PlanTensor tensor;
  tensor.name = name;
  tensor.storage = storage;
  tensor.type = {DType::I32, {static_cast<std::int64_t>(bytes / 4)}};
  tensor.bytes = bytes;
  plan.tensors.push_back(std::move(tensor));
  return plan.tensors.size() - 1;
}

/// Copies words of both ends of a binding (shaders/rows.comp).
bool binding_works(Gpu& gpu, std::uint64_t bytes) {
  constexpr std::uint64_t kCopied = 16;
  Plan plan;
  plan.graph_name = "probe of bindings";
  const std::size_t x = add_tensor(plan, "x", Storage::State, bytes);
  const char* const names[] = {"first", "last"};
  for (const std::uint64_t from : {std::uint64_t{0}, bytes - kCopied}) {
    const std::size_t y = add_tensor(plan, names[from == 0 ? 0 : 1], Storage::Output, kCopied);
    Dispatch dispatch;
    dispatch.label = "ends";
    dispatch.shader = "rows";
    dispatch.bindings = {{x, 0, bytes, Access::Read, View::None}, {y, 0, kCopied, Access::Write, View::None}};
    dispatch.push_constants = {kCopied / 4, static_cast<std::uint32_t>(from / 4)};
    dispatch.specialization = {8, 0};
    plan.dispatches.push_back(std::move(dispatch));
  }
  try {
    const MemoryWeights none;
    WeightStore store(gpu, none);
    Session session(gpu, store);
    const std::unique_ptr<Executable> executable = session.prepare(std::move(plan));
    session.fill_scratch(*executable, 0x7fc0dead);
    session.write("x", bytes_of(0xb1d00001u));
    session.write("x", bytes_of(0xb1d00002u), bytes - 4);
    session.run(*executable);
    std::array<std::uint32_t, kCopied / 4> first{};
    std::array<std::uint32_t, kCopied / 4> last{};
    session.read_output(*executable, "first", std::as_writable_bytes(std::span(first)));
    session.read_output(*executable, "last", std::as_writable_bytes(std::span(last)));
    return first.front() == 0xb1d00001u && last.back() == 0xb1d00002u;
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error&) {
    return false;
  }
}

std::string megabytes(std::uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

Probe subgroups(Gpu& gpu) {
  constexpr std::uint32_t kGroups = 61;
  const std::uint32_t lanes = std::min({gpu.caps().max_workgroup_invocations, gpu.caps().max_workgroup_size[0],
                                        std::max(64u, gpu.caps().subgroup_size)});
  Probe result{"subgroup size", std::to_string(gpu.caps().subgroup_size), "", false};
  Plan plan;
  plan.graph_name = "probe of subgroups";
  const std::size_t words = add_tensor(plan, "words", Storage::Output, 16);
  Dispatch dispatch;
  dispatch.label = "subgroups";
  dispatch.shader = "subgroup_probe";
  dispatch.bindings = {{words, 0, 16, Access::ReadWrite, View::None}};
  dispatch.specialization = {lanes};
  dispatch.groups = {kGroups, 1, 1};
  plan.dispatches.push_back(std::move(dispatch));
  try {
    const MemoryWeights none;
    WeightStore store(gpu, none);
    Session session(gpu, store);
    const std::unique_ptr<Executable> executable = session.prepare(std::move(plan));
    session.fill_scratch(*executable, 0);
    session.run(*executable);
    std::array<std::uint32_t, 4> seen{};
    session.read_output(*executable, "words", std::as_writable_bytes(std::span(seen)));
    result.found = fmt::format("shaders see {}, {} to a workgroup of {}", seen[0], seen[1], lanes);
    result.fine = seen[0] == gpu.caps().subgroup_size;
    if (seen[2] != kGroups * lanes) {
      result.fine = false;
      result.found += fmt::format("; {} of {} invocations ran", seen[2], kGroups * lanes);
    }
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error& error) {
    result.found = error.what();
  }
  return result;
}

}  // namespace

std::string why_nothing_runs(Gpu& gpu) {
  try {
    const vk::Buffer buffer(gpu.device(), 256, vk::MemoryUse::Device, "probe of submissions");
    gpu.fill(buffer, 0x5eed5eed);
    return "";
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error& error) {
    return error.what();
  }
}

std::vector<Probe> probe(Gpu& gpu, std::uint64_t most_bytes) {
  std::vector<Probe> probes = {{"submissions", "", "run", true}};
  const std::string why_not = why_nothing_runs(gpu);
  if (!why_not.empty()) return {{"submissions", "", why_not, false}};
  probes.push_back(subgroups(gpu));
  // Bindings are counted in words of 32 bits by shaders.
  const std::uint64_t allocation = std::min({gpu.caps().max_memory_allocation, most_bytes, std::uint64_t{1} << 34});
  const std::uint64_t allocated =
      largest(allocation, [&](std::uint64_t bytes) { return allocation_works(gpu, bytes); });
  probes.push_back(
      {"largest allocation", megabytes(gpu.caps().max_memory_allocation),
       megabytes(allocated) + (allocated >= allocation >> 20 << 20 && allocation < gpu.caps().max_memory_allocation
                                   ? ", no more was tried"
                                   : ""),
       allocated > 0});
  const std::uint64_t range = std::min(gpu.caps().max_storage_buffer_range, allocated);
  const std::uint64_t bound = largest(range, [&](std::uint64_t bytes) { return binding_works(gpu, bytes); });
  probes.push_back({"largest storage binding", megabytes(gpu.caps().max_storage_buffer_range), megabytes(bound),
                    bound >= range >> 20 << 20});
  return probes;
}

Probe probe_watchdog(Gpu& gpu, double most_seconds) {
  Probe result{"longest submission", "", "", true};
  GraphBuilder b("probe of the watchdog");
  const ValueId x = b.input("x", DType::F32, {64, 512});
  b.output(b.add("linear", "product", {x, b.weight("w", DType::F32, {512, 512})}), "y");
  MemoryWeights weights;
  weights.add("w", {DType::F32, {512, 512}}, std::vector<std::byte>(std::size_t{4} * 512 * 512));
  WeightStore store(gpu, weights);
  Session session(gpu, store);
  Plan plan = make_plan(std::move(b).finish(), {}, gpu.caps(), gpu.tuning());
  for (Dispatch& dispatch : plan.dispatches) dispatch.flops = dispatch.bytes = 0;  // all in one submission
  const std::unique_ptr<Executable> executable = session.prepare(std::move(plan));
  double longest = 0.0;
  try {
    for (int repeats = 16; longest < most_seconds && repeats < 1 << 24; repeats *= 2) {
      const auto start = std::chrono::steady_clock::now();
      session.run(*executable, repeats);
      longest = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    result.found = fmt::format("{:.2g} s survived, no more was tried", longest);
  } catch (const DeviceLost&) {
    result.found = fmt::format("{:.2g} s survived, twice as much did not", longest);
  } catch (const Error& error) {  // what was found before must not be lost with it
    result.found = fmt::format("{:.2g} s survived; twice as much: {}", longest, error.what());
  }
  return result;
}

}  // namespace heed::op_cases
