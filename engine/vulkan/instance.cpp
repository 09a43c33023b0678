#include "vulkan/instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <string_view>

#include "heed/error.h"
#include "vulkan/check.h"
#include "vulkan/enumerate.h"

namespace heed::vk {
namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";
constexpr const char* kPortabilityEnumeration = "VK_KHR_portability_enumeration";
constexpr const char* kValidationPackage = "install it (Debian: vulkan-validationlayers) or run without validation";

class MessageLog {
 public:
  void add(std::string message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  std::vector<std::string> copy() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT /*severity*/,
                                          VkDebugUtilsMessageTypeFlagsEXT /*type*/,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data, void* log) {
  static_cast<MessageLog*>(log)->add(data->pMessage == nullptr ? "" : data->pMessage);
  return VK_FALSE;  // the call goes on; whoever runs with validation asks for the messages
}

// Not GENERAL messages: there the loader tells of other people's broken driver files.
VkDebugUtilsMessengerCreateInfoEXT messenger_info(MessageLog* log) {
  return {
      .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
      .pNext = nullptr,
      .flags = 0,
      .messageSeverity =
          VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
      .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
      .pfnUserCallback = on_message,
      .pUserData = log};
}

// volk keeps the functions it finds in globals, so they are looked up once for the process. What the loader gives for
// core functions are its own trampolines, good for every instance; a lookup for each instance would only race with
// calls on other threads.
std::mutex& volk_mutex() {
  static std::mutex mutex;
  return mutex;
}

void open_loader() {
  const std::lock_guard lock(volk_mutex());
  if (vkCreateInstance == nullptr && volkInitialize() != VK_SUCCESS) {
    throw Error(
        "Vulkan: no Vulkan loader (libvulkan) found on this system; install it (Debian: libvulkan1) and a "
        "driver for your GPU");
  }
  if (vkEnumerateInstanceVersion == nullptr || volkGetInstanceVersion() < VK_API_VERSION_1_1) {
    throw Error("Vulkan: the Vulkan loader knows only Vulkan 1.0, 1.1 is needed; install a newer one");
  }
}

void load_instance_functions(VkInstance instance) {
  const std::lock_guard lock(volk_mutex());
  if (vkDestroyInstance == nullptr) volkLoadInstanceOnly(instance);
}

bool has_instance_extension(const char* layer, std::string_view name) {
  const auto extensions = enumerate<VkExtensionProperties>(
      "vkEnumerateInstanceExtensionProperties", [&](std::uint32_t* count, VkExtensionProperties* elements) {
        return vkEnumerateInstanceExtensionProperties(layer, count, elements);
      });
  return std::any_of(extensions.begin(), extensions.end(), [&](const auto& e) { return e.extensionName == name; });
}

void require_validation_layer() {
  const auto layers = enumerate<VkLayerProperties>(
      "vkEnumerateInstanceLayerProperties",
      [](auto* count, auto* elements) { return vkEnumerateInstanceLayerProperties(count, elements); });
  if (std::none_of(layers.begin(), layers.end(),
                   [](const auto& layer) { return std::string_view(layer.layerName) == kValidationLayer; })) {
    throw Error(fmt::format("Vulkan validation: {} is not installed; {}", kValidationLayer, kValidationPackage));
  }
  for (const char* extension : {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME}) {
    if (!has_instance_extension(kValidationLayer, extension) && !has_instance_extension(nullptr, extension)) {
      throw Error(
          fmt::format("Vulkan validation: {} lacks {}; use another version of it", kValidationLayer, extension));
    }
  }
}

}  // namespace

struct Instance::State {
  MessageLog log;
  VkInstance instance = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger = VK_NULL_HANDLE;
  PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (messenger != VK_NULL_HANDLE) destroy_messenger(instance, messenger, nullptr);
    if (instance != VK_NULL_HANDLE) vkDestroyInstance(instance, nullptr);
  }

  void create_messenger(const VkDebugUtilsMessengerCreateInfoEXT& info) {
    // An extension's functions exist only for instances that enabled it, so these are not volk's.
    const auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(instance, "vkCreateDebugUtilsMessengerEXT"));
    destroy_messenger = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(instance, "vkDestroyDebugUtilsMessengerEXT"));
    if (create == nullptr || destroy_messenger == nullptr) {
      throw Error("Vulkan validation: the loader gives no functions of VK_EXT_debug_utils; run without validation");
    }
    check(create(instance, &info, nullptr, &messenger), "vkCreateDebugUtilsMessengerEXT");
  }
};

Instance::Instance(const InstanceOptions& options) : state_(std::make_unique<State>()) {
  open_loader();
  if (options.validation) require_validation_layer();

  // 1.1 and not what the loader offers: so validation tells us when we leave the baseline.
  const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .pNext = nullptr,
                                         .pApplicationName = "heed",
                                         .applicationVersion = 0,
                                         .pEngineName = "heed",
                                         .engineVersion = 0,
                                         .apiVersion = VK_API_VERSION_1_1};
  const VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(&state_->log);
  const VkValidationFeatureEnableEXT enabled[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
  const VkValidationFeaturesEXT validation = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .pNext = &messenger,
                                              .enabledValidationFeatureCount = 1,
                                              .pEnabledValidationFeatures = enabled,
                                              .disabledValidationFeatureCount = 0,
                                              .pDisabledValidationFeatures = nullptr};
  std::vector<const char*> layers;
  std::vector<const char*> extensions;
  VkInstanceCreateFlags flags = 0;
  if (options.validation) {
    layers.push_back(kValidationLayer);
    extensions.push_back(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    extensions.push_back(VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);
  }
  // Without it the loader hides drivers that lack a corner of Vulkan, such as MoltenVK.
  if (has_instance_extension(nullptr, kPortabilityEnumeration)) {
    extensions.push_back(kPortabilityEnumeration);
    flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
  }
  const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                     .pNext = options.validation ? &validation : nullptr,
                                     .flags = flags,
                                     .pApplicationInfo = &application,
                                     .enabledLayerCount = static_cast<std::uint32_t>(layers.size()),
                                     .ppEnabledLayerNames = layers.data(),
                                     .enabledExtensionCount = static_cast<std::uint32_t>(extensions.size()),
                                     .ppEnabledExtensionNames = extensions.data()};
  const VkResult result = vkCreateInstance(&info, nullptr, &state_->instance);
  if (result != VK_SUCCESS) state_->instance = VK_NULL_HANDLE;
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
    throw Error(
        "Vulkan: no Vulkan driver found on this system; install the one for your GPU (Debian: "
        "mesa-vulkan-drivers, or your vendor's), then `vulkaninfo --summary` lists it");
  }
  check(result, "vkCreateInstance");
  load_instance_functions(state_->instance);
  if (options.validation) state_->create_messenger(messenger);
}

Instance::~Instance() = default;
Instance::Instance(Instance&&) noexcept = default;
Instance& Instance::operator=(Instance&&) noexcept = default;

VkInstance Instance::handle() const { return state_->instance; }

std::vector<std::string> Instance::validation_messages() const { return state_->log.copy(); }

void Instance::throw_on_validation_message() const {
  const std::vector<std::string> messages = validation_messages();
  if (messages.empty()) return;
  throw Error(fmt::format("Vulkan validation: {} message{}, the first: {}", messages.size(),
                          messages.size() == 1 ? "" : "s", messages.front()));
}

}  // namespace heed::vk
