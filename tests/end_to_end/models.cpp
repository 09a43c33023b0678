#include "tests/end_to_end/models.h"

#include <doctest/doctest.h>

#include "tests/end_to_end/process.h"

namespace heed::end_to_end {

Models::Models() {
  const std::filesystem::path golden = convert_test::golden_folder();
  const std::filesystem::path shipped = std::filesystem::path(HEED_SOURCE_DIR) / "models";
  for (const auto& folder : {golden / "llama", golden / "llama_bias", shipped / "dates"}) {
    const Finished converted = run_heed({"convert", folder.string(), "-o", path(folder.filename().string() + ".heed")});
    REQUIRE_MESSAGE(converted.exit_code == 0, converted.both());
  }
}

const Models& models() {
  static const Models made;
  return made;
}

}  // namespace heed::end_to_end
