// What stands behind the handles and results of heed.h, and who may touch it when.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "bindings/c/heed.h"
#include "heed/device.h"
#include "heed/error.h"

namespace heed::c {

/// A mistake of the calling program.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// Thrown through heed by a callback that stops what has no way to end cleanly.
struct Cancelled {};

/// Lets one thread at a time work on a device.
class Turns {
 public:
  bool mine() const { return holder_.load() == std::this_thread::get_id(); }

 private:
  friend class Turn;
  std::mutex mutex_;
  std::atomic<std::thread::id> holder_{};
};

/// A call's turn. Throws InvalidArgument in a thread that has it already: in a callback.
class Turn {
 public:
  explicit Turn(Turns& turns);
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turns& turns_;
};

/// Behind a handle.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
};

class DeviceObject : public Object {
 public:
  static constexpr const char* kKind = "device";
  explicit DeviceObject(std::string_view which) : device(which) {}
  Device device;
  Turns turns;
};

/// A model and the device that it is on. It is destroyed in a turn of its own, but for models that are closed within a
/// callback, whose thread has it.
template <class Model>
class ModelObject : public Object {
 public:
  static constexpr const char* kKind = Model::kKind;
  template <class... Arguments>
  explicit ModelObject(std::shared_ptr<DeviceObject> where, Arguments&&... arguments) : on(std::move(where)) {
    model.emplace(on->device, std::forward<Arguments>(arguments)...);
  }
  ~ModelObject() override {
    std::optional<Turn> turn;
    if (!on->turns.mine()) turn.emplace(on->turns);
    model.reset();
  }
  std::shared_ptr<DeviceObject> on;
  std::optional<Model> model;
};

/// Gives an object a handle, a number that no other ever had. The table of handles is the one thing here that is
/// global: a handle that is wrong can only be told from a right one by looking it up.
void* add_object(std::shared_ptr<Object> object);
/// Throws InvalidArgument where there is none.
std::shared_ptr<Object> find_object(const void* handle, const char* kind);
void remove_object(const void* handle);

template <class T>
std::shared_ptr<T> find(const void* handle) {
  auto object = std::dynamic_pointer_cast<T>(find_object(handle, T::kKind));
  if (object == nullptr) throw InvalidArgument(fmt::format("the handle is no {}", T::kKind));
  return object;
}

/// Behind a result.
class Result {
 public:
  Result() = default;
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  virtual ~Result() = default;
};
void add_result(const void* view, std::unique_ptr<Result> result);
void remove_result(const void* view);

/// Hands a result to the caller: its member `view`, whose size it fills in.
template <class T, class View>
void give(const View** out, std::unique_ptr<T> result) {
  const View* view = &result->view;
  result->view.size = sizeof(View);
  add_result(view, std::move(result));
  *out = view;
}
template <class Handle>
void give_handle(Handle** out, std::shared_ptr<Object> object) {
  *out = static_cast<Handle*>(add_object(std::move(object)));
}

/// Keeps what heed_last_error() says, and returns the status.
heed_status fail(heed_status status, const char* message) noexcept;
heed_status fail_as_thrown() noexcept;  // within a catch

/// The border: runs `work`, and nothing is thrown over it.
template <class Work>
heed_status guarded(const Work& work) noexcept {
  try {
    work();
    return HEED_OK;
  } catch (...) {
    return fail_as_thrown();
  }
}

template <class T>
void need(const T* pointer, const char* what) {
  if (pointer == nullptr) throw InvalidArgument(fmt::format("{} is NULL", what));
}
/// A place for a result, NULL for now.
template <class T>
void clear_out(T** out, const char* what) {
  need(out, what);
  *out = nullptr;
}
inline std::string text_or_nothing(const char* text) { return text == nullptr ? std::string() : std::string(text); }

}  // namespace heed::c
