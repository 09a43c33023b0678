#include "runtime/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <set>

#include "graph/integer.h"
#include "heed/error.h"
#include "runtime/gpu.h"

namespace heed {
namespace {

constexpr std::uint64_t kAlignment = 256;
constexpr std::uint64_t kBlockBytes = std::uint64_t{256} << 20;  // buffers for weights, unless one is larger
constexpr std::uint64_t kReadBytes = std::uint64_t{4} << 20;     // read from the file at a time

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

void WeightStore::ensure(const Plan& plan) {
  std::vector<const DeviceWeight*> missing;
  std::set<std::string> seen;
  for (const DeviceWeight& weight : plan.weights) {
    if (!places_.contains(weight.key()) && seen.insert(weight.key()).second) missing.push_back(&weight);
  }
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
  const std::size_t first_block = blocks_.size();
  for (const std::uint64_t size : block_sizes) {
    blocks_.push_back(std::make_unique<vk::Buffer>(gpu_.device(), size, vk::MemoryUse::Device, "weights"));
  }
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const Place place{blocks_[first_block + at[i].first].get(), at[i].second};
    upload(*missing[i], place);
    places_[missing[i]->key()] = place;
  }
}

void WeightStore::verify(const std::string& tensor) {
  std::uint64_t expected;
  if (verified_.contains(tensor) || !source_.checksum(tensor, expected)) return;
  const TensorType type = source_.type(tensor);
  const std::uint64_t size = byte_size(type.dtype, type.shape);
  std::vector<std::byte> chunk(std::min(kReadBytes, size));
  Checksum checksum;
  for (std::uint64_t done = 0; done < size; done += chunk.size()) {
    const std::span<std::byte> part(chunk.data(), std::min<std::uint64_t>(chunk.size(), size - done));
    source_.read(tensor, done, part);
    checksum.update(part);
  }
  compare(tensor, checksum.digest(), expected);
}

void WeightStore::compare(const std::string& tensor, std::uint64_t checksum, std::uint64_t expected) {
  if (checksum != expected) {
    throw Error(
        fmt::format("'{}': tensor '{}' is damaged: checksum {:016x}, expected {:016x}; fetch or convert the file again",
                    source_.origin(), tensor, checksum, expected));
  }
  verified_.insert(tensor);
}

void WeightStore::upload(const DeviceWeight& weight, const Place& place) {
  // Straight into the device's memory where the host sees it, else packed here first.
  std::vector<std::byte> packed;
  std::span<std::byte> target;
  if (!place.buffer->mapped().empty()) {
    target = place.buffer->mapped().subspan(place.offset, weight.bytes);
  } else {
    packed.resize(weight.bytes);
    target = packed;
  }
  const DTypeInfo& info = dtype_info(weight.dtype);
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(weight.columns) / info.block_elements * info.block_bytes;
  const auto rows_at_once =
      static_cast<std::int64_t>(std::max<std::uint64_t>(1, row_bytes == 0 ? 1 : kReadBytes / row_bytes));
  std::vector<std::byte> chunk;
  std::int64_t part_begin = 0;  // the part's first row among all stacked rows
  for (const std::string& part : weight.parts) {
    const TensorType type = source_.type(part);
    const std::int64_t elements = element_count(type.shape);
    const std::int64_t part_rows = weight.columns == 0 ? weight.row_count : elements / weight.columns;
    const std::int64_t begin = std::max(part_begin, weight.row_begin);
    const std::int64_t end = std::min(part_begin + part_rows, weight.row_begin + weight.row_count);
    std::uint64_t expected;
    const bool check = source_.checksum(part, expected) && !verified_.contains(part);
    const bool whole = begin == part_begin && end == part_begin + part_rows;
    if (check && !whole) verify(part);
    Checksum checksum;
    for (std::int64_t row = begin; row < end; row += rows_at_once) {
      const std::int64_t count = std::min(rows_at_once, end - row);
      chunk.resize(static_cast<std::size_t>(count) * row_bytes);
      source_.read(part, static_cast<std::uint64_t>(row - part_begin) * row_bytes, chunk);
      if (check && whole) checksum.update(chunk);
      pack_rows(weight, row - weight.row_begin, count, chunk, target);
    }
    if (check && whole) compare(part, checksum.digest(), expected);
    part_begin += part_rows;
  }
  if (!packed.empty()) gpu_.upload(*place.buffer, place.offset, packed);
}

}  // namespace heed
