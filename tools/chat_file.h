#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "heed/chat.h"

namespace heed::tools {

/// A chat of a JSON file, "-" for standard input: an array of messages, or an object with "messages" and perhaps
/// "tools", "template" (the name of one) and "variables". Throws Error, naming the file, for anything else.
ChatRequest read_chat_file(const std::string& path);

/// Writes messages so that read_chat_file() reads them. Throws Error naming the file.
void write_chat_file(const std::string& path, const nlohmann::ordered_json& messages);

}  // namespace heed::tools
