#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/temporary_folder.h"

namespace heed::testing {

/// A Chromium that runs without a screen; empty where there is none.
std::string find_chromium();

/// What a script returns that runs beside a page in a frame of this width, where nothing of the network is reached. The
/// script sees the element `frame` and its document `page`. Throws std::runtime_error when the browser fails, or the
/// script does. `options` are the browser's.
nlohmann::json ask_page(const std::string& browser, const TemporaryFolder& folder, const std::string& page, int width,
                        const std::string& script, const std::string& options = "");

}  // namespace heed::testing
