#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

class Gpu;

/// A Vulkan device as `heed devices` lists it.
struct DeviceInfo {
  std::size_t index = 0;  // for --device; stable while drivers stay installed
  std::string name;
  std::string driver;             // "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"
  std::string type;               // "discrete GPU", "integrated GPU", "virtual GPU", "CPU", "other"
  std::string uuid;               // of the device, in the usual groups
  std::string api_version;        // "1.3.230"
  std::uint64_t memory = 0;       // bytes of its largest device-local heap
  std::uint64_t memory_left = 0;  // bytes that this program may still use for models, as far as the driver says
  std::uint32_t subgroup_size = 0;
  std::string unusable;  // why heed cannot run on it; empty: it can
  /// Kernels that gave wrong results with this version of its driver and are off, with the reason; the file that says
  /// so.
  std::map<std::string, std::string> off;
  std::string off_file;

  // For reports.
  std::string driver_name;     // "llvmpipe"
  std::string driver_info;     // "Mesa 22.3.6 (LLVM 15.0.6)"
  std::string driver_version;  // as the vendor spells it
  std::uint32_t vendor_id = 0;
  std::uint32_t device_id = 0;
  std::string limits;  // all that plans depend on, as the driver reports it: a JSON object; empty where unusable
};

/// All devices, best first: discrete before integrated before virtual before CPU, unusable ones last. A GPU that two
/// drivers offer is listed once. Throws Error when there is no Vulkan loader or no driver.
std::vector<DeviceInfo> list_devices();

struct DeviceOptions {
  /// Plans and compiles, but never runs anything: for drivers whose device is not there. Kernels are chosen as for a
  /// device that nobody has measured.
  bool compile_only = false;
  /// Products and attention of many rows, and convolutions, may round what they multiply to half precision (11 bits),
  /// where the device has units for matrices and its kernels use them: half the work or less, for prompts and pictures.
  /// Sums stay in single precision.
  bool half_products = false;
  /// Called with the device's name before its kernels are measured, which takes from a few seconds to a minute: on its
  /// first use with a driver, and wherever what was found cannot be kept; by Device::reopened(), too, on its thread.
  std::function<void(std::string_view device)> before_measuring = {};
};

/// An opened device. Models and generators on it share its compiled kernels. Used by one thread at a time.
class Device {
 public:
  /// `which`: empty for the best, an index, a (part of a) name, or a UUID of list_devices(). Throws Error, listing what
  /// there is, when nothing or more than one thing matches, and when the driver does not run what it is given.
  explicit Device(std::string_view which = "", const DeviceOptions& options = {});

  /// The same device opened afresh with the same options, after DeviceLost. Throws Error where it is not there any
  /// more, or its driver does not allow it.
  Device reopened() const;

  /// Lines about what happened when it was opened: kernels that failed their self-test, caches that were ignored.
  const std::vector<std::string>& notes() const { return notes_; }
  const DeviceInfo& info() const { return info_; }
  bool is_cpu() const { return info_.type == "CPU"; }
  /// The engine's own view of it; not part of the stable interface.
  Gpu& gpu() const { return *gpu_; }

 private:
  struct Choice;
  Device(const Choice& choice, const DeviceOptions& options);

  DeviceInfo info_;
  DeviceOptions options_;
  std::vector<std::string> notes_;
  std::shared_ptr<Gpu> gpu_;
};

}  // namespace heed
