#pragma once

#include <cstddef>
#include <functional>

namespace heed {

/// Calls work(0), ..., work(count - 1), each once, on as many threads as the machine runs at a time, this one among
/// them; on fewer where the system gives no more threads. The first exception is thrown again when all are done.
void for_each_on_threads(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace heed
