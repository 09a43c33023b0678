#include "runtime/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <iterator>
#include <set>

#include "graph/integer.h"
#include "heed/error.h"
#include "runtime/gpu.h"
#include "runtime/load_weights.h"

namespace heed {
namespace {

constexpr std::uint64_t kAlignment = 256;
constexpr std::uint64_t kBlockBytes = std::uint64_t{256} << 20;  // buffers for weights, unless one is larger

}  // namespace

const TensorInfo& FileWeights::find(const std::string& tensor) const {
  const TensorInfo* info = file_.find_tensor(tensor);
  if (info == nullptr) throw Error(fmt::format("{}: no tensor '{}'", file_.path().string(), tensor));
  return *info;
}
TensorType FileWeights::type(const std::string& tensor) const {
  const TensorInfo& info = find(tensor);
  return {info.dtype, info.shape};
}
void FileWeights::read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const {
  file_.read(find(tensor), begin, out);
}
bool FileWeights::checksum(const std::string& tensor, std::uint64_t& value) const {
  value = find(tensor).checksum;
  return true;
}

void MemoryWeights::add(std::string name, TensorType type, std::vector<std::byte> bytes) {
  assert(bytes.size() == byte_size(type.dtype, type.shape));
  tensors_[std::move(name)] = {std::move(type), std::move(bytes)};
}
TensorType MemoryWeights::type(const std::string& tensor) const { return tensors_.at(tensor).first; }
void MemoryWeights::read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const {
  std::memcpy(out.data(), tensors_.at(tensor).second.data() + begin, out.size());
}

std::uint64_t WeightStore::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& block : blocks_) sum += block->size();
  return sum;
}

WeightStore::Place WeightStore::find(const DeviceWeight& weight) const { return places_.at(weight.key()); }

std::vector<const DeviceWeight*> WeightStore::not_there(const Plan& plan) const {
  std::vector<const DeviceWeight*> missing;
  std::set<std::string> seen;
  for (const DeviceWeight& weight : plan.weights) {
    if (!places_.contains(weight.key()) && seen.insert(weight.key()).second) missing.push_back(&weight);
  }
  return missing;
}

std::uint64_t WeightStore::missing(const Plan& plan) const {
  std::uint64_t sum = 0;
  for (const DeviceWeight* weight : not_there(plan)) sum = saturating_sum(sum, weight->bytes);
  return sum;
}

void WeightStore::ensure(const Plan& plan) {
  const std::vector<const DeviceWeight*> missing = not_there(plan);
  // Pack them into blocks first, then upload: a block is one buffer.
  std::vector<std::uint64_t> block_sizes;
  std::vector<std::pair<std::size_t, std::uint64_t>> at;
  const std::uint64_t limit = std::min(kBlockBytes, gpu_.caps().max_memory_allocation);
  for (const DeviceWeight* weight : missing) {
    const std::uint64_t size = round_up(std::max<std::uint64_t>(weight->bytes, 16), kAlignment);
    if (block_sizes.empty() || block_sizes.back() + size > limit) block_sizes.push_back(0);
    at.emplace_back(block_sizes.size() - 1, block_sizes.back());
    block_sizes.back() += size;
  }
  std::vector<std::unique_ptr<vk::Buffer>> blocks;
  for (const std::uint64_t size : block_sizes) {
    blocks.push_back(std::make_unique<vk::Buffer>(gpu_.device(), size, vk::MemoryUse::Device, "weights"));
  }
  std::vector<PlacedWeight> placed;
  for (std::size_t i = 0; i < missing.size(); ++i)
    placed.push_back({missing[i], blocks[at[i].first].get(), at[i].second});
  verified_.merge(load_weights(gpu_, source_, placed, verified_));
  for (const PlacedWeight& weight : placed) places_[weight.weight->key()] = {weight.buffer, weight.offset};
  std::ranges::move(blocks, std::back_inserter(blocks_));
}

}  // namespace heed
