// Whether weights come to the device whole and right: every layout, by one thread and by several, into each kind of
// memory, and what is said where the file is damaged.
#include "runtime/load_weights.h"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <optional>
#include <random>

#include "file/model_file.h"
#include "graph/dtype.h"
#include "heed/error.h"
#include "runtime/weights.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

using testing::FakeDriver;

/// A file in memory, whose tensors can be damaged or refuse to be read.
class TestFile : public WeightBytes {
 public:
  void add(const std::string& name, DType dtype, Shape shape) {
    Tensor& tensor = tensors_[name];
    tensor.type = {dtype, shape};
    tensor.bytes.resize(byte_size(dtype, shape));
    std::mt19937 engine(static_cast<unsigned>(tensors_.size()));
    // Any bytes are weights, save for some floats: NaN need not keep its payload.
    for (std::byte& byte : tensor.bytes) byte = static_cast<std::byte>(engine() & 0x3f);
    Checksum checksum;
    checksum.update(tensor.bytes);
    tensor.checksum = checksum.digest();
  }
  void damage(const std::string& name) { tensors_.at(name).bytes.back() ^= std::byte{1}; }
  void refuse(const std::string& name) { tensors_.at(name).refused = true; }
  const std::vector<std::byte>& bytes(const std::string& name) const { return tensors_.at(name).bytes; }
  std::uint64_t bytes_read() const { return bytes_read_; }

  TensorType type(const std::string& tensor) const override { return tensors_.at(tensor).type; }
  void read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const override {
    const Tensor& from = tensors_.at(tensor);
    REQUIRE(begin + out.size() <= from.bytes.size());
    if (from.refused) throw Error("cannot read '" + tensor + "'");
    std::copy_n(from.bytes.begin() + static_cast<std::ptrdiff_t>(begin), out.size(), out.begin());
    bytes_read_ += out.size();
  }
  bool checksum(const std::string& tensor, std::uint64_t& value) const override {
    value = tensors_.at(tensor).checksum;
    return true;
  }
  std::string origin() const override { return "test.heed"; }

 private:
  struct Tensor {
    TensorType type;
    std::vector<std::byte> bytes;
    std::uint64_t checksum = 0;
    bool refused = false;
  };
  std::map<std::string, Tensor> tensors_;
  mutable std::atomic<std::uint64_t> bytes_read_ = 0;
};

struct Weights {
  TestFile file;
  std::vector<DeviceWeight> weights;

  void add_matrix(DType dtype, std::vector<std::int64_t> part_rows, std::int64_t columns, std::int64_t band,
                  std::int64_t row_begin = 0, std::int64_t row_count = -1) {
    std::int64_t rows = 0;
    std::vector<std::string> parts;
    for (const std::int64_t part : part_rows) {
      parts.push_back("tensor " + std::to_string(weights.size()) + "." + std::to_string(parts.size()));
      file.add(parts.back(), dtype, {part, columns});
      rows += part;
    }
    weights.push_back(matrix_weight(dtype, row_count < 0 ? rows : row_count, columns, band));
    weights.back().row_begin = row_begin;
    weights.back().parts = parts;
  }
  void add_dense(DType dtype, std::int64_t rows, std::int64_t columns) {
    const std::string name = "tensor " + std::to_string(weights.size());
    file.add(name, dtype, {rows, columns});
    DeviceWeight weight;
    weight.dtype = dtype;
    weight.columns = columns;
    weight.row_count = rows;
    weight.parts = {name};
    lay_out(weight);
    weights.push_back(weight);
  }
  void add_transposed(DType dtype, std::int64_t rows, std::int64_t columns) {
    const std::string name = "tensor " + std::to_string(weights.size());
    file.add(name, dtype, {rows, columns});
    DeviceWeight weight;
    weight.layout = WeightLayout::Ordered;
    weight.dtype = dtype;
    weight.columns = rows * columns;
    weight.row_count = 1;
    weight.parts = {name};
    weight.order = {{columns, rows}, {columns, rows}, {1, columns}, 0};
    lay_out(weight);
    weights.push_back(weight);
  }
  std::uint64_t bytes_used() const {
    std::uint64_t bytes = 0;
    for (const DeviceWeight& weight : weights) {
      const DTypeInfo& info = dtype_info(weight.dtype);
      bytes += static_cast<std::uint64_t>(weight.row_count * weight.columns) / info.block_elements * info.block_bytes;
    }
    return bytes;
  }
};

/// The weight packed at once into memory that held `stale`.
std::vector<std::byte> packed(const TestFile& file, const DeviceWeight& weight, std::byte stale) {
  std::vector<std::byte> rows;
  for (const std::string& part : weight.parts)
    rows.insert(rows.end(), file.bytes(part).begin(), file.bytes(part).end());
  const DTypeInfo& info = dtype_info(weight.dtype);
  const std::size_t row_bytes = static_cast<std::size_t>(weight.columns) / info.block_elements * info.block_bytes;
  std::vector<std::byte> memory(weight.bytes, stale);
  pack_rows(weight, 0, weight.row_count,
            std::span(rows).subspan(static_cast<std::size_t>(weight.row_begin) * row_bytes,
                                    static_cast<std::size_t>(weight.row_count) * row_bytes),
            memory);
  return memory;
}

enum class Memory { Cached, WriteCombined, Unseen, UnseenWriteCombined };
constexpr Memory kMemories[] = {Memory::Cached, Memory::WriteCombined, Memory::Unseen, Memory::UnseenWriteCombined};

/// Memory of a device for weights, of a kind that CPU drivers do not have.
struct DeviceMemory {
  DeviceMemory(const Gpu& gpu, Memory memory, const Weights& weights)
      : properties(const_cast<VkPhysicalDeviceMemoryProperties&>(gpu.device().physical().memory)), before(properties) {
    driver.emplace(gpu);
    if (memory == Memory::WriteCombined || memory == Memory::UnseenWriteCombined) {
      for (VkMemoryType& type : properties.memoryTypes) {
        type.propertyFlags &= ~VkMemoryPropertyFlags{VK_MEMORY_PROPERTY_HOST_CACHED_BIT};
      }
    }
    if (memory == Memory::Unseen || memory == Memory::UnseenWriteCombined) driver->refuse_mapping(1);
    std::uint64_t bytes = 0;
    for (const DeviceWeight& weight : weights.weights) {
      placed.push_back({&weight, nullptr, bytes});
      bytes += (weight.bytes + 255) / 256 * 256;
    }
    buffer.emplace(gpu.device(), bytes, vk::MemoryUse::Device, "weights");
    for (PlacedWeight& weight : placed) weight.buffer = &*buffer;
  }
  ~DeviceMemory() { properties = before; }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  VkPhysicalDeviceMemoryProperties& properties;
  const VkPhysicalDeviceMemoryProperties before;
  std::optional<FakeDriver> driver;
  std::optional<vk::Buffer> buffer;
  std::vector<PlacedWeight> placed;
};

void check_contents(Gpu& gpu, const DeviceMemory& memory, const Weights& weights) {
  for (std::size_t i = 0; i < weights.weights.size(); ++i) {
    const DeviceWeight& weight = weights.weights[i];
    CAPTURE(weight.key());
    // What differs is what nobody reads.
    const std::vector<std::byte> expected = packed(weights.file, weight, std::byte{0});
    const std::vector<std::byte> other = packed(weights.file, weight, std::byte{0xff});
    std::vector<std::byte> loaded(weight.bytes);
    gpu.download(*memory.buffer, memory.placed[i].offset, loaded);
    std::size_t wrong = 0;
    for (std::size_t k = 0; k < loaded.size(); ++k) wrong += expected[k] == other[k] && loaded[k] != expected[k];
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("weights come to any kind of memory as they are packed, by any number of threads, and are read once") {
  const auto device = test_device();
  if (!device) return;
  Weights small;
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    for (const std::int64_t band : {1, 8, 128}) {
      small.add_matrix(dtype, {300}, 160, band);
      small.add_matrix(dtype, {7, 130, 40}, 96, band);
    }
    small.add_matrix(dtype, {40, 40, 40}, 64, 8, 40, 40);
    small.add_dense(dtype, 9, 96);
  }
  for (const DType dtype : matrix_types()) {
    const auto block = static_cast<std::int64_t>(dtype_info(dtype).block_elements);
    if (block < 32 || dtype == DType::Q8_0 || dtype == DType::Q4_0) continue;
    small.add_matrix(dtype, {7, 130, 40}, 3 * block, 8);
  }
  small.add_matrix(DType::F32, {40}, 0, 8);
  small.add_dense(DType::F16, 1000, 5);
  small.add_dense(DType::F32, 1, 33);
  small.add_transposed(DType::F16, 31, 33);
  // More than a thread reads of a weight at a time, and than is staged at a time.
  Weights large;
  large.add_matrix(DType::F32, {2500}, 1001, 8);
  large.add_matrix(DType::Q8_0, {3000, 4000, 5000}, 1024, 128);
  large.add_matrix(DType::Q4_0, {20000}, 1024, 1);
  large.add_matrix(DType::Q6_K, {3000}, 1024, 8);
  large.add_matrix(DType::Q5_0, {9000}, 1024, 128);
  large.add_dense(DType::F16, 500001, 5);
  large.add_dense(DType::F32, 1, 2500001);
  large.add_transposed(DType::F32, 1500, 1601);
  Gpu& gpu = device->gpu();
  for (const Memory kind : kMemories) {
    CAPTURE(static_cast<int>(kind));
    for (const std::size_t threads : {1, 5}) {
      CAPTURE(threads);
      for (const bool is_large : {false, true}) {
        CAPTURE(is_large);
        Weights& weights = is_large ? large : small;
        DeviceMemory memory(gpu, kind, weights);
        memory.driver->count_memory();
        const std::uint64_t read_before = weights.file.bytes_read();
        const std::set<std::string> right = load_weights(gpu, weights.file, memory.placed, {}, threads);
        for (const DeviceWeight& weight : weights.weights) {
          // Of a weight in the midst of its parts, only they are looked at.
          const std::size_t parts = weight.row_begin == 0 ? weight.parts.size() : 1;
          for (std::size_t i = 0; i < parts; ++i) CHECK(right.contains(weight.parts[weight.row_begin == 0 ? i : 1]));
        }
        if (!is_large) CHECK(weights.file.bytes_read() - read_before == weights.bytes_used());
        CHECK(memory.driver->allocated() <= std::uint64_t{2} * threads * (std::uint64_t{8} << 20));
        check_contents(gpu, memory, weights);
      }
    }
  }
}

TEST_CASE("of damaged tensors the first is named, wherever threads are, and the device is as good as before") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  for (const Memory kind : {Memory::Cached, Memory::Unseen}) {
    Weights weights;
    for (int i = 0; i < 40; ++i) weights.add_matrix(DType::F16, {64, 3}, 256, 8);
    weights.add_matrix(DType::F32, {3000}, 1024, 8);  // shared by threads
    weights.add_matrix(DType::F32, {8}, 8, 8);
    DeviceMemory memory(gpu, kind, weights);
    const auto message = [&]() -> std::string {
      std::string first;
      for (int i = 0; i < 10; ++i) {
        std::string said;
        try {
          load_weights(gpu, weights.file, memory.placed, {}, 4);
        } catch (const Error& error) {
          said = error.what();
        }
        if (i == 0) first = said;
        CHECK(said == first);
      }
      return first;
    };
    CHECK(message().empty());
    weights.file.refuse("tensor 41.0");
    CHECK(message() == "cannot read 'tensor 41.0'");
    weights.file.damage("tensor 40.0");
    CHECK(message().starts_with("'test.heed': tensor 'tensor 40.0' is damaged: checksum "));
    weights.file.damage("tensor 31.1");
    weights.file.damage("tensor 31.0");
    CHECK(message().starts_with("'test.heed': tensor 'tensor 31.0' is damaged: checksum "));
    // What was found right before is not compared again.
    CHECK_THROWS_WITH_AS(load_weights(gpu, weights.file, memory.placed, {"tensor 31.0", "tensor 31.1"}, 4),
                         doctest::Contains("'tensor 40.0' is damaged"), Error);
    std::vector<std::byte> bytes(64);
    gpu.download(*memory.buffer, 0, bytes);
  }
}

TEST_CASE("copies of weights that the driver drops are an error, and a lost device is said to be lost") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  Weights weights;
  for (int i = 0; i < 10; ++i) weights.add_matrix(DType::F16, {64}, 256, 1);
  {
    DeviceMemory memory(gpu, Memory::Unseen, weights);
    memory.driver->drop_submissions(3);
    CHECK_THROWS_WITH_AS(load_weights(gpu, weights.file, memory.placed, {}, 4),
                         doctest::Contains("did not run the work"), Error);
  }
  {
    DeviceMemory memory(gpu, Memory::Unseen, weights);
    load_weights(gpu, weights.file, memory.placed, {}, 4);
    check_contents(gpu, memory, weights);
  }
  DeviceMemory memory(gpu, Memory::Unseen, weights);
  memory.driver->lose_device(2);
  CHECK_THROWS_AS(load_weights(gpu, weights.file, memory.placed, {}, 2), DeviceLost);
}

}  // namespace heed
