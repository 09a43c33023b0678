// heed generate: continues prompts. Standard output carries the continuations and nothing else.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "formats/attention_average.h"
#include "formats/attention_file.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tools/constraint_options.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/prompts.h"
#include "tools/sampling_options.h"

namespace heed::tools {
namespace {

struct GenerateArguments {
  std::string model;
  DeviceArguments device;
  PromptArguments prompt;
  GenerationOptions options;
  std::vector<std::string> stop;
  SamplingArguments sampling;
  ConstraintArguments constraint;
  std::int64_t context = 0;
  CacheType cache = CacheType::Auto;
  std::uint64_t count = 1;
  std::int64_t slots = 1;
  bool special = false;
  std::string attention;
  std::vector<std::size_t> layers;
  std::vector<std::int64_t> heads;
  bool echo = false;
  bool json = false;
};

/// What one run of the program makes, and its statistics.
class Generating {
 public:
  Generating(const GenerateArguments& arguments, const std::vector<Prompt>& prompts)
      : arguments_(arguments),
        prompts_(prompts),
        device_(open_device(arguments.device, {arguments.model}, "text-generation")),
        model_(device_, arguments.model, arguments.context, arguments.cache, arguments.slots) {
    note_cache(arguments.cache, model_.cache_type());
    if (!model_.has_tokenizer() && !arguments.options.stop.empty()) {
      throw Error(fmt::format("{}: --stop needs text, but the model has no tokenizer", arguments.model));
    }
    if (!arguments.attention.empty()) {
      check_attention_layers("the model", model_.attention_layers(), arguments.layers, arguments.heads);
    }
    options_ = arguments.options;
    arguments.sampling.resolve_tokens(model_, options_.sampling);
  }

  int run() {
    const InterruptFlag interrupt;
    const std::uint64_t total = prompts_.size() * arguments_.count;
    if (arguments_.slots > 1) {
      make_together(interrupt);
      return finish(interrupt);
    }
    std::uint64_t number = 0;
    for (std::size_t prompt = 0; prompt < prompts_.size() && !interrupt.raised(); ++prompt) {
      for (std::uint64_t i = 0; i < arguments_.count && !interrupt.raised(); ++i) {
        if (total > 1) start_next(++number, total);
        make_one(prompts_[prompt], i, interrupt);
      }
    }
    return finish(interrupt);
  }

 private:
  int finish(const InterruptFlag& interrupt) const {
    if (!arguments_.json && output_is_terminal()) write_output("\n");
    if (interrupt.raised() && !shown_) say_not_written(arguments_.attention);
    write_error(statistics());
    return interrupt.raised() ? kExitInterrupted : 0;
  }

  // Continuations are a newline apart, so that one alone is exactly what standard output holds.
  void start_next(std::uint64_t number, std::uint64_t total) {
    if (arguments_.json) return;
    if (number > 1) write_output("\n");
    write_error(fmt::format("--- {}/{}\n", number, total));
  }

  GenerationOptions options_of(const Prompt& prompt, std::uint64_t index, const InterruptFlag& interrupt) const {
    GenerationOptions options = options_;
    options.sampling.seed += index;  // so that each can be had alone
    options.cancelled = [&] { return interrupt.raised(); };
    if (const auto* chat = std::get_if<ChatRequest>(&prompt.content)) options.end = model_.chat_end_tokens(*chat);
    options.constraint = arguments_.constraint.make(model_, options.end);
    return options;
  }

  bool streams() const { return model_.has_tokenizer() && !arguments_.json; }

  std::string text_of(const Prompt& prompt) const { return read(prompt).first; }

  /// Several at a time. They are shown one after the other all the same: the first that is not whole as it comes, and
  /// what comes of others meanwhile when it is their turn.
  void make_together(const InterruptFlag& interrupt) {
    std::vector<TextRequest> requests;
    std::vector<const Prompt*> prompt_of;
    for (const Prompt& prompt : prompts_) {
      std::vector<std::int32_t> tokens;
      try {
        tokens = read(prompt).second;
      } catch (const Error& error) {
        if (prompt.where.empty()) throw;
        throw Error(fmt::format("{}: {}", prompt.where, error.what()));
      }
      for (std::uint64_t i = 0; i < arguments_.count; ++i) {
        requests.push_back({tokens, options_of(prompt, i, interrupt)});
        prompt_of.push_back(&prompt);
      }
    }
    std::size_t turn = 0;
    bool begun = false;
    std::vector<std::string> waiting(requests.size());
    std::vector<std::optional<Generation>> whole(requests.size());
    const auto show = [&](std::size_t i) {
      if (!std::exchange(begun, true)) {
        if (requests.size() > 1) start_next(i + 1, requests.size());
        if (arguments_.echo && streams()) write_output(text_of(*prompt_of[i]));
      }
      write_output(std::exchange(waiting[i], {}));
    };
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!streams()) continue;
      requests[i].on_text = [&, i](std::string_view piece) {
        waiting[i] += piece;
        if (i == turn) show(i);
      };
    }
    const auto begin = std::chrono::steady_clock::now();
    try {
      model_.generate_many(requests, [&](std::size_t i, const Generation& made) {
        whole[i] = made;
        for (; turn < whole.size() && whole[turn]; ++turn, begun = false) {
          const bool never_began = whole[turn]->reason == StopReason::Cancelled && whole[turn]->tokens.empty();
          if (never_began && !begun) continue;
          show(turn);
          report(*whole[turn], text_of(*prompt_of[turn]), requests[turn].options);
        }
        if (turn < whole.size() && !waiting[turn].empty()) show(turn);
      });
    } catch (const RequestError& error) {
      const std::string& where = prompt_of[error.request()]->where;
      if (where.empty()) throw;
      throw Error(fmt::format("{}: {}", where, error.what()));
    }
    seconds_together_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!arguments_.attention.empty() && !interrupt.raised()) show_attention(*whole.front(), interrupt);
  }

  void make_one(const Prompt& prompt, std::uint64_t index, const InterruptFlag& interrupt) {
    const GenerationOptions options = options_of(prompt, index, interrupt);
    bool begun = false;
    // What goes wrong before the first token is told of the prompt, where that is one of many.
    const auto of_prompt = [&](const auto& action) {
      try {
        return action();
      } catch (const Error& error) {
        if (prompt.where.empty() || begun) throw;
        throw Error(fmt::format("{}: {}", prompt.where, error.what()));
      }
    };
    const std::vector<std::int32_t> tokens = of_prompt([&] { return read(prompt).second; });
    const auto begin = [&] {
      if (!std::exchange(begun, true) && arguments_.echo && streams()) write_output(text_of(prompt));
    };

    // The echo waits for the first token, so that a prompt that is refused leaves standard output empty.
    const Generation made = of_prompt([&] {
      const EndLineOnError end_line(begun);
      return model_.generate(tokens, options, [&](std::string_view piece) {
        begin();
        if (streams()) write_output(piece);
      });
    });
    begin();
    report(made, text_of(prompt), options);
    if (!arguments_.attention.empty() && !interrupt.raised()) show_attention(made, interrupt);
  }

  /// Writes what was not written as it came, and counts.
  void report(const Generation& made, const std::string& prompt, const GenerationOptions& options) {
    if (arguments_.json) {
      write_output(json_text(describe(made, prompt, options)) + "\n");
    } else if (!streams()) {
      const bool joined = arguments_.echo && !made.tokens.empty();
      write_output((arguments_.echo ? tokens_text(made.prompt_tokens) : "") + (joined ? "," : "") +
                   tokens_text(made.tokens));
    }
    tokens_ += made.tokens.size();
    prompt_tokens_ += made.prompt_tokens.size();
    prompt_seconds_ += made.prompt_seconds;
    generate_seconds_ += made.generate_seconds;
    device_losses_ += made.device_losses;
    context_full_ = context_full_ || made.reason == StopReason::ContextFull;
    if (options.constraint != nullptr && made.reason == StopReason::MaxTokens) {
      write_error(fmt::format("note: {} tokens, as many as -n allows, are no complete text of the grammar or schema\n",
                              made.tokens.size()));
    }
    if (!made.tokens.empty()) steps_ += made.tokens.size() - 1;
  }

  /// What a prompt is as text, and its tokens.
  std::pair<std::string, std::vector<std::int32_t>> read(const Prompt& prompt) const {
    if (const auto* text = std::get_if<std::string>(&prompt.content)) {
      return {*text, model_.tokenize(*text, arguments_.special)};
    }
    if (const auto* chat = std::get_if<ChatRequest>(&prompt.content)) {
      ChatRequest request = *chat;
      request.specials_in_messages = arguments_.special;
      return {model_.chat_text(request), model_.chat_tokens(request)};
    }
    const auto& tokens = std::get<std::vector<std::int32_t>>(prompt.content);
    return {model_.detokenize(tokens), tokens};
  }

  void show_attention(const Generation& made, const InterruptFlag& interrupt) {
    std::vector<std::int32_t> tokens = made.prompt_tokens;
    tokens.insert(tokens.end(), made.tokens.begin(), made.tokens.end());
    const std::optional<Attention> attention =
        model_.explain(tokens, arguments_.layers, [&] { return interrupt.raised(); });
    if (!attention) return;
    write_attention(arguments_.attention, *attention, {{}, arguments_.heads});
    shown_ = true;
  }

  /// Tokens a second; nothing where no step was measured.
  static std::optional<double> rate(std::size_t steps, double seconds) {
    if (steps == 0 || seconds <= 0) return {};
    return static_cast<double>(steps) / seconds;
  }

  nlohmann::json describe(const Generation& made, const std::string& prompt, const GenerationOptions& options) const {
    const std::size_t steps = made.tokens.empty() ? 0 : made.tokens.size() - 1;
    const std::optional<double> speed = rate(steps, made.generate_seconds);
    nlohmann::json object = {{"prompt", prompt},
                             {"prompt_tokens", made.prompt_tokens},
                             {"text", made.text},
                             {"tokens", made.tokens},
                             {"seed", options.sampling.seed},
                             {"stop_reason", stop_reason_name(made.reason)},
                             {"prompt_seconds", made.prompt_seconds},
                             {"generate_seconds", made.generate_seconds},
                             {"device_losses", made.device_losses},
                             {"generated_tokens_per_second", speed ? nlohmann::json(*speed) : nlohmann::json()},
                             {"device", device_.info().name},
                             {"driver", device_.info().driver},
                             {"cache", cache_type_name(model_.cache_type())},
                             {"model", arguments_.model}};
    if (options.logprobs) object["logprobs"] = describe_logprobs(made);
    return object;
  }

  nlohmann::json describe_logprobs(const Generation& made) const {
    const auto describe_one = [&](std::int32_t token, float logprob) {
      return nlohmann::json{{"token", token}, {"text", model_.token_text(token)}, {"logprob", logprob}};
    };
    nlohmann::json tokens = nlohmann::json::array();
    for (std::size_t i = 0; i < made.tokens.size(); ++i) {
      nlohmann::json token = describe_one(made.tokens[i], made.logprobs[i].logprob);
      token["top"] = nlohmann::json::array();
      for (const TokenLogprobs::Choice& choice : made.logprobs[i].best) {
        token["top"].push_back(describe_one(choice.token, choice.logprob));
      }
      tokens.push_back(std::move(token));
    }
    return tokens;
  }

  std::string statistics() const {
    const auto plural = [](std::size_t count) { return count == 1 ? "" : "s"; };
    std::string line;
    if (seconds_together_) {
      line = fmt::format("{}: {} at a time, {} prompt token{} and {} token{} in {:.3f} s", device_.info().name,
                         arguments_.slots, prompt_tokens_, plural(prompt_tokens_), tokens_, plural(tokens_),
                         *seconds_together_);
      if (const auto speed = rate(tokens_, *seconds_together_)) line += fmt::format(", {:.1f} tokens/s", *speed);
    } else {
      line = fmt::format("{}: {} prompt token{} in {:.3f} s, {} token{}", device_.info().name, prompt_tokens_,
                         plural(prompt_tokens_), prompt_seconds_, tokens_, plural(tokens_));
      if (const auto speed = rate(steps_, generate_seconds_)) line += fmt::format(", {:.1f} tokens/s", *speed);
    }
    if (arguments_.options.sampling.temperature > 0) line += fmt::format(", seed {}", arguments_.options.sampling.seed);
    if (context_full_) line += fmt::format("; stopped where the context of {} tokens is full", model_.context());
    if (device_losses_ > 0) {
      line += fmt::format("; the device was lost and opened again {} time{}", device_losses_,
                          plural(static_cast<std::size_t>(device_losses_)));
    }
    return line + "\n";
  }

  const GenerateArguments& arguments_;
  const std::vector<Prompt>& prompts_;
  Device device_;
  TextModel model_;
  GenerationOptions options_;  // with tokens of the model
  std::size_t prompt_tokens_ = 0;
  std::size_t tokens_ = 0;
  std::size_t steps_ = 0;  // tokens but the first of each, which comes with the prompt
  double prompt_seconds_ = 0;
  double generate_seconds_ = 0;
  int device_losses_ = 0;
  bool context_full_ = false;
  bool shown_ = false;                      // --attention is written
  std::optional<double> seconds_together_;  // of all, where several go on at a time
};

int run_generate(GenerateArguments& arguments) {
  for (const std::string& stop : arguments.stop) {
    if (stop.empty()) throw Error("--stop: the text is empty; every text would end at once");
    arguments.options.stop.push_back(unescape(stop));
  }
  if (arguments.options.logprobs && !arguments.json) {
    throw Error("--logprobs stands in what --json prints; give that too");
  }
  arguments.sampling.choose_seed();
  arguments.options.sampling = arguments.sampling.sampling;
  arguments.options.sampling.check();
  arguments.constraint.read();
  if (!arguments.attention.empty()) check_attention_path(arguments.attention);
  if (arguments.attention.empty() && (!arguments.layers.empty() || !arguments.heads.empty())) {
    throw Error("--layer and --head say what --attention writes; give that too");
  }
  const std::vector<Prompt> prompts = collect_prompts(arguments.prompt);
  if (!arguments.attention.empty() && prompts.size() * arguments.count != 1) {
    throw Error(fmt::format("--attention shows one continuation; {} were asked for", prompts.size() * arguments.count));
  }
  return Generating(arguments, prompts).run();
}

}  // namespace

void add_generate(Program& program) {
  CLI::App* verb = program.app.add_subcommand("generate", "Continue a text");
  verb->footer(
      "Standard output carries the continuation and nothing else, token ids where a model has no tokenizer; several "
      "are\n"
      "a newline apart. Of an option given twice the last counts. Exit code 130 after Ctrl-C.\n"
      "Examples:\n"
      "  heed generate stories.heed \"Once upon a time\" -n 200 --seed 7\n"
      "  heed generate stories.heed --prompts prompts.txt --temperature 0 --json > results.jsonl");
  auto arguments = std::make_shared<GenerateArguments>();
  GenerateArguments& a = *arguments;
  verb->add_option("MODEL", a.model, "A .heed file")->required();
  CLI::Option* prompt =
      verb->add_option("PROMPT", a.prompt.text,
                       "The text to continue; '-', or nothing, reads it from standard input, less a final newline");
  verb->add_option("--prompts", a.prompt.file, "A file of prompts, one a line; blank lines are skipped")
      ->type_name("FILE");
  verb->add_option(
          "--chat", a.prompt.chat,
          "A JSON file of messages, [{\"role\": \"user\", \"content\": \"Hello\"}], or an object with \"messages\" "
          "and \"tools\"; the model's chat template makes the prompt. '-' reads standard input")
      ->type_name("FILE");
  verb->add_flag("--special", a.special,
                 "Special tokens that a prompt spells, such as </s>, are those tokens; otherwise they are text");
  CLI::Option* tokens =
      verb->add_option("--tokens", a.prompt.tokens, "Token ids instead of text: 1,15,27")->type_name("IDS");
  verb->add_option("-n,--max-tokens", a.options.max_tokens, "How many tokens to make at most")
      ->capture_default_str()
      ->transform(integers(1))
      ->type_name("N");
  std::vector<const CLI::Option*> repeatable = add_text_sampling_options(*verb, a.sampling);
  add_constraint_options(*verb, a.constraint);
  verb->add_option("--logprobs", a.options.logprobs,
                   "With --json: log probabilities of each token and of so many of the best, to 20")
      ->transform(integers(0, kMostLogprobs))
      ->type_name("N");
  CLI::Option* stop = verb->add_option("--stop", a.stop, "End before this text; \\n and \\t are understood; repeatable")
                          ->type_name("TEXT")
                          ->allow_extra_args(false);
  verb->add_option("--count", a.count, "How many continuations of each prompt; number i has seed + i, from 0")
      ->capture_default_str()
      ->transform(integers(1))
      ->type_name("N");
  verb->add_option("--context", a.context, "Keep at most this many tokens (default: the model's own)")
      ->transform(integers(1))
      ->type_name("N");
  verb->add_option(
          "--slots", a.slots,
          "How many continuations to make at a time, for --prompts and --count: they share each reading of the "
          "weights. Texts are the same with any number from 2 on")
      ->capture_default_str()
      ->transform(integers(1))
      ->type_name("N");
  add_cache_option(*verb, a.cache);
  verb->add_option("--attention", a.attention,
                   "Write what each token looked at, of the prompt and of what was made: a heat map (.png), a page to "
                   "choose layers and heads in (.html), or arrays (.npz)")
      ->type_name("OUT");
  const CLI::Option* layer =
      verb->add_option("--layer", a.layers, "Which layers it shows, from 0; repeatable (default: all)")
          ->transform(integers(0, INT32_MAX))
          ->type_name("N")
          ->allow_extra_args(false);
  const CLI::Option* head =
      verb->add_option("--head", a.heads, "Which heads are averaged, in .png and .html; repeatable (default: all)")
          ->transform(integers(0, INT32_MAX))
          ->type_name("N")
          ->allow_extra_args(false);
  verb->add_flag("--echo", a.echo, "Print the prompt before its continuation");
  verb->add_flag("--json", a.json, "Print a JSON object for each continuation, a line each");
  add_device_option(*verb, a.device);
  repeatable.insert(repeatable.end(), {stop, layer, head});
  let_last_count(*verb, repeatable);
  verb->callback([&program, arguments, prompt, tokens, stop] {
    arguments->prompt.has_text = prompt->count() > 0;
    arguments->prompt.has_tokens = tokens->count() > 0;
    arguments->stop = stop->results();  // as typed: "[a]" and "{}" are texts, not lists
    program.run = [arguments] { return run_generate(*arguments); };
  });
}

}  // namespace heed::tools
