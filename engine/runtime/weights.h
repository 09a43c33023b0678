#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "plan/plan.h"
#include "vulkan/buffer.h"

namespace heed {

class Gpu;

/// Where the bytes of weights come from. Any thread may ask, many at once.
class WeightBytes {
 public:
  virtual ~WeightBytes() = default;
  virtual TensorType type(const std::string& tensor) const = 0;
  /// Bytes [begin, begin + out.size()) of a tensor in the file's layout.
  virtual void read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const = 0;
  /// The expected XXH3 of the tensor's bytes; false when the source has none.
  virtual bool checksum(const std::string& tensor, std::uint64_t& value) const = 0;
  /// What messages name: the file.
  virtual std::string origin() const = 0;
};

/// The tensors of a .heed file; the file must outlive it.
class FileWeights : public WeightBytes {
 public:
  explicit FileWeights(const ModelFile& file) : file_(file) {}
  TensorType type(const std::string& tensor) const override;
  void read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const override;
  bool checksum(const std::string& tensor, std::uint64_t& value) const override;
  std::string origin() const override { return file_.path().string(); }

 private:
  const TensorInfo& find(const std::string& tensor) const;
  const ModelFile& file_;
};

/// Tensors in host memory, for op cases and the tuner.
class MemoryWeights : public WeightBytes {
 public:
  void add(std::string name, TensorType type, std::vector<std::byte> bytes);
  TensorType type(const std::string& tensor) const override;
  void read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const override;
  bool checksum(const std::string&, std::uint64_t&) const override { return false; }
  std::string origin() const override { return "memory"; }

 private:
  std::map<std::string, std::pair<TensorType, std::vector<std::byte>>> tensors_;
};

/// The weights of one model on one device, each uploaded once in the layout that plans ask for. Gpu and source must
/// outlive it.
class WeightStore {
 public:
  WeightStore(Gpu& gpu, const WeightBytes& source) : gpu_(gpu), source_(source) {}

  /// A range of a buffer.
  struct Place {
    const vk::Buffer* buffer;
    std::uint64_t offset;
  };

  /// Uploads the weights of a plan that are not there yet, on several threads (runtime/load_weights.h). Throws Error
  /// naming the file and the tensor when a checksum is wrong; the store is as before then.
  void ensure(const Plan& plan);
  /// Bytes of the weights of a plan that are not there yet.
  std::uint64_t missing(const Plan& plan) const;
  Place find(const DeviceWeight& weight) const;
  std::uint64_t bytes() const;

 private:
  /// The weights of a plan that are not there yet, each once.
  std::vector<const DeviceWeight*> not_there(const Plan& plan) const;

  Gpu& gpu_;
  const WeightBytes& source_;
  std::vector<std::unique_ptr<vk::Buffer>> blocks_;
  std::map<std::string, Place> places_;
  std::set<std::string> verified_;
};

}  // namespace heed
