#pragma once

#include <string_view>

namespace heed::tools {

/// The page for people, of tools/serve/page/, as one file: "@NONCE@" stands where its style and its script say which
/// answer they came with. CMake makes it (cmake/page.cmake).
extern const std::string_view kPage;

}  // namespace heed::tools
