#pragma once

#include <cstddef>
#include <functional>

namespace heed {

/// How many threads the machine runs at a time, at least 1.
std::size_t machine_threads();

/// Calls work(0), ..., work(count - 1), each once and begun in this order, on so many threads, this one among them; on
/// fewer where the system gives no more. When all are done, the exception of the first of them that threw one is thrown
/// again.
void for_each_on_threads(std::size_t count, const std::function<void(std::size_t)>& work,
                         std::size_t threads = machine_threads());

}  // namespace heed
