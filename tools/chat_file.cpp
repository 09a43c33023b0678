#include "tools/chat_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "heed/error.h"
#include "tools/lines.h"

namespace heed::tools {
namespace {

constexpr std::size_t kMaxChatBytes = std::size_t{64} << 20;
constexpr int kDeepestChat = 101;  // the engine takes 100 levels of messages; writing them again recurses

}  // namespace

ChatRequest read_chat_file(const std::string& path) {
  const std::string name = path == "-" ? "standard input" : path;
  const std::string text = path == "-" ? read_stream(stdin, name, kMaxChatBytes) : read_file(path, kMaxChatBytes);
  nlohmann::ordered_json json;
  try {
    json = nlohmann::ordered_json::parse(text, [&](int depth, nlohmann::ordered_json::parse_event_t, const auto&) {
      if (depth > kDeepestChat) throw Error(fmt::format("{}: nests deeper than {} levels", name, kDeepestChat));
      return true;
    });
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(
        fmt::format("{}: is no JSON, wrong at byte {}; expected messages: [{{\"role\": \"user\", \"content\": "
                    "\"Hello\"}}]",
                    name, error.byte));
  } catch (const nlohmann::json::exception& error) {
    throw Error(fmt::format("{}: is no usable JSON: {}", name, error.what()));
  }
  ChatRequest request;
  if (!json.is_object()) {
    request.messages = json.dump();
    return request;
  }
  for (const auto& [key, value] : json.items()) {
    if (key == "messages") {
      request.messages = value.dump();
    } else if (key == "tools") {
      request.tools = value.is_null() ? "" : value.dump();
    } else if (key == "variables") {
      request.variables = value.dump();
    } else if (key == "template" && value.is_string()) {
      request.name = value.get<std::string>();
    } else {
      throw Error(
          fmt::format("{}: '{}' is not known, or not of its kind; expected \"messages\", \"tools\", \"template\" "
                      "(a name) and \"variables\"",
                      name, key.substr(0, 60)));
    }
  }
  if (request.messages.empty()) throw Error(fmt::format("{}: has no \"messages\"", name));
  return request;
}

void write_chat_file(const std::string& path, const nlohmann::ordered_json& messages) {
  const std::string text = messages.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (file == nullptr) throw Error(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  const bool written = std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
  if (!written || std::fclose(file.release()) != 0) {
    throw Error(fmt::format("{}: cannot write: {}", path, std::strerror(errno)));
  }
}

}  // namespace heed::tools
