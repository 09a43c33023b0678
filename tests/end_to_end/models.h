#pragma once

#include <filesystem>
#include <string>

#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {

/// Models for the program tests, converted by the program itself from tests/golden/hf: always at hand, and as small as
/// models come.
class Models {
 public:
  Models();
  /// A file of this name in the folder of the models.
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string llama() const { return path("llama.heed"); }
  /// models/dates.
  std::string dates() const { return path("dates.heed"); }
  /// It has no tokenizer.
  std::string without_tokenizer() const { return path("llama_bias.heed"); }

 private:
  convert_test::TempFolder folder_;
};

/// Made on first use.
const Models& models();

}  // namespace heed::end_to_end
