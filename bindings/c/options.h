// Structures that callers fill, which may be of an older or newer heed.h than this one.
#pragma once

#include <cstddef>
#include <cstring>

#include "bindings/c/handles.h"

namespace heed::c {

/// What every structure of options needs: its defaults, and its size in the first version of heed.h that had it (the
/// end of its last member then), which programs have at least. New members go to the end, and leave `kSmallest` alone.
template <class T>
struct Described;

#define HEED_SMALLEST(TYPE, LAST_MEMBER) (offsetof(TYPE, LAST_MEMBER) + sizeof(TYPE::LAST_MEMBER))

constexpr std::size_t kLargestOptions = 4096;  // what claims more was never set

template <class T>
void check_size(std::size_t size) {
  if (size >= Described<T>::kSmallest && size <= kLargestOptions) return;
  throw InvalidArgument(fmt::format("{}: size is {}, expected {}; call {}_init first", Described<T>::kName, size,
                                    sizeof(T), Described<T>::kName));
}

template <class T>
heed_status init_options(T* options, std::size_t size) noexcept {
  return guarded([&] {
    need(options, "the structure");
    check_size<T>(size);
    const T defaults = Described<T>::defaults();
    std::memset(static_cast<void*>(options), 0, size);
    std::memcpy(static_cast<void*>(options), &defaults, std::min(size, sizeof(T)));
    options->size = size;
  });
}

/// The options as this version knows them; the defaults where they are NULL.
template <class T>
T read_options(const T* given) {
  T options = Described<T>::defaults();
  if (given == nullptr) return options;
  const std::size_t size = given->size;
  check_size<T>(size);
  for (std::size_t i = sizeof(T); i < size; ++i) {
    if (reinterpret_cast<const unsigned char*>(given)[i] != 0) {
      throw InvalidArgument(
          fmt::format("{}: something is set that this version of heed does not know", Described<T>::kName));
    }
  }
  std::memcpy(static_cast<void*>(&options), given, std::min(size, sizeof(T)));
  return options;
}

}  // namespace heed::c
