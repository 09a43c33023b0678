// heed chat: a conversation with a model, on a terminal or line by line. Standard output carries the answers.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "heed/error.h"
#include "heed/text.h"
#include "tools/chat_file.h"
#include "tools/constraint_options.h"
#include "tools/interrupt.h"
#include "tools/line_editor.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/sampling_options.h"

namespace heed::tools {
namespace {

struct ChatArguments {
  std::string model;
  DeviceArguments device;
  std::string system;
  std::string load;
  GenerationOptions options;
  SamplingArguments sampling;
  ConstraintArguments constraint;
  std::int64_t context = 0;
  CacheType cache = CacheType::Auto;
};

constexpr std::string_view kHelp =
    "/system TEXT  say what the model should be; alone: show it\n"
    "/reset        forget what was said, but not the system text\n"
    "/save FILE    write the messages, as heed generate --chat and heed chat --load read them\n"
    "/help         this\n"
    "/quit         leave, as the end of the input does\n"
    "A line that ends with \\ goes on in the next; so does all between two lines \"\"\". //TEXT says /TEXT.\n"
    "Ctrl-C ends an answer, and what there is of it stays; at the prompt it leaves.\n";

class Chat {
 public:
  explicit Chat(const ChatArguments& arguments)
      : device_(open_device(arguments.device, {arguments.model}, "text-generation")),
        model_(device_, arguments.model, arguments.context, arguments.cache) {
    note_cache(arguments.cache, model_.cache_type());
    options_ = arguments.options;
    arguments.sampling.resolve_tokens(model_, options_.sampling);
    constraint_ = arguments.constraint;
    if (!arguments.load.empty()) request_ = read_chat_file(arguments.load);
    if (!request_.messages.empty()) messages_ = nlohmann::ordered_json::parse(request_.messages);
    check_messages(arguments.load);
    options_.end = model_.chat_end_tokens(request_);
    constraint_.make(model_, options_.end);  // what is wrong with it is said before anything is asked
    if (!arguments.system.empty()) set_system(arguments.system);
  }

  int run() {
    if (editor_.is_terminal()) write_error("/help lists what can be said to heed itself; /quit leaves\n");
    while (std::optional<std::string> text = read_input()) {
      if (text->find_first_not_of(" \t\n") == std::string::npos) continue;
      try {
        if (text->starts_with("//")) {
          answer(text->substr(1));
        } else if (text->starts_with('/')) {
          if (!command(*text)) break;
        } else {
          answer(*text);
        }
      } catch (const DeviceLost&) {
        throw;
      } catch (const Error& error) {
        // The chat is as it was before; a script sees at its end that something went wrong.
        write_error(fmt::format("heed: {}\n", error.what()));
        failed_ = true;
      }
    }
    return failed_ && !editor_.is_terminal() ? kExitError : 0;
  }

 private:
  /// A line, or several as kHelp says; nothing at the end of the input.
  std::optional<std::string> read_input() {
    std::optional<std::string> line = editor_.read("> ");
    if (!line) return {};
    if (*line == "\"\"\"") {
      std::string text;
      while ((line = editor_.read(". ")) && *line != "\"\"\"") text += (text.empty() ? "" : "\n") + *line;
      return text;
    }
    std::string text = *line;
    while (text.ends_with('\\')) {
      text.back() = '\n';
      line = editor_.read(". ");
      if (!line) break;
      text += *line;
    }
    return text;
  }

  /// False where it is /quit.
  bool command(const std::string& text) {
    const std::size_t space = text.find_first_of(" \t\n");
    const std::string name = text.substr(0, space);
    const std::size_t begin = text.find_first_not_of(" \t\n", std::min(space, text.size()));
    const std::string rest = begin == std::string::npos ? "" : text.substr(begin);
    if (name == "/quit" || name == "/exit" || name == "/bye") return false;
    if (name == "/help" || name == "/?") {
      write_error(kHelp);
    } else if (name == "/system") {
      if (!rest.empty()) {
        set_system(rest);
      } else {
        const bool has_text = has_system() && messages_[0].contains("content");
        write_error(has_text ? messages_[0]["content"].dump() + "\n" : "there is no system text\n");
      }
    } else if (name == "/reset") {
      if (has_system()) {
        messages_ = nlohmann::ordered_json::array({messages_[0]});
      } else {
        messages_ = nlohmann::ordered_json::array();
      }
    } else if (name == "/save") {
      if (rest.empty()) throw Error("/save: a file is expected, as in /save chat.json");
      write_chat_file(rest, messages_);
      write_error(fmt::format("{}: {} messages\n", rest, messages_.size()));
    } else {
      throw Error(fmt::format("there is no {}; /help lists what there is, and //TEXT says /TEXT to the model", name));
    }
    return true;
  }

  /// Throws Error where what --load gave are no messages.
  void check_messages(const std::string& file) const {
    if (!messages_.is_array()) throw Error(fmt::format("{}: its messages are no array", file));
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      const nlohmann::ordered_json& message = messages_[i];
      if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
        throw Error(fmt::format("{}: message {} is no object with a \"role\", a text", file, i + 1));
      }
    }
  }

  bool has_system() const { return !messages_.empty() && messages_[0]["role"] == "system"; }

  void set_system(const std::string& text) {
    const nlohmann::ordered_json message = {{"role", "system"}, {"content", text}};
    if (has_system()) {
      messages_[0] = message;
    } else {
      messages_.insert(messages_.begin(), message);
    }
  }

  /// Says something to the model and prints what it answers. Throws Error where it cannot; nothing was said then.
  void answer(const std::string& text) {
    nlohmann::ordered_json messages = messages_;
    messages.push_back({{"role", "user"}, {"content", text}});
    try {
      request_.messages = messages.dump();
    } catch (const nlohmann::json::exception&) {
      throw Error("the text is not valid UTF-8");
    }
    const std::vector<std::int32_t> tokens = model_.chat_tokens(request_);
    if (static_cast<std::int64_t>(tokens.size()) >= model_.context()) {
      throw Error(
          fmt::format("the chat has {} tokens with this, and the context holds {}: there is no room for an answer; "
                      "say less, or begin anew with /reset",
                      tokens.size(), model_.context()));
    }
    GenerationOptions options = options_;
    options.sampling.seed += answers_;
    options.constraint = constraint_.make(model_, options.end);
    Generation made;
    {
      const InterruptFlag interrupt;
      options.cancelled = [&] { return interrupt.raised(); };
      bool begun = false;
      const EndLineOnError end_line(begun);
      made = model_.generate(tokens, options, [&](std::string_view piece) {
        begun = true;
        write_output(piece);
      });
    }
    write_output("\n");
    ++answers_;
    if (made.reason == StopReason::ContextFull) {
      write_error(fmt::format("the answer ends here since the context of {} tokens is full; /reset begins anew\n",
                              model_.context()));
    } else if (made.reason == StopReason::MaxTokens) {
      write_error(fmt::format("the answer ends here after {} tokens, as -n says\n", made.tokens.size()));
    } else if (made.reason == StopReason::Cancelled && made.tokens.empty()) {
      write_error("nothing was answered; the chat is as it was before\n");
      return;
    }
    messages.push_back({{"role", "assistant"}, {"content", made.text}});
    messages_ = std::move(messages);
  }

  LineEditor editor_;
  Device device_;
  TextModel model_;
  GenerationOptions options_;
  ConstraintArguments constraint_;
  ChatRequest request_;
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
  std::uint64_t answers_ = 0;
  bool failed_ = false;
};

int run_chat(ChatArguments& arguments) {
  arguments.sampling.choose_seed();
  arguments.options.sampling = arguments.sampling.sampling;
  arguments.options.sampling.check();
  arguments.constraint.read();
  return Chat(arguments).run();
}

}  // namespace

void add_chat(Program& program) {
  CLI::App* verb = program.app.add_subcommand("chat", "Talk with a model");
  verb->footer(
      "Reads lines from a terminal, or from standard input, an answer for each; /help tells more.\n"
      "Example:\n"
      "  heed chat qwen.heed --system \"You are a patient teacher.\" --temperature 0.6");
  auto arguments = std::make_shared<ChatArguments>();
  ChatArguments& a = *arguments;
  a.options.max_tokens = INT64_MAX;
  verb->add_option("MODEL", a.model, "A .heed file whose model has a chat template")->required();
  verb->add_option("--system", a.system, "What the model should be, before the first message")->type_name("TEXT");
  verb->add_option("--load", a.load, "Go on with messages of a file, as /save writes it")->type_name("FILE");
  verb->add_option("-n,--max-tokens", a.options.max_tokens,
                   "How many tokens an answer has at most (default: no limit but the context)")
      ->transform(integers(1))
      ->type_name("N");
  const std::vector<const CLI::Option*> repeatable = add_text_sampling_options(*verb, a.sampling);
  add_constraint_options(*verb, a.constraint);
  verb->add_option("--context", a.context, "Keep at most this many tokens (default: the model's own)")
      ->transform(integers(1))
      ->type_name("N");
  add_cache_option(*verb, a.cache);
  add_device_option(*verb, a.device);
  let_last_count(*verb, repeatable);
  verb->callback([&program, arguments] { program.run = [arguments] { return run_chat(*arguments); }; });
}

}  // namespace heed::tools
