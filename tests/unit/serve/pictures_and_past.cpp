// Bytes as base64, requests for pictures, and answers that are kept for a while.
#include <doctest/doctest.h>

#include <string>

#include "tools/serve/base64.h"
#include "tools/serve/http_server.h"
#include "tools/serve/past_answers.h"
#include "tools/serve/picture_request.h"

namespace heed::tools {
namespace {

std::string draw_refusal(const nlohmann::ordered_json& body) {
  try {
    DrawRequest::read(body);
  } catch (const HttpError& error) {
    return error.what();
  }
  return "none";
}

PastAnswers::Text text_of(const std::string& model, std::size_t tokens) {
  return {.model = model, .prompt = {7}, .tokens = std::vector<std::int32_t>(tokens, 1)};
}

}  // namespace

TEST_CASE("base64: the examples of RFC 4648, and all bytes there and back") {
  const std::pair<const char*, const char*> kExamples[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
  for (const auto& example : kExamples) {
    CHECK(base64(example.first) == example.second);
    CHECK(from_base64(example.second) == std::string(example.first));
  }
  CHECK(from_base64("Zg") == "f");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  CHECK(from_base64(base64(bytes)) == bytes);
  for (const char* wrong : {"Z", "Zg=a", "Z===", "Zm9 v", "Zh==", "Zm9v\n", "Zm9-", "====", "é"}) {
    CAPTURE(wrong);
    CHECK_FALSE(from_base64(wrong).has_value());
  }
}

TEST_CASE("picture request: what is given, and what is refused by name") {
  const DrawRequest request = DrawRequest::read({{"prompt", "a coat"},
                                                 {"n", 3},
                                                 {"size", "32x16"},
                                                 {"seed", 9},
                                                 {"top_k", 5},
                                                 {"quality", "auto"},
                                                 {"stream", false}});
  CHECK(request.options.prompt == "a coat");
  CHECK(request.options.count == 3);
  CHECK(request.options.size == std::pair<std::int64_t, std::int64_t>(32, 16));
  CHECK(request.seed == 9);
  CHECK(request.top_k == 5);
  CHECK_FALSE(request.temperature.has_value());
  CHECK_FALSE(DrawRequest::read({{"size", "auto"}}).options.size.has_value());
  for (const char* size : {"32", "x32", "32x", "32x0", "-1x2", "32x32x", "a", "", "99999999999999999999x1"}) {
    CAPTURE(size);
    CHECK(draw_refusal({{"size", size}}).starts_with("size is "));
  }
  CHECK(draw_refusal({{"quality", "hd"}}).starts_with("quality is \"hd\""));
  CHECK(draw_refusal({{"background", "transparent"}}).starts_with("background is"));
  CHECK(draw_refusal({{"stream", true}}).starts_with("stream is true"));
  CHECK(draw_refusal({{"seed", -2}}).starts_with("seed is -2"));
  CHECK(DrawRequest::read({{"seed", -1}}).seed != DrawRequest::read({{"seed", -1}}).seed);
  CHECK(draw_refusal({{"partial_images", 1}}) == "partial_images is not known here; leave it out");
}

TEST_CASE("past answers: the last of each model are kept, within bytes") {
  PastAnswers past({.answers = 3, .bytes = 10000});
  for (int i = 0; i < 5; ++i) past.keep("a" + std::to_string(i), 0, text_of("one", 1));
  past.keep("b", 0, text_of("two", 2));
  past.keep("b", 1, text_of("two", 3));
  CHECK_FALSE(past.find("a1", 0).has_value());
  CHECK(past.find("a2", 0).has_value());
  CHECK(past.find("a4", 0)->model == "one");
  CHECK_FALSE(past.find("a4", 1).has_value());
  CHECK(past.find("b", 0)->tokens.size() == 2);
  CHECK(past.find("b", 1)->tokens.size() == 3);
  CHECK_FALSE(past.find("", 0).has_value());
  // A large one drives out those before it, one that is too large drives out nothing.
  past.keep("large", 0, text_of("one", 2400));
  CHECK_FALSE(past.find("a4", 0).has_value());
  CHECK(past.find("large", 0).has_value());
  past.keep("too large", 0, text_of("one", 3000));
  CHECK_FALSE(past.find("too large", 0).has_value());
  CHECK(past.find("large", 0).has_value());
}

}  // namespace heed::tools
