// Chat templates of folders, and what of tokenizers concerns them.
#include <doctest/doctest.h>

#include "heed/error.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/tokenizer_config.h"

namespace heed::convert_test {
namespace {

using Json = nlohmann::json;

Json read(const TempFolder& folder, const Json& config, std::vector<std::string>* notes = nullptr) {
  std::vector<std::string> unread;
  return convert::read_chat_format(folder.path(), config, notes != nullptr ? *notes : unread);
}

}  // namespace

TEST_CASE("a chat template stands in tokenizer_config.json, as one or as several with names") {
  const TempFolder folder;
  CHECK(read(folder, {{"bos_token", "<s>"}}).is_null());
  CHECK(read(folder, nullptr).is_null());
  const Json one = read(
      folder,
      {{"chat_template", "a"}, {"bos_token", "<s>"}, {"eos_token", {{"content", "</s>"}}}, {"pad_token", nullptr}});
  CHECK(one == Json{{"templates", {{"default", "a"}}}, {"tokens", {{"bos_token", "<s>"}, {"eos_token", "</s>"}}}});
  const Json several = read(folder, {{"chat_template", Json::array({{{"name", "default"}, {"template", "a"}},
                                                                    {{"name", "tool_use"}, {"template", "b"}}})}});
  CHECK(several["templates"] == Json{{"default", "a"}, {"tool_use", "b"}});
  CHECK(contains(error_of([&] { read(folder, {{"chat_template", 5}}); }), "'chat_template' is 5"));
  CHECK(contains(error_of([&] { read(folder, {{"chat_template", Json::array({"a"})}}); }), "objects with 'name'"));
}

TEST_CASE("files of templates go before tokenizer_config.json, special_tokens_map.json behind it") {
  const TempFolder folder;
  folder.write("chat_template.json", R"({"chat_template": "json"})");
  folder.write("special_tokens_map.json", R"({"eos_token": "<e>", "bos_token": {"content": "<b>"}})");
  const Json config = {{"chat_template", "config"}, {"eos_token", "<config>"}};
  CHECK(read(folder, config)["templates"]["default"] == "json");
  CHECK(read(folder, config)["tokens"] == Json{{"eos_token", "<config>"}, {"bos_token", "<b>"}});
  folder.write("chat_template.jinja", "jinja\n");
  CHECK(read(folder, config)["templates"] == Json{{"default", "jinja\n"}});
  std::filesystem::create_directory(folder.path() / "additional_chat_templates");
  folder.write("additional_chat_templates/rag.jinja", "rag");
  CHECK(read(folder, config)["templates"] == Json{{"default", "jinja\n"}, {"rag", "rag"}});
}

TEST_CASE("a template that cannot be run is kept with a note") {
  const TempFolder folder;
  std::vector<std::string> notes;
  CHECK(read(folder, {{"chat_template", "{% block x %}"}}, &notes)["templates"]["default"] == "{% block x %}");
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "the tag 'block' is not supported"));
}

}  // namespace heed::convert_test
