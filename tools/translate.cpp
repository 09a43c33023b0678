// heed translate: one line in, one line out. Standard output carries the translations and nothing else.
#include "heed/translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "file/output_file.h"
#include "formats/alignment.h"
#include "formats/attention_file.h"
#include "heed/error.h"
#include "tools/interrupt.h"
#include "tools/lines.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"
#include "tools/prompts.h"
#include "tools/sampling_options.h"

namespace heed::tools {
namespace {

// What programs that read lines take for the end of one, Python's splitlines() among them.
constexpr std::string_view kLineBreaks[] = {"\r\n", "\n",   "\r",     "\v",     "\f",    "\x1c",
                                            "\x1d", "\x1e", "\u0085", "\u2028", "\u2029"};

struct TranslateArguments {
  std::string model;
  CacheType cache = CacheType::Auto;
  DeviceArguments device;
  std::string text;
  bool has_text = false;
  std::string file;
  std::string tokens;
  bool has_tokens = false;
  std::string prefix_tokens;
  std::string early_stopping;
  TranslationOptions options;
  bool has_n_best = false;
  SamplingArguments sampling;
  std::string alignments;
  bool align_tokens = false;
  std::string attention;
  std::vector<std::size_t> layers;
  std::vector<std::int64_t> heads;
  bool scores = false;
  bool json = false;
};

/// What is translated: lines of text, or the token ids of one.
struct Sources {
  std::vector<std::string> lines;
  std::optional<std::vector<std::int32_t>> tokens;
};

Sources collect_sources(const TranslateArguments& a) {
  const int given = (a.has_text ? 1 : 0) + (a.file.empty() ? 0 : 1) + (a.has_tokens ? 1 : 0);
  if (given > 1) throw Error("TEXT, --file and --tokens exclude each other; give one of them");
  Sources sources;
  if (a.has_tokens) {
    sources.tokens = parse_tokens("--tokens", a.tokens);
  } else if (a.has_text && a.text != "-") {
    sources.lines = {a.text};
    if (a.text.find('\n') != std::string::npos) sources.lines = split_lines(a.text);
  } else if (!a.file.empty()) {
    sources.lines = split_lines(read_file(a.file));
  } else {
    sources.lines = split_lines(read_stream(stdin, "standard input"));
  }
  return sources;
}

EarlyStopping early_stopping_named(const std::string& name) {
  if (name == "yes") return EarlyStopping::AtOnce;
  return name == "never" ? EarlyStopping::Never : EarlyStopping::IfNoBetter;
}

class Translating {
 public:
  explicit Translating(const TranslateArguments& arguments)
      : arguments_(arguments),
        device_(open_device(arguments.device, {arguments.model}, "translation")),
        model_(device_, arguments.model, arguments.cache) {
    note_cache(arguments.cache, model_.cache_type());
    if (!arguments.attention.empty() || !arguments.alignments.empty()) {
      if (model_.attention_layers().empty()) {
        throw Error(fmt::format("{}: the model has no attention over its source", arguments.model));
      }
      check_attention_layers("attention over the source", model_.attention_layers(), arguments.layers, arguments.heads);
    }
  }

  int run(const Sources& sources) {
    const InterruptFlag interrupt;
    TranslationOptions options = arguments_.options;
    options.cancelled = [&] { return interrupt.raised(); };
    Progress progress("translating");
    if (sources.lines.size() > 1) {
      options.progress = [&](std::size_t done, std::size_t total) { progress.update(done, total); };
    }
    // In order, as far as all before are there: what was translated is not lost when a later line fails.
    std::vector<std::vector<Translation>> waiting(sources.tokens ? 1 : sources.lines.size());
    std::size_t written = 0;
    std::size_t tokens = 0;
    options.translated = [&](std::size_t index, const std::vector<Translation>& best) {
      const bool has_end = best.front().ended && best.front().end_token >= 0;  // blank lines have none
      tokens += best.front().tokens.size() + (has_end ? 1 : 0);
      waiting[index] = best;
      for (; written < waiting.size() && !waiting[written].empty(); ++written) {
        progress.hide();
        write_line(sources, waiting[written], written);
        waiting[written] = {Translation()};
      }
    };
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<std::vector<Translation>> made =
        sources.tokens ? model_.translate(std::vector<std::vector<std::int32_t>>{*sources.tokens}, options)
                       : model_.translate(sources.lines, options);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    look_at_attention(sources, made, interrupt);
    const std::string of_all = interrupt.raised() ? fmt::format("{} of ", written) : "";
    write_error(fmt::format("{}: {}{} line{}, {} tokens in {:.3f} s, {:.1f} tokens/s{}\n", device_.info().name, of_all,
                            waiting.size(), waiting.size() == 1 ? "" : "s", tokens, seconds,
                            seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0,
                            options.samples ? fmt::format(", seed {}", options.sampling.seed) : ""));
    return interrupt.raised() ? kExitInterrupted : 0;
  }

 private:
  /// The nodes of attention over the source that --layer names; all where it names none.
  AttentionChoice choice_of(const Attention& attention) const {
    AttentionChoice choice{{}, arguments_.heads};
    std::vector<std::size_t> layers;
    for (std::size_t i = 0; i < attention.nodes.size(); ++i) {
      if (attention.nodes[i].kind == AttentionKind::Cross) layers.push_back(i);
    }
    for (const std::size_t layer : arguments_.layers) choice.nodes.push_back(layers.at(layer));
    return choice;
  }

  /// Runs what was translated through the model once more, to see what it looked at.
  void look_at_attention(const Sources& sources, const std::vector<std::vector<Translation>>& made,
                         const InterruptFlag& interrupt) {
    if (arguments_.alignments.empty() && arguments_.attention.empty()) return;
    const AlignmentUnit unit =
        arguments_.align_tokens || !model_.has_tokenizer() ? AlignmentUnit::Tokens : AlignmentUnit::Words;
    std::string alignments;
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (interrupt.raised()) {
        if (i == 0) say_not_written(arguments_.attention);
        say_not_written(arguments_.alignments);
        return;
      }
      if (!made[i].front().tokens.empty()) {
        const std::vector<std::int32_t> tokens =
            sources.tokens ? *sources.tokens : model_.tokenize(sources.lines[i], arguments_.options);
        // With all nodes: a page lets one choose among them.
        const Attention attention =
            model_.explain(tokens, made[i].front(), arguments_.options, !arguments_.attention.empty());
        if (!arguments_.alignments.empty()) alignments += pharaoh_pairs(attention, choice_of(attention), unit);
        if (!arguments_.attention.empty()) write_attention(arguments_.attention, attention, choice_of(attention));
      } else if (!arguments_.attention.empty()) {
        throw Error("the line or its translation is empty: there is no attention to show");
      }
      alignments += "\n";
    }
    if (arguments_.alignments.empty()) return;
    OutputFile file(arguments_.alignments);
    file.append(std::as_bytes(std::span(alignments)));
    file.commit();
  }

  bool shows_ids() const { return arguments_.has_tokens || !model_.has_tokenizer(); }
  /// One line, whatever the text: what breaks lines becomes a space.
  std::string shown(const Translation& made) const {
    if (shows_ids()) return tokens_text(made.tokens);
    std::string text;
    for (std::size_t at = 0; at < made.text.size();) {
      const std::string_view rest = std::string_view(made.text).substr(at);
      const auto* const found =
          std::ranges::find_if(kLineBreaks, [&](std::string_view mark) { return rest.starts_with(mark); });
      const bool breaks = found != std::end(kLineBreaks);
      text += breaks ? ' ' : made.text[at];
      at += breaks ? found->size() : 1;
    }
    return text;
  }

  void write_line(const Sources& sources, const std::vector<Translation>& best, std::size_t index) const {
    if (arguments_.json) return write_output(json_line(sources, best, index));
    for (const Translation& one : best) write_output(line(one, index));
  }

  std::string line(const Translation& made, std::size_t index) const {
    if (arguments_.options.n_best > 1) return fmt::format("{} ||| {} ||| {:.6f}\n", index, shown(made), made.score);
    if (arguments_.scores) return fmt::format("{:.6f}\t{}\n", made.score, shown(made));
    return shown(made) + "\n";
  }

  std::string json_line(const Sources& sources, const std::vector<Translation>& made, std::size_t index) const {
    nlohmann::json best = nlohmann::json::array();
    for (const Translation& one : made) {
      best.push_back({{"text", one.text}, {"tokens", one.tokens}, {"score", one.score}, {"ended", one.ended}});
    }
    nlohmann::json object = {{"line", index + 1}, {"translations", std::move(best)}};
    if (arguments_.options.samples) object["seed"] = arguments_.options.sampling.seed;
    if (sources.tokens) {
      object["source_tokens"] = *sources.tokens;
    } else {
      object["source"] = sources.lines[index];
    }
    return json_text(object) + "\n";
  }

  const TranslateArguments& arguments_;
  Device device_;
  TranslationModel model_;
};

int run_translate(TranslateArguments& arguments) {
  TranslationOptions& options = arguments.options;
  if (options.samples) {
    arguments.sampling.choose_seed();
    options.sampling = arguments.sampling.sampling;
    if (!arguments.has_n_best) options.n_best = *options.samples;
  } else if (const CLI::Option* const given = arguments.sampling.given()) {
    throw Error(fmt::format("{} says how translations are drawn; give --samples too", given->get_name()));
  }
  if (!arguments.early_stopping.empty()) options.early_stopping = early_stopping_named(arguments.early_stopping);
  if (!arguments.prefix_tokens.empty())
    options.prefix_tokens = parse_tokens("--prefix-tokens", arguments.prefix_tokens);
  if (!arguments.attention.empty()) check_attention_path(arguments.attention);
  if (!arguments.alignments.empty()) check_output_path(arguments.alignments);
  if (!arguments.attention.empty() && arguments.attention == arguments.alignments) {
    throw Error(fmt::format("--attention and --alignments would both be written to {}", arguments.attention));
  }
  const bool shows_attention = !arguments.attention.empty() || !arguments.alignments.empty();
  if (!shows_attention && (!arguments.layers.empty() || !arguments.heads.empty() || arguments.align_tokens)) {
    throw Error(
        "--layer, --head and --align-tokens say what --attention or --alignments writes; give one of these too");
  }
  const Sources sources = collect_sources(arguments);
  if (!arguments.attention.empty() && !sources.tokens && sources.lines.size() != 1) {
    throw Error(fmt::format("--attention shows one line; there are {}", sources.lines.size()));
  }
  return Translating(arguments).run(sources);
}

}  // namespace

void add_translate(Program& program) {
  CLI::App* verb = program.app.add_subcommand("translate", "Translate text, a line at a time");
  verb->footer(
      "Each line of input gives one line of output, in the same order; blank lines stay blank. With --n-best a\n"
      "line gives several: NUMBER ||| TRANSLATION ||| SCORE, lines counted from 0. A line that the model cannot\n"
      "read as a whole is refused before anything is translated. Exit code 130 after Ctrl-C.\n"
      "Samples are printed so too, the most probable first.\n"
      "Examples:\n"
      "  heed translate en-ja.heed \"he plays the guitar .\" --beam 4\n"
      "  heed translate opus-mt-en-de.heed --file book.txt > buch.txt");
  auto arguments = std::make_shared<TranslateArguments>();
  TranslateArguments& a = *arguments;
  TranslationOptions& options = a.options;
  verb->add_option("MODEL", a.model, "A .heed file")->required();
  CLI::Option* text =
      verb->add_option("TEXT", a.text, "The text to translate; '-', or nothing, reads lines from standard input");
  verb->add_option("--file", a.file, "A file of lines")->type_name("FILE");
  CLI::Option* tokens =
      verb->add_option("--tokens", a.tokens,
                       "Token ids instead of text, in and out: 1,15,27,2; begin and end are among them")
          ->type_name("IDS");
  verb->add_option("--beam", options.beams,
                   "Beams of the search, 1 to 32; 1 takes the most probable token (default: the model's, else 4)")
      ->type_name("N");
  const CLI::Option* n_best =
      verb->add_option("--n-best", options.n_best,
                       "The N best translations of each line, at most as many as beams or samples (default: the best, "
                       "or all samples)")
          ->type_name("N");
  verb->add_option(
          "--samples", options.samples,
          "Draw N translations of each line, 1 to 32, by chance, instead of searching for the best; the options "
          "that follow say how")
      ->type_name("N");
  add_sampling_options(*verb, a.sampling);
  verb->add_option(
          "--length-penalty", options.length_penalty,
          "Scores are sums of log probabilities / tokens^P: above 0 favours long ones (default: the model's, else 1)")
      ->type_name("P");
  verb->add_option("--no-repeat-ngram", options.no_repeat_ngram,
                   "No N tokens in a row come twice, N to 64; 0: they may")
      ->type_name("N");
  verb->add_option("--early-stopping", a.early_stopping,
                   "Whether a search ends once it has as many translations as beams: yes; no: when none can improve "
                   "that ended now; never: when none could at any length")
      ->transform(CLI::IsMember({"yes", "no", "never"}))
      ->type_name("WHEN");
  verb->add_option("--max-length", options.max_tokens, "Tokens of a translation, at most, with its end")
      ->transform(integers(1))
      ->type_name("N");
  verb->add_option("--min-length", options.min_tokens, "Tokens of a translation, at least, before its end")
      ->transform(integers(0))
      ->type_name("N");
  verb->add_option("--prefix", options.prefix, "What every translation begins with")->type_name("TEXT");
  verb->add_option("--prefix-tokens", a.prefix_tokens, "The same as token ids")->type_name("IDS");
  verb->add_option("--from", options.from, "The language of the text, where the model has tokens for languages")
      ->type_name("LANG");
  verb->add_option("--to", options.to, "The language to translate into")->type_name("LANG");
  verb->add_option("--batch", options.batch, "Lines that are translated together, at most")
      ->capture_default_str()
      ->transform(integers(1))
      ->type_name("N");
  verb->add_option(
          "--alignments", a.alignments,
          "Write which word of the line each word of its best translation looked at most: a line of pairs 0-0 1-2 "
          "for each, source first")
      ->type_name("FILE");
  verb->add_flag("--align-tokens", a.align_tokens, "Pairs of tokens instead of words");
  verb->add_option("--attention", a.attention,
                   "Write what the model looked at while it translated one line: a heat map (.png), a page to choose "
                   "layers and heads in (.html), or arrays (.npz)")
      ->type_name("OUT");
  const CLI::Option* layer =
      verb->add_option(
              "--layer", a.layers,
              "Which layers of attention over the source are averaged, from 0, but for .npz; repeatable (default: all)")
          ->transform(integers(0, INT32_MAX))
          ->type_name("N")
          ->allow_extra_args(false);
  const CLI::Option* head = verb->add_option("--head", a.heads, "Which heads, but for .npz; repeatable (default: all)")
                                ->transform(integers(0, INT32_MAX))
                                ->type_name("N")
                                ->allow_extra_args(false);
  verb->add_flag("--scores", a.scores, "Print each translation's score and a tab before it");
  verb->add_flag("--json", a.json, "Print a JSON object for each line");
  add_cache_option(*verb, a.cache);
  add_device_option(*verb, a.device);
  let_last_count(*verb, {layer, head});
  verb->callback([&program, arguments, text, tokens, n_best] {
    arguments->has_n_best = n_best->count() > 0;
    arguments->has_text = text->count() > 0;
    arguments->has_tokens = tokens->count() > 0;
    program.run = [arguments] { return run_translate(*arguments); };
  });
}

}  // namespace heed::tools
