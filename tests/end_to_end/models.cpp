#include "tests/end_to_end/models.h"

#include <doctest/doctest.h>

#include "tests/end_to_end/process.h"

namespace heed::end_to_end {

Models::Models() {
  for (const char* name : {"llama", "llama_bias"}) {
    const Finished converted =
        run_heed({"convert", (convert_test::golden_folder() / name).string(), "-o", path(std::string(name) + ".heed")});
    REQUIRE_MESSAGE(converted.exit_code == 0, converted.both());
  }
}

const Models& models() {
  static const Models made;
  return made;
}

}  // namespace heed::end_to_end
