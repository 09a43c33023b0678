#include "runtime/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "heed/error.h"
#include "plan/submissions.h"
#include "vulkan/queries.h"

namespace heed {
namespace {

VkFormat format_of(View view) {
  switch (view) {
    case View::F32x4:
      return VK_FORMAT_R32G32B32A32_SFLOAT;
    case View::U32x4:
      return VK_FORMAT_R32G32B32A32_UINT;
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

}  // namespace

std::shared_ptr<const vk::Buffer> Session::named(const std::string& name, std::uint64_t bytes) {
  std::shared_ptr<const vk::Buffer>& buffer = named_[name];
  if (buffer == nullptr || buffer->size() < bytes) {
    // Executables that were recorded with the old buffer would go on using it.
    if (buffer != nullptr) executables_.clear();
    buffer = std::make_shared<vk::Buffer>(gpu_.device(), bytes, vk::MemoryUse::Device, name);
    gpu_.fill_zero(*buffer);
  }
  return buffer;
}

void Session::reserve(const std::string& name, std::uint64_t bytes) {
  named(name, (std::max<std::uint64_t>(bytes, 16) + 15) / 16 * 16);
}

Executable& Session::prepare(const Graph& graph, const Bindings& dims) {
  std::string key = graph.name;
  for (const auto& [name, size] : dims) key += fmt::format(",{}={}", name, size);
  if (const auto known = executables_.find(key); known != executables_.end()) return *known->second;
  std::unique_ptr<Executable> made = prepare(make_plan(graph, dims, gpu_.caps(), gpu_.tuning()));
  return *(executables_[key] = std::move(made));
}

std::unique_ptr<Executable> Session::prepare(Plan plan) {
  gpu_.compile(plan);
  weights_.ensure(plan);
  auto executable = std::make_unique<Executable>();

  while (arena_.size() < plan.arena_blocks.size()) arena_.push_back(nullptr);
  for (std::size_t i = 0; i < plan.arena_blocks.size(); ++i) {
    // A larger block replaces a smaller one; executables that were recorded with that keep it alive.
    if (arena_[i] == nullptr || arena_[i]->size() < plan.arena_blocks[i]) {
      arena_[i] = std::make_shared<vk::Buffer>(gpu_.device(), plan.arena_blocks[i], vk::MemoryUse::Device, "arena");
    }
  }
  executable->tensor_buffers_.resize(plan.tensors.size());
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlanTensor& tensor = plan.tensors[i];
    std::shared_ptr<const vk::Buffer>& buffer = executable->tensor_buffers_[i];
    switch (tensor.storage) {
      case Storage::Weight:
        break;
      case Storage::Constant: {
        auto made = std::make_shared<vk::Buffer>(gpu_.device(), tensor.bytes, vk::MemoryUse::Device, tensor.name);
        gpu_.upload(*made, 0, plan.constants[tensor.source]);
        buffer = std::move(made);
        break;
      }
      case Storage::State:
      case Storage::Input:
        buffer = named(tensor.name, tensor.bytes);
        break;
      case Storage::Output:
        buffer = std::make_shared<vk::Buffer>(gpu_.device(), tensor.bytes, vk::MemoryUse::Device, tensor.name);
        break;
      case Storage::Arena:
        // A tensor that no dispatch binds has no place.
        if (tensor.arena_block < arena_.size()) buffer = arena_[tensor.arena_block];
        break;
    }
  }

  vk::DescriptorPoolSize size;
  for (const Dispatch& dispatch : plan.dispatches) {
    ++size.sets;
    for (const Binding& binding : dispatch.bindings) {
      ++(binding.view != View::None && dispatch.texel ? size.texel_buffers : size.storage_buffers);
    }
  }
  if (size.sets > 0) {
    executable->pool_ = std::make_unique<vk::DescriptorPool>(gpu_.device(), size);
    executable->views_.reserve(size.texel_buffers);
    vk::DescriptorWriter writer(gpu_.device());
    for (const Dispatch& dispatch : plan.dispatches) {
      const VkDescriptorSet set = executable->pool_->allocate(gpu_.pipeline(dispatch).set_layout());
      executable->sets_.push_back(set);
      for (std::uint32_t i = 0; i < dispatch.bindings.size(); ++i) {
        const Binding& binding = dispatch.bindings[i];
        const PlanTensor& tensor = plan.tensors[binding.tensor];
        const vk::Buffer* buffer = executable->tensor_buffers_[binding.tensor].get();
        std::uint64_t offset = binding.offset;
        if (tensor.storage == Storage::Weight) {
          const WeightStore::Place place = weights_.find(plan.weights[tensor.source]);
          buffer = place.buffer;
          offset += place.offset;
        } else if (tensor.storage == Storage::Arena) {
          offset += tensor.arena_offset;
        }
        if (binding.view != View::None && dispatch.texel) {
          executable->views_.emplace_back(gpu_.device(), *buffer, format_of(binding.view), offset, binding.size);
          writer.texel_buffer(set, i, executable->views_.back());
        } else {
          writer.storage_buffer(set, i, *buffer, offset, binding.size);
        }
      }
    }
    writer.write();
  }
  executable->plan_ = std::move(plan);
  return executable;
}

void Session::record(Executable& executable, int repeats) {
  std::vector<vk::CommandBuffer>& recorded = executable.recorded_[repeats];
  const auto start = [&] {
    recorded.push_back(gpu_.commands().allocate());
    recorded.back().begin(vk::Recording::Reusable);
    // Uploads through staging and earlier submissions are done: the host waited for them.
    recorded.back().barrier(vk::Stage::Transfer | vk::Stage::Compute, vk::Stage::Compute);
  };
  const auto finish = [&] {
    recorded.back().barrier(vk::Stage::Compute, vk::Stage::Host | vk::Stage::Transfer);
    recorded.back().end();
  };
  for (const Recorded& next : split_into_submissions(executable.plan_, repeats)) {
    const Dispatch& dispatch = executable.plan_.dispatches[next.dispatch];
    if (next.new_submission) {
      if (!recorded.empty()) finish();
      start();
    }
    if (next.barrier) recorded.back().barrier(vk::Stage::Compute, vk::Stage::Compute);
    recorded.back().bind(gpu_.pipeline(dispatch), executable.sets_[next.dispatch], dispatch.push_constants);
    recorded.back().dispatch(dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
  }
  if (!recorded.empty()) finish();
}

void Session::run(Executable& executable, int repeats) {
  if (!executable.recorded_.contains(repeats)) record(executable, repeats);
  for (const vk::CommandBuffer& commands : executable.recorded_.at(repeats)) {
    gpu_.submit_and_wait(commands, executable.plan_.graph_name);
  }
  gpu_.check_validation();
}

std::vector<DispatchTime> Session::time_dispatches(Executable& executable, int repeats,
                                                   const std::function<void()>& before_each) {
  const std::vector<Dispatch>& dispatches = executable.plan_.dispatches;
  const vk::TimestampQueries queries(gpu_.device(), static_cast<std::uint32_t>(dispatches.size()) + 1);
  vk::CommandBuffer commands = gpu_.commands().allocate();
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
  commands.end();
  std::vector<std::vector<double>> runs(dispatches.size());
  for (int repeat = 0; repeat < repeats; ++repeat) {
    before_each();
    gpu_.submit_and_wait(commands, executable.plan_.graph_name);
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
  const std::uint64_t size = executable.tensor_buffers_[tensor]->size();
  if (bytes.size() > size) throw Error(fmt::format("output '{}' holds {} bytes, not {}", name, size, bytes.size()));
  gpu_.download(*executable.tensor_buffers_[tensor], 0, bytes);
}

void Session::fill_scratch(const Executable& executable, std::uint32_t word) {
  const Plan& plan = executable.plan_;
  std::set<const vk::Buffer*> filled;  // tensors of the arena share theirs
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const Storage storage = plan.tensors[i].storage;
    const vk::Buffer* buffer = executable.tensor_buffers_[i].get();
    if (buffer == nullptr || (storage != Storage::Output && storage != Storage::Arena)) continue;
    if (filled.insert(buffer).second) gpu_.fill(*buffer, word);
  }
}

}  // namespace heed
