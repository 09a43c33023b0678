// tokenizer.json files against what Hugging Face's tokenizers library makes of them: small ones for each part that is
// read, and eight real ones where they are at hand. tests/golden/make_library_tokenizers.py made the expected ids.
#include <doctest/doctest.h>

#include <cstdlib>

#include "heed/error.h"
#include "tests/unit/convert/sample_files.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/json_text.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Json = nlohmann::json;
namespace fs = std::filesystem;

fs::path library_folder() { return golden_folder().parent_path() / "library_tokenizers"; }

Json json_in(const fs::path& path) { return Json::parse(read_whole(path)); }

/// Through the JSON in which a file keeps it, since that is what is used.
std::unique_ptr<Tokenizer> opened(const Json& tokenizer) {
  const TokenizerDescription description = read_tokenizer_json("tokenizer.json", tokenizer, 1 << 20);
  return Tokenizer::from_json(description.to_json());
}

/// With `specials`, special tokens that the texts spell become those tokens.
void compare(const Tokenizer& tokenizer, const Json& texts, const Json& cases, bool specials = false) {
  CAPTURE(specials);
  REQUIRE(texts.size() == cases["ids"].size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    CAPTURE(Json(text).dump(-1, ' ', true));
    const auto ids = cases["ids"][i].get<std::vector<TokenId>>();
    CHECK(tokenizer.encode(text, true, {specials, {}, {}}) == ids);
    const Json& decoded = cases["decoded"][i];
    if (decoded.is_null()) continue;
    CHECK(tokenizer.decode(ids) == (decoded == 0 ? text : decoded.get<std::string>()));
  }
}

TEST_CASE("library tokenizers: parts give the ids and texts that the library gives") {
  const char* other = std::getenv("HEED_LIBRARY_TOKENIZERS");
  const Json golden = json_in(other == nullptr ? library_folder() / "parts.json" : fs::path(other));
  REQUIRE(golden["cases"].size() > 50);
  for (const Json& one : golden["cases"]) {
    const std::string name = one["name"];
    CAPTURE(name);
    Json tokenizer = one["parts"];
    tokenizer["model"] = golden["models"][one["model"].get<std::string>()];
    CAPTURE(one["parts"].dump());
    compare(*opened(tokenizer), one.value("texts", golden["texts"]), one);
  }
}

TEST_CASE("library tokenizers: eight real ones give the ids and texts that the library gives") {
  const char* folder = std::getenv("HEED_REAL_TOKENIZERS");
  if (folder == nullptr) {
    MESSAGE(
        "SKIPPED: HEED_REAL_TOKENIZERS names no folder with real tokenizers (tests/real_tokenizers.sh fetches them)");
    return;
  }
  const Json golden = json_in(library_folder() / "real.json");
  CHECK(golden["cases"].size() == 8);
  CHECK(golden["texts"].size() >= 40);
  for (const Json& one : golden["cases"]) {
    const std::string name = one["name"];
    CAPTURE(name);
    const fs::path path = fs::path(folder) / name / "tokenizer.json";
    REQUIRE(fs::exists(path));
    const auto tokenizer = opened(read_json(path, 64 << 20));
    compare(*tokenizer, golden["texts"], one);
    compare(*tokenizer, golden["texts"], one["specials"], true);
    const Json& own = one["own"];  // about its own special tokens
    CHECK(own["texts"].size() >= 40);
    compare(*tokenizer, own["texts"], own["text"]);
    compare(*tokenizer, own["texts"], own["specials"], true);
    CHECK(own["text"]["ids"] != own["specials"]["ids"]);
  }
}

}  // namespace
}  // namespace heed::convert
