#pragma once

#include <volk.h>

#include <memory>
#include <string>
#include <vector>

namespace heed::vk {

struct InstanceOptions {
  bool validation = false;  // the Khronos validation layer with synchronisation checks
};

/// A Vulkan 1.1 instance. The first one opens the Vulkan loader, which then stays open until the process ends, because
/// drivers keep threads and exit handlers of their own. Several instances may live at once, also on several threads:
/// the functions that volk holds in globals are those of the loader, the same for every instance; what differs between
/// instances (extensions) and between devices is kept in the objects.
///
/// Throws Error when there is no loader, when the loader knows only Vulkan 1.0, when no driver is installed, and when
/// validation is asked for but its layer is not installed.
class Instance {
 public:
  explicit Instance(const InstanceOptions& options = {});
  ~Instance();
  Instance(Instance&&) noexcept;
  Instance& operator=(Instance&&) noexcept;

  VkInstance handle() const;

  /// Warnings and errors of the validation layer so far, oldest first; empty without validation. Objects that outlive
  /// their Device are reported when the Device goes. Any thread.
  std::vector<std::string> validation_messages() const;

  /// Throws Error with the first message and their count, if there is any. Any thread.
  void throw_on_validation_message() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed::vk
