#include "runtime/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "graph/integer.h"
#include "heed/error.h"
#include "plan/submissions.h"
#include "planner/make_plan.h"
#include "vulkan/queries.h"

namespace heed {
namespace {

VkFormat format_of(View view) {
  switch (view) {
    case View::F32x4:
      return VK_FORMAT_R32G32B32A32_SFLOAT;
    case View::U32x4:
      return VK_FORMAT_R32G32B32A32_UINT;
    case View::U32x2:
      return VK_FORMAT_R32G32_UINT;
    case View::F32:
      return VK_FORMAT_R32_SFLOAT;
    case View::U32:
      return VK_FORMAT_R32_UINT;
    case View::I32:
      return VK_FORMAT_R32_SINT;
    case View::None:
      break;
  }
  return VK_FORMAT_UNDEFINED;
}

/// Tensors of one kind and one executable that share memory: drivers allow few allocations.
class Pieces {
 public:
  Pieces(Gpu& gpu, std::string purpose) : gpu_(gpu), purpose_(std::move(purpose)) {}

  void add(std::size_t tensor, std::uint64_t bytes) {
    const std::uint64_t alignment = gpu_.caps().buffer_alignment;
    std::uint64_t offset = sizes_.empty() ? 0 : round_up(sizes_.back(), alignment);
    if (sizes_.empty() || offset + bytes > gpu_.caps().max_memory_allocation) {
      sizes_.push_back(0);
      offset = 0;
    }
    sizes_.back() = offset + bytes;
    pieces_.push_back({tensor, sizes_.size() - 1, offset});
  }

  /// Makes the buffers and says where in them each tensor lies.
  void allocate(std::vector<TensorPlace>& places) const {
    std::vector<std::shared_ptr<const vk::Buffer>> buffers;
    for (const std::uint64_t size : sizes_) {
      buffers.push_back(std::make_shared<vk::Buffer>(gpu_.device(), size, vk::MemoryUse::Device, purpose_));
    }
    for (const Piece& piece : pieces_) places[piece.tensor] = {buffers[piece.buffer], piece.offset};
  }

 private:
  struct Piece {
    std::size_t tensor;
    std::size_t buffer;
    std::uint64_t offset;
  };
  Gpu& gpu_;
  std::string purpose_;
  std::vector<std::uint64_t> sizes_;  // of the buffers
  std::vector<Piece> pieces_;
};

}  // namespace

std::shared_ptr<const vk::Buffer> Session::named(const std::string& name, std::uint64_t bytes, vk::MemoryUse use) {
  const auto found = named_.find(name);
  if (found != named_.end() && found->second->size() >= bytes) return found->second;
  const auto buffer = std::make_shared<const vk::Buffer>(gpu_.device(), bytes, use, name);
  gpu_.fill_zero(*buffer);
  // Executables that were recorded with the old buffer would go on using it.
  if (found != named_.end()) executables_.clear();
  named_[name] = buffer;
  return buffer;
}

void Session::reserve(const std::string& name, std::uint64_t bytes, vk::MemoryUse use) {
  named(name, round_up(std::max<std::uint64_t>(bytes, 16), 16), use);
}

void Session::grow(const std::map<std::string, std::uint64_t>& sizes, std::string_view what) {
  // One after the other, each beside what it replaces.
  MemoryNeed need;
  std::uint64_t largest = 0;
  const auto size_now = [&](const std::string& name) {
    const auto found = named_.find(name);
    return found == named_.end() ? std::uint64_t{0} : found->second->size();
  };
  for (const auto& [name, bytes] : sizes) {
    const std::uint64_t now = size_now(name);
    if (now >= bytes) continue;
    need.states = saturating_sum(need.states, bytes - now);
    largest = std::max(largest, now);
  }
  need.states = saturating_sum(need.states, largest);
  gpu_.check_memory(need, what);
  for (const auto& [name, bytes] : sizes) {
    const std::shared_ptr<const vk::Buffer> before = named_.contains(name) ? named_.at(name) : nullptr;
    reserve(name, bytes);
    const std::shared_ptr<const vk::Buffer>& after = named_.at(name);
    if (before != nullptr && before != after) gpu_.copy(*before, *after, before->size());
  }
}

Executable& Session::prepare(const Graph& graph, const Bindings& dims) {
  std::string key = graph.name;
  for (const auto& [name, size] : dims) key += fmt::format(",{}={}", name, size);
  auto known = executables_.find(key);
  if (known == executables_.end()) {
    std::unique_ptr<Executable> made = prepare(make_plan(graph, dims, gpu_.caps(), gpu_.tuning()));
    if (executables_.size() >= kMostExecutables) {
      executables_.erase(
          std::ranges::min_element(executables_, {}, [](const auto& item) { return item.second.last_use; }));
    }
    known = executables_.emplace(key, Prepared{std::move(made), 0}).first;
  }
  known->second.last_use = ++uses_;
  return *known->second.executable;
}

MemoryNeed Session::need(const Plan& plan) const {
  MemoryNeed need;
  need.weights = weights_.missing(plan);
  for (std::size_t i = 0; i < plan.arena_blocks.size(); ++i) {
    const std::uint64_t there = i < arena_.size() && arena_[i] != nullptr ? arena_[i]->size() : 0;
    if (there < plan.arena_blocks[i]) need.other = saturating_sum(need.other, plan.arena_blocks[i]);
  }
  for (const PlanTensor& tensor : plan.tensors) {
    if (tensor.storage == Storage::Constant || tensor.storage == Storage::Output) {
      need.other = saturating_sum(need.other, tensor.bytes);
    }
    if (tensor.storage != Storage::State && tensor.storage != Storage::Input) continue;
    const auto found = named_.find(tensor.name);
    if (found == named_.end() || found->second->size() < tensor.bytes) {
      need.states = saturating_sum(need.states, tensor.bytes);
    }
  }
  return need;
}

std::unique_ptr<Executable> Session::prepare(Plan plan) {
  gpu_.check_memory(need(plan), fmt::format("graph '{}'", plan.graph_name));
  gpu_.compile(plan);
  weights_.ensure(plan);
  auto executable = std::make_unique<Executable>();
  executable->places_ = place(plan);
  executable->plan_ = std::move(plan);
  write_descriptors(*executable);
  return executable;
}

std::vector<TensorPlace> Session::place(const Plan& plan) {
  while (arena_.size() < plan.arena_blocks.size()) arena_.push_back(nullptr);
  for (std::size_t i = 0; i < plan.arena_blocks.size(); ++i) {
    // A larger block replaces a smaller one; executables that were recorded with that keep it alive.
    if (arena_[i] == nullptr || arena_[i]->size() < plan.arena_blocks[i]) {
      arena_[i] = std::make_shared<vk::Buffer>(gpu_.device(), plan.arena_blocks[i], vk::MemoryUse::Device, "arena");
    }
  }
  std::vector<TensorPlace> places(plan.tensors.size());
  Pieces constants(gpu_, "constants");
  Pieces outputs(gpu_, "outputs");
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlanTensor& tensor = plan.tensors[i];
    switch (tensor.storage) {
      case Storage::Weight:
        break;
      case Storage::Constant:
        constants.add(i, tensor.bytes);
        break;
      case Storage::State:
      case Storage::Input:
        places[i].buffer = named(tensor.name, tensor.bytes);
        break;
      case Storage::Output:
        outputs.add(i, tensor.bytes);
        break;
      case Storage::Flag:
        places[i].buffer = gpu_.proof().buffer();
        break;
      case Storage::Arena:
        // A tensor that no dispatch binds has no place.
        if (tensor.arena_block < arena_.size()) places[i] = {arena_[tensor.arena_block], tensor.arena_offset};
        break;
    }
  }
  constants.allocate(places);
  outputs.allocate(places);
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].storage != Storage::Constant) continue;
    gpu_.upload(*places[i].buffer, places[i].offset, plan.constants[plan.tensors[i].source]);
  }
  return places;
}

void Session::write_descriptors(Executable& executable) {
  const Plan& plan = executable.plan_;
  vk::DescriptorPoolSize size;
  for (const Dispatch& dispatch : plan.dispatches) {
    ++size.sets;
    for (const Binding& binding : dispatch.bindings) {
      ++(binding.view != View::None && dispatch.texel ? size.texel_buffers : size.storage_buffers);
    }
  }
  if (size.sets == 0) return;
  executable.pool_ = std::make_unique<vk::DescriptorPool>(gpu_.device(), size);
  executable.views_.reserve(size.texel_buffers);
  vk::DescriptorWriter writer(gpu_.device());
  for (const Dispatch& dispatch : plan.dispatches) {
    const VkDescriptorSet set = executable.pool_->allocate(gpu_.pipeline(dispatch).set_layout());
    executable.sets_.push_back(set);
    for (std::uint32_t i = 0; i < dispatch.bindings.size(); ++i) {
      const Binding& binding = dispatch.bindings[i];
      const PlanTensor& tensor = plan.tensors[binding.tensor];
      const vk::Buffer* buffer = executable.places_[binding.tensor].buffer.get();
      std::uint64_t offset = binding.offset + executable.places_[binding.tensor].offset;
      if (tensor.storage == Storage::Weight) {
        const WeightStore::Place place = weights_.find(plan.weights[tensor.source]);
        buffer = place.buffer;
        offset += place.offset;
      }
      if (binding.view != View::None && dispatch.texel) {
        executable.views_.emplace_back(gpu_.device(), *buffer, format_of(binding.view), offset, binding.size);
        writer.texel_buffer(set, i, executable.views_.back());
      } else {
        writer.storage_buffer(set, i, *buffer, offset, binding.size);
      }
    }
  }
  writer.write();
}

std::vector<Executable::Submission> Session::record(const Executable& executable, int repeats) {
  std::vector<Executable::Submission> recorded;
  const SubmissionLimits limits = SubmissionLimits::of(gpu_.tuning());
  for (const Recorded& next : split_into_submissions(executable.plan_, repeats, limits)) {
    const Dispatch& dispatch = executable.plan_.dispatches[next.dispatch];
    if (next.new_submission) {
      if (!recorded.empty()) gpu_.finish(recorded.back().commands);
      recorded.push_back({gpu_.commands().allocate(), next.dispatch});
      recorded.back().commands.begin(vk::Recording::Reusable);
      // The host has not waited for the submissions before.
      recorded.back().commands.barrier(vk::Stage::Transfer | vk::Stage::Compute, vk::Stage::Compute);
    }
    auto& [commands, longest, seconds] = recorded.back();
    const double of_dispatch = planned_seconds(dispatch, limits);
    seconds += of_dispatch;
    if (of_dispatch > planned_seconds(executable.plan_.dispatches[longest], limits)) longest = next.dispatch;
    if (next.barrier) commands.barrier(vk::Stage::Compute, vk::Stage::Compute);
    commands.bind(gpu_.pipeline(dispatch), executable.sets_[next.dispatch], dispatch.push_constants);
    commands.dispatch(dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
  }
  if (!recorded.empty()) gpu_.finish(recorded.back().commands);
  return recorded;
}

void Session::submit(const Executable& executable, std::span<const Executable::Submission> submissions) {
  const Plan& plan = executable.plan_;
  const std::string what = fmt::format("graph '{}'", plan.graph_name);
  const std::uint32_t before = gpu_.proof().count();
  try {
    for (const Executable::Submission& submission : submissions) {
      gpu_.submit_ahead(submission.commands, submission.seconds, what);
    }
    gpu_.wait_for_all(what);
  } catch (const DeviceLost& lost) {
    // The first that left no trace was running.
    const std::size_t ran = gpu_.proof().count() - before;
    const Dispatch& longest = plan.dispatches[submissions[std::min(ran, submissions.size() - 1)].longest];
    throw DeviceLost(
        fmt::format("graph '{}' on {}: {}. The longest dispatch of the submission was '{}' ({}), planned to "
                    "take at most {:.3g} s",
                    plan.graph_name, gpu_.caps().name, lost.what(), longest.label, longest.module_key(),
                    planned_seconds(longest, SubmissionLimits::of(gpu_.tuning()))));
  }
  if (const std::optional<RaisedFlag> flag = gpu_.proof().take_flag()) {
    if (flag->check < plan.index_checks.size()) {
      const IndexCheck& check = plan.index_checks[flag->check];
      throw IndexOutOfRange(check.message(flag->element, flag->value), check.node);
    }
    throw Error(
        fmt::format("graph '{}' on {}: a kernel raised flag {}, which the plan does not have; the driver or heed "
                    "is broken",
                    plan.graph_name, gpu_.caps().name, flag->check));
  }
}

void Session::run(Executable& executable, int repeats) {
  auto recorded = executable.recorded_.find(repeats);
  if (recorded == executable.recorded_.end()) {
    recorded = executable.recorded_.emplace(repeats, record(executable, repeats)).first;
  }
  submit(executable, recorded->second);
  gpu_.check_validation();
}

std::vector<DispatchTime> Session::time_dispatches(Executable& executable, int repeats,
                                                   const std::function<void()>& before_each) {
  const std::vector<Dispatch>& dispatches = executable.plan_.dispatches;
  const vk::TimestampQueries queries(gpu_.device(), static_cast<std::uint32_t>(dispatches.size()) + 1);
  if (dispatches.empty()) return {};
  Executable::Submission submission{gpu_.commands().allocate(), 0};
  vk::CommandBuffer& commands = submission.commands;
  commands.begin(vk::Recording::Reusable);
  commands.reset(queries);
  commands.barrier(vk::Stage::Transfer | vk::Stage::Compute, vk::Stage::Compute);
  commands.timestamp(queries, 0);
  for (std::uint32_t i = 0; i < dispatches.size(); ++i) {
    commands.bind(gpu_.pipeline(dispatches[i]), executable.sets_[i], dispatches[i].push_constants);
    commands.dispatch(dispatches[i].groups[0], dispatches[i].groups[1], dispatches[i].groups[2]);
    commands.barrier(vk::Stage::Compute, vk::Stage::Compute | vk::Stage::Host | vk::Stage::Transfer);
    commands.timestamp(queries, i + 1);
  }
  gpu_.finish(commands);
  std::vector<std::vector<double>> runs(dispatches.size());
  for (int repeat = 0; repeat < repeats; ++repeat) {
    before_each();
    submit(executable, {&submission, 1});
    const std::vector<double> times = queries.nanoseconds();
    for (std::size_t i = 0; i < runs.size(); ++i) runs[i].push_back((times[i + 1] - times[i]) * 1e-9);
  }
  gpu_.check_validation();
  std::vector<DispatchTime> medians;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<double>& times = runs[i];
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    const Dispatch& dispatch = dispatches[i];
    medians.push_back({dispatch.label, dispatch.module_key(), times[times.size() / 2], dispatch.bytes, dispatch.flops});
  }
  return medians;
}

void Session::write(const std::string& name, std::span<const std::byte> bytes, std::uint64_t offset) {
  const auto found = named_.find(name);
  if (found == named_.end()) throw Error(fmt::format("no input or state '{}' in this session", name));
  if (offset + bytes.size() > found->second->size()) {
    throw Error(
        fmt::format("'{}' holds {} bytes; {} at {} do not fit", name, found->second->size(), bytes.size(), offset));
  }
  gpu_.upload(*found->second, offset, bytes);
}

void Session::reserve_and_write(const std::string& name, std::span<const std::byte> bytes) {
  reserve(name, bytes.size());
  write(name, bytes);
}

void Session::read(const std::string& name, std::span<std::byte> bytes, std::uint64_t offset) {
  const auto found = named_.find(name);
  if (found == named_.end()) throw Error(fmt::format("no input or state '{}' in this session", name));
  if (offset + bytes.size() > found->second->size()) {
    throw Error(
        fmt::format("'{}' holds {} bytes; {} at {} are not there", name, found->second->size(), bytes.size(), offset));
  }
  gpu_.download(*found->second, offset, bytes);
}

void Session::clear(const std::string& name) {
  const auto found = named_.find(name);
  if (found == named_.end()) throw Error(fmt::format("no input or state '{}' in this session", name));
  gpu_.fill_zero(*found->second);
}

void Session::read_output(const Executable& executable, const std::string& name, std::span<std::byte> bytes) {
  const std::size_t tensor = executable.plan_.tensor_named(name);
  const std::uint64_t size = executable.plan_.tensors[tensor].bytes;
  if (bytes.size() > size) throw Error(fmt::format("output '{}' holds {} bytes, not {}", name, size, bytes.size()));
  gpu_.download(*executable.places_[tensor].buffer, executable.places_[tensor].offset, bytes);
}

void Session::read_tensor(const Executable& executable, std::size_t tensor, std::uint64_t offset,
                          std::span<std::byte> bytes) {
  const TensorPlace& place = executable.places_.at(tensor);
  if (place.buffer == nullptr) {
    throw Error(fmt::format("'{}' is no tensor that can be read", executable.plan_.tensors[tensor].name));
  }
  gpu_.download(*place.buffer, place.offset + offset, bytes);
}

void Session::fill_scratch(const Executable& executable, std::uint32_t word) {
  const Plan& plan = executable.plan_;
  std::set<const vk::Buffer*> filled;  // tensors share theirs
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const Storage storage = plan.tensors[i].storage;
    const vk::Buffer* buffer = executable.places_[i].buffer.get();
    if (buffer == nullptr || (storage != Storage::Output && storage != Storage::Arena)) continue;
    if (filled.insert(buffer).second) gpu_.fill(*buffer, word);
  }
}

}  // namespace heed
