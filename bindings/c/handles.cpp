#include "bindings/c/handles.h"

#include <map>
#include <new>

namespace heed::c {
namespace {

/// Never destroyed: other threads may still call when the program ends.
struct Table {
  std::mutex mutex;
  std::map<std::uintptr_t, std::shared_ptr<Object>> objects;
  std::map<const void*, std::unique_ptr<Result>> results;
  std::uintptr_t last = 0;
};
Table& table() {
  static Table* const made = new Table;
  return *made;
}

std::uintptr_t number_of(const void* handle) { return reinterpret_cast<std::uintptr_t>(handle); }

constexpr const char* kNoMemoryForMessage = "out of memory";

std::string& message() {
  thread_local std::string kept;
  return kept;
}
thread_local bool message_is_lost = false;

}  // namespace

Turn::Turn(Turns& turns) : turns_(turns) {
  if (turns.mine())
    throw InvalidArgument("called within a callback of a call on the same device; return from it first");
  turns_.mutex_.lock();
  turns_.holder_.store(std::this_thread::get_id());
}

Turn::~Turn() {
  turns_.holder_.store({});
  turns_.mutex_.unlock();
}

void* add_object(std::shared_ptr<Object> object) {
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  const std::uintptr_t number = all.last + 1;
  all.objects.emplace(number, std::move(object));
  all.last = number;
  return reinterpret_cast<void*>(number);
}

std::shared_ptr<Object> find_object(const void* handle, const char* kind) {
  if (handle == nullptr) throw InvalidArgument(fmt::format("the {} is NULL", kind));
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.objects.find(number_of(handle));
  if (found != all.objects.end()) return found->second;
  throw InvalidArgument(number_of(handle) <= all.last ? fmt::format("the {} is closed", kind)
                                                      : fmt::format("the handle is no {}", kind));
}

void remove_object(const void* handle) {
  std::shared_ptr<Object> object;  // is destroyed when others may use the table again
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.objects.find(number_of(handle));
  if (found == all.objects.end()) throw InvalidArgument("heed_close: the handle is closed already, or never was one");
  object = std::move(found->second);
  all.objects.erase(found);
}

void add_result(const void* view, std::unique_ptr<Result> result) {
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  all.results.emplace(view, std::move(result));
}

void remove_result(const void* view) {
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  if (all.results.erase(view) == 0) throw InvalidArgument("heed_free: given back already, or no result of heed");
}

heed_status fail(heed_status status, const char* text) noexcept {
  try {
    message() = text;
    message_is_lost = false;
  } catch (...) {
    message_is_lost = true;
  }
  return status;
}

heed_status fail_as_thrown() noexcept {
  try {
    throw;
  } catch (const InvalidArgument& error) {
    return fail(HEED_INVALID_ARGUMENT, error.what());
  } catch (const DeviceLost& error) {
    return fail(HEED_DEVICE_LOST, error.what());
  } catch (const Cancelled&) {
    return fail(HEED_CANCELLED, "cancelled by a callback");
  } catch (const std::bad_alloc&) {
    return fail(HEED_OUT_OF_MEMORY, kNoMemoryForMessage);
  } catch (const std::exception& error) {
    return fail(HEED_ERROR, error.what());
  } catch (...) {
    return fail(HEED_ERROR, "a callback threw what is no exception of the standard library");
  }
}

}  // namespace heed::c

using namespace heed::c;

extern "C" {

const char* heed_last_error(void) { return message_is_lost ? kNoMemoryForMessage : message().c_str(); }

heed_status heed_free(const void* result) {
  return guarded([&] {
    if (result != nullptr) remove_result(result);
  });
}

heed_status heed_close(const void* handle) {
  return guarded([&] {
    if (handle != nullptr) remove_object(handle);
  });
}
}
