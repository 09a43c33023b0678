#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "heed/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

// What comes out when `bytes` are pushed in pieces that end at `cuts`.
std::string stream(const std::string& bytes, const std::vector<std::string>& stops, unsigned cuts, bool& stopped) {
  TextStream text(stops);
  std::string shown;
  std::size_t begin = 0;
  for (std::size_t end = 1; end <= bytes.size(); ++end) {
    if (end < bytes.size() && (cuts >> (end - 1) & 1u) == 0) continue;
    shown += text.push(bytes.substr(begin, end - begin));
    begin = end;
  }
  shown += text.finish();
  stopped = text.stopped();
  return shown;
}

}  // namespace

TEST_CASE("text stream: a character is shown when it is complete") {
  TextStream text;
  CHECK(text.push("a\xE2") == "a");
  CHECK(text.push("\x82") == "");
  CHECK(text.push("\xAC") == "€");
  CHECK(text.push("\xF0\x9F\x99\x82") == "🙂");
  CHECK(text.push("") == "");
  CHECK(text.push("\xC3") == "");
  CHECK(text.finish() == "\xEF\xBF\xBD");
  CHECK_FALSE(text.stopped());
}

TEST_CASE("text stream: invalid bytes become U+FFFD") {
  const std::string r = "\xEF\xBF\xBD";
  const auto all = [](const std::string& bytes) {
    TextStream text;
    std::string shown = text.push(bytes);
    return shown + text.finish();
  };
  CHECK(all("a\xFF"
            "b") == "a" + r + "b");
  CHECK(all("\x80") == r);
  CHECK(all("\xC3(") == r + "(");
  CHECK(all("\xE2\x82(") == r + "(");       // one for the part of a character
  CHECK(all("\xC0\xAF") == r + r);          // overlong
  CHECK(all("\xE0\x80\xAF") == r + r + r);  // overlong
  CHECK(all("\xED\xA0\x80") == r + r + r);  // a surrogate
  CHECK(all("\xF4\x90\x80\x80") == r + r + r + r);
  CHECK(all("\xF0\x9F\x99") == r);
  CHECK(all(std::string("\0", 1)) == std::string("\0", 1));
  CHECK(all("\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80") == "\xF4\x8F\xBF\xBF\xED\x9F\xBF\xEE\x80\x80");
}

TEST_CASE("text stream: stop strings") {
  TextStream text({"\n\n", "END"});
  CHECK(text.push("one\n") == "one");
  CHECK(text.push("two E") == "\ntwo ");
  CHECK(text.push("N") == "");
  CHECK(text.push("N") ==
        "EN"
        "N");
  CHECK_FALSE(text.stopped());
  CHECK(text.push(" xEN") == " x");
  CHECK(text.push("D and more") == "");
  CHECK(text.stopped());
  CHECK(text.push("more") == "");
  CHECK(text.finish() == "");

  TextStream held({"abcd"});
  CHECK(held.push("xabc") == "x");
  CHECK(held.finish() == "abc");

  TextStream both({"abcd", "bc"});  // the one that is complete first
  CHECK(both.push("zabcd") == "za");
  CHECK(both.stopped());
  TextStream same_end({"bc", "abc"});
  CHECK(same_end.push("zabc") == "z");

  TextStream accents({"é"});
  CHECK(accents.push("caf\xC3") == "caf");
  CHECK(accents.push("\xA9") == "");
  CHECK(accents.stopped());
}

TEST_CASE("text stream: stop strings must be able to occur") {
  CHECK_THROWS_AS(TextStream({""}), Error);
  CHECK_THROWS_AS(TextStream({"a", "\xFF"}), Error);
  CHECK_NOTHROW(TextStream(std::vector<std::string>()));
}

TEST_CASE("text stream: how the bytes are cut does not matter") {
  std::mt19937 random(4);
  const std::vector<std::string> parts = {"a", "b", "ab", "\xC3", "\xA9", "é", "€", "\xFF", "\xE2\x82", "🙂"};
  const std::vector<std::vector<std::string>> stop_lists = {{}, {"ab"}, {"aab", "ab"}, {"é", "bé"}, {"aba", "bab"}};
  for (std::size_t round = 0; round < 2000; ++round) {
    std::string bytes;
    while (bytes.size() < 1 + round % 13) bytes += parts[random() % parts.size()];
    const auto& stops = stop_lists[random() % stop_lists.size()];
    CAPTURE(bytes);
    bool stopped_whole = false;
    bool stopped_cut = false;
    const std::string whole = stream(bytes, stops, 0, stopped_whole);
    CHECK(stream(bytes, stops, static_cast<unsigned>(random()), stopped_cut) == whole);
    CHECK(stopped_cut == stopped_whole);
    CHECK(find_invalid_utf8(whole) == whole.size());
    for (const std::string& stop : stops) CHECK(whole.find(stop) == std::string::npos);
  }
}

TEST_CASE("utf-8: all code points and nothing else") {
  using State = ScannedCharacter::State;
  const auto spell = [](unsigned code) {
    std::string text;
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static constexpr unsigned kLead[] = {0, 0xC0, 0xE0, 0xF0};
    text += static_cast<char>(kLead[more] | (code >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
    return text;
  };
  std::size_t wrong = 0;
  for (unsigned code = 0; code < 0x120000; ++code) {
    const std::string text = spell(code);
    const ScannedCharacter scanned = scan_character(text, 0);
    const bool is_character = code < 0x110000 && (code < 0xD800 || code > 0xDFFF);
    wrong += (scanned.state == State::Valid && scanned.size == text.size()) != is_character;
    if (!is_character) continue;
    for (std::size_t size = 1; size < text.size(); ++size) {
      const ScannedCharacter part = scan_character(std::string_view(text).substr(0, size), 0);
      wrong += part.state != State::Incomplete || part.size != size;
    }
  }
  CHECK(wrong == 0);
  CHECK(find_invalid_utf8("") == 0);
  CHECK(find_invalid_utf8("a\xC3\xA9\xC3") == 3);
}

}  // namespace heed
