#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "file/model_file.h"
#include "generate/attention_weights.h"
#include "generate/metadata.h"
#include "generate/sampling_options.h"
#include "generate/translation/session.h"
#include "heed/error.h"
#include "heed/translate.h"
#include "tokenizer/open.h"
#include "tokenizer/tokenizer.h"

namespace heed {
namespace {

using Tokens = std::vector<std::int32_t>;

/// Ids that stand around a source and before a translation, of one language.
struct Language {
  Tokens source_before, source_after, target_begin;
};

std::map<std::string, Language> languages_of(const ModelFile& file, const TranslationSession& session) {
  std::map<std::string, Language> languages;
  const auto found = file.metadata().find("languages");
  if (found == file.metadata().end()) return languages;
  if (!found->is_object()) {
    throw Error(fmt::format("{}: metadata 'languages' is no object; convert the model again", file.path().string()));
  }
  for (auto entry = found->begin(); entry != found->end(); ++entry) {
    const auto ids = [&](const char* key, std::int64_t vocabulary) {
      if (!entry.value().is_object() || !entry.value().contains(key)) return Tokens();
      return token_ids(file, fmt::format("languages.{}.{}", entry.key(), key), entry.value().at(key), vocabulary);
    };
    languages[entry.key()] = {ids("source_before", session.source_vocabulary()),
                              ids("source_after", session.source_vocabulary()),
                              ids("target_begin", session.vocabulary())};
  }
  return languages;
}

/// What the file says of the search; absent keys have the defaults of TranslationOptions.
struct SearchDefaults {
  int beams = 4;
  double length_penalty = 1.0;
  EarlyStopping early_stopping = EarlyStopping::IfNoBetter;
  int no_repeat_ngram = 0;
  std::int64_t max_tokens = 0;  // 0: as many as the model takes
  std::int64_t min_tokens = 0;
  double repetition_penalty = 1.0;
  bool renormalise = false;

  static SearchDefaults of(const ModelFile& file) {
    SearchDefaults d;
    const nlohmann::json search = file.metadata().value("search", nlohmann::json::object());
    try {
      d.beams = search.value("beam", d.beams);
      d.length_penalty = search.value("length_penalty", d.length_penalty);
      d.no_repeat_ngram = search.value("no_repeat_ngram", 0);
      d.max_tokens = search.value("max_length", std::int64_t{0});
      d.min_tokens = search.value("min_length", std::int64_t{0});
      d.renormalise = search.value("renormalize", false);
      const nlohmann::json early = search.value("early_stopping", nlohmann::json(false));
      d.early_stopping = early == "never" ? EarlyStopping::Never
                         : early == true  ? EarlyStopping::AtOnce
                                          : EarlyStopping::IfNoBetter;
      d.repetition_penalty = search.value("repetition_penalty", 1.0);
      if (!(d.repetition_penalty >= 1.0)) {
        throw Error(fmt::format("{}: its search asks for a repetition penalty of {}, expected 1 (none) or more",
                                file.path().string(), d.repetition_penalty));
      }
    } catch (const nlohmann::json::exception& error) {
      throw Error(fmt::format("{}: metadata 'search' is not as it should be ({}); convert the model again",
                              file.path().string(), error.what()));
    }
    return d;
  }
};

constexpr std::size_t kBatchesOfAWindow = 32;  // within which sentences are sorted by length

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos; }

}  // namespace

struct TranslationModel::State {
  State(const Device& opened, const std::filesystem::path& path, CacheType cache)
      : device(opened),
        file(ModelFile::open(path)),
        session(device.gpu(), file, cache),
        defaults(SearchDefaults::of(file)),
        languages(languages_of(file, session)),
        source_tokenizer(open_tokenizer(file, TokenizerRole::Source)),
        target_tokenizer(open_tokenizer(file, TokenizerRole::Target)) {
    const auto check = [&](const std::unique_ptr<Tokenizer>& tokenizer, std::int64_t vocabulary, const char* side) {
      if (tokenizer == nullptr || static_cast<std::int64_t>(tokenizer->vocabulary_size()) <= vocabulary) return;
      throw Error(fmt::format("{}: the tokenizer of the {} has {} tokens, the model only {}", path.string(), side,
                              tokenizer->vocabulary_size(), vocabulary));
    };
    check(source_tokenizer, session.source_vocabulary(), "source");
    check(target_tokenizer, session.vocabulary(), "translation");
  }

  const Language* language(const std::string& code) const;
  Tokens encode(std::string_view text, const TranslationOptions& options) const;
  /// What every translation begins with: the first token, and those that are forced after it.
  std::pair<std::int32_t, Tokens> beginning(const TranslationOptions& options) const;
  ops::SearchOptions beam_options(const TranslationOptions& options) const;
  SearchKind search_kind(const TranslationOptions& options) const;
  /// Whether a token of a vocabulary is no part of a text: the beginning, the end, a language.
  bool is_special(const Tokenizer* tokenizer, std::int32_t token) const;
  std::string text_of(const Tokens& tokens) const {
    return target_tokenizer == nullptr ? std::string() : target_tokenizer->decode(tokens);
  }

  Device device;
  ModelFile file;
  TranslationSession session;
  SearchDefaults defaults;
  std::map<std::string, Language> languages;
  std::unique_ptr<Tokenizer> source_tokenizer, target_tokenizer;
};

const Language* TranslationModel::State::language(const std::string& code) const {
  const auto found = languages.find(code);
  if (found != languages.end()) return &found->second;
  if (languages.empty()) return nullptr;  // the tokenizer may have some
  std::string known;
  for (const auto& [name, ids] : languages) known += (known.empty() ? "" : ", ") + name;
  throw Error(fmt::format("language '{}': the model does not have it; it has {}", code, known));
}

Tokens TranslationModel::State::encode(std::string_view text, const TranslationOptions& options) const {
  if (source_tokenizer == nullptr) {
    throw Error(fmt::format("{}: the model has no tokenizer; give token ids, or convert it again with its tokenizer",
                            file.path().string()));
  }
  std::string from = options.from;
  if (from.empty()) from = metadata_text(file, "default_from");
  if (!languages.empty() && !from.empty()) {
    const Language& source = *language(from);
    Tokens tokens = source_tokenizer->encode(text, false);
    tokens.insert(tokens.begin(), source.source_before.begin(), source.source_before.end());
    tokens.insert(tokens.end(), source.source_after.begin(), source.source_after.end());
    return tokens;
  }
  if (!options.from.empty()) {
    throw Error(fmt::format("language '{}': the model has no tokens for languages of sources", options.from));
  }
  // Models that are told in the source which language to write.
  if (languages.empty() && !options.to.empty()) {
    return source_tokenizer->encode_for(text, source_tokenizer->language(options.to));
  }
  return source_tokenizer->encode(text);
}

std::pair<std::int32_t, Tokens> TranslationModel::State::beginning(const TranslationOptions& options) const {
  Tokens begin = {session.first_token()};
  std::string to = options.to;
  if (to.empty()) to = metadata_text(file, "default_to");
  if (!languages.empty() && !to.empty()) {
    const Tokens& own = language(to)->target_begin;
    if (!own.empty()) begin = own;
  } else if (!languages.empty() && !session.forces_first()) {
    throw Error(fmt::format("{}: the model writes many languages; say into which (--to), such as '{}'",
                            file.path().string(), languages.begin()->first));
  }
  if (languages.empty() && !options.to.empty() &&
      (source_tokenizer == nullptr || source_tokenizer->languages().empty())) {
    throw Error(fmt::format("language '{}': the model has no tokens that name languages", options.to));
  }
  Tokens prefix = options.prefix_tokens;
  if (!options.prefix.empty()) {
    if (!prefix.empty()) throw Error("a prefix was given as text and as token ids; give one of them");
    if (target_tokenizer == nullptr) throw Error("the prefix is text, but the model has no tokenizer; give token ids");
    prefix = target_tokenizer->encode(options.prefix, false);
    if (const auto unknown = target_tokenizer->unknown_token();
        unknown && std::ranges::find(prefix, *unknown) != prefix.end()) {
      throw Error(fmt::format("the prefix '{}' holds what the model's vocabulary lacks", options.prefix));
    }
  }
  for (const std::int32_t token : prefix) {
    const Tokens& ends = session.end_tokens();
    if (std::ranges::find(ends, token) == ends.end()) continue;
    throw Error(fmt::format("the prefix holds the end token {}, after which nothing can come", token));
  }
  begin.insert(begin.end(), prefix.begin(), prefix.end());
  return {begin.front(), Tokens(begin.begin() + 1, begin.end())};
}

SearchKind TranslationModel::State::search_kind(const TranslationOptions& options) const {
  const char* const what = options.samples ? "samples" : "beams";
  const int ways = options.samples.value_or(options.beams.value_or(defaults.beams));
  if (ways < 1 || ways > ops::kMostBeams) {
    throw Error(fmt::format("{} {} were asked for, expected 1 to {}", ways, what, ops::kMostBeams));
  }
  if (options.n_best < 1 || options.n_best > ways) {
    throw Error(
        fmt::format("the {} best were asked for, expected 1 to the number of {}, {}", options.n_best, what, ways));
  }
  if (!options.samples) return {ways, {}};
  if (options.beams) throw Error("beams and samples were asked for; give one of them");
  if (options.early_stopping) throw Error("early stopping ends a search with beams, but samples were asked for");
  SamplingOptions sampling = options.sampling;
  sampling.check();
  if (const char* const option = text_only_option(sampling)) {
    throw Error(fmt::format("{} was asked for among the options of sampling, which translations do not take", option));
  }
  if (sampling.repetition_penalty == 1.0) sampling.repetition_penalty = defaults.repetition_penalty;
  if (sampling.repetition_penalty < 1.0) {
    throw Error(fmt::format("repetition penalty {}, expected 1 (none) or more", sampling.repetition_penalty));
  }
  sampling.penalty_window = std::numeric_limits<int>::max();
  return {ways, sampling};
}

ops::SearchOptions TranslationModel::State::beam_options(const TranslationOptions& options) const {
  ops::SearchOptions o;
  const std::int64_t most = session.target_context();
  const std::int64_t own = defaults.max_tokens > 0 ? std::min(defaults.max_tokens, most) : most;
  const std::int64_t max_tokens = options.max_tokens.value_or(own);
  if (max_tokens < 1 || max_tokens > most) {
    throw Error(
        fmt::format("translations of at most {} tokens were asked for; the model makes 1 to {}", max_tokens, most));
  }
  const std::int64_t min_tokens = options.min_tokens.value_or(std::min(defaults.min_tokens, max_tokens));
  if (min_tokens < 0 || min_tokens > max_tokens) {
    throw Error(
        fmt::format("translations of at least {} tokens were asked for, expected 0 to {}", min_tokens, max_tokens));
  }
  const int no_repeat = options.no_repeat_ngram.value_or(defaults.no_repeat_ngram);
  if (no_repeat < 0 || no_repeat > ops::SearchOptions::kMostNoRepeat) {
    throw Error(fmt::format("no-repeat n-grams of {} tokens, expected 0 (off) to {}", no_repeat,
                            ops::SearchOptions::kMostNoRepeat));
  }
  const double penalty = options.length_penalty.value_or(defaults.length_penalty);
  if (!std::isfinite(penalty) || std::abs(penalty) > 10.0) {
    throw Error(fmt::format("length penalty {}, expected a number from -10 to 10", penalty));
  }
  if (options.batch < 1) throw Error(fmt::format("batches of {} sentences, expected 1 or more", options.batch));
  o.max_tokens = static_cast<std::int32_t>(max_tokens);
  o.min_tokens = static_cast<std::int32_t>(min_tokens);
  o.no_repeat = no_repeat;
  o.length_penalty = static_cast<float>(penalty);
  o.early_stop = static_cast<std::int32_t>(options.early_stopping.value_or(defaults.early_stopping));
  o.repetition_penalty = static_cast<float>(defaults.repetition_penalty);
  o.renormalise = defaults.renormalise ? 1 : 0;
  return o;
}

bool TranslationModel::State::is_special(const Tokenizer* tokenizer, std::int32_t token) const {
  if (tokenizer == nullptr || static_cast<std::size_t>(token) >= tokenizer->vocabulary_size()) return false;
  for (const auto& [code, id] : tokenizer->languages()) {
    if (id == token) return true;
  }
  // The unknown token may have no text either, but stands for some; and what stands before a source may be text.
  return tokenizer->piece(token).empty() && tokenizer->unknown_token() != token;
}

TranslationModel::TranslationModel(const Device& device, const std::filesystem::path& file, CacheType cache)
    : state_(std::make_unique<State>(device, file, cache)) {}
TranslationModel::~TranslationModel() = default;
TranslationModel::TranslationModel(TranslationModel&&) noexcept = default;
TranslationModel& TranslationModel::operator=(TranslationModel&&) noexcept = default;

CacheType TranslationModel::cache_type() const { return state_->session.cache_type(); }

bool TranslationModel::has_tokenizer() const { return state_->source_tokenizer != nullptr; }

std::vector<std::string> TranslationModel::languages() const {
  std::vector<std::string> codes;
  for (const auto& [code, ids] : state_->languages) codes.push_back(code);
  if (codes.empty() && state_->source_tokenizer != nullptr) {
    for (const auto& [code, id] : state_->source_tokenizer->languages()) codes.push_back(code);
  }
  return codes;
}

bool TranslationModel::has_source_languages() const { return !state_->languages.empty(); }

int TranslationModel::default_beams() const { return state_->defaults.beams; }

Tokens TranslationModel::tokenize(std::string_view text, const TranslationOptions& options) const {
  return state_->encode(text, options);
}

std::vector<std::vector<Translation>> TranslationModel::translate(const std::vector<std::string>& lines,
                                                                  const TranslationOptions& options) {
  std::vector<Tokens> sources;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (is_blank(lines[i])) {
      sources.emplace_back();
      continue;
    }
    try {
      sources.push_back(state_->encode(lines[i], options));
    } catch (const Error& error) {
      throw Error(fmt::format("line {}: {}", i + 1, error.what()));
    }
  }
  return translate(sources, options);
}

std::vector<std::vector<Translation>> TranslationModel::translate(const std::vector<Tokens>& sources,
                                                                  const TranslationOptions& options) {
  TranslationSession& session = state_->session;
  const SearchKind kind = state_->search_kind(options);
  const ops::SearchOptions how = state_->beam_options(options);
  const auto [first_token, forced] = state_->beginning(options);
  std::vector<std::vector<Translation>> results(sources.size());
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].empty()) continue;
    try {
      session.check({sources[i], forced});
    } catch (const Error& error) {
      throw Error(fmt::format("line {}: {}", i + 1, error.what()));
    }
    order.push_back(i);
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i].empty()) continue;
    results[i].emplace_back();
    if (options.translated) options.translated(i, results[i]);
  }
  const auto batch =
      static_cast<std::size_t>(std::min(options.batch, session.most_sentences(kind.ways, how.max_tokens)));
  // Those of like length go together, so that little is filled up; not those far apart, whose results would wait.
  const auto window = static_cast<std::ptrdiff_t>(kBatchesOfAWindow * batch);
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = begin + std::min(window, order.end() - begin);
    std::stable_sort(begin, end, [&](std::size_t a, std::size_t b) { return sources[a].size() > sources[b].size(); });
    begin = end;
  }
  std::size_t done = sources.size() - order.size();
  for (std::size_t begin = 0; begin < order.size(); begin += batch) {
    if (options.progress) options.progress(done, sources.size());
    const std::size_t end = std::min(order.size(), begin + batch);
    std::vector<SourceSentence> sentences;
    for (std::size_t i = begin; i < end; ++i) sentences.push_back({sources[order[i]], forced});
    std::vector<std::vector<Hypothesis>> made;
    try {
      made = session.translate(sentences, first_token, kind, how, options.cancelled);
    } catch (const SentenceError& error) {
      throw Error(fmt::format("line {}: {}{}", order[begin + error.sentence()] + 1, error.what(),
                              cache_advice(session.cache_type())));
    }
    if (made.empty()) return results;  // cancelled
    for (std::size_t i = begin; i < end; ++i) {
      const std::vector<Hypothesis>& best = made[i - begin];
      for (std::size_t h = 0; h < std::min(best.size(), static_cast<std::size_t>(options.n_best)); ++h) {
        results[order[i]].push_back(
            {state_->text_of(best[h].tokens), best[h].tokens, best[h].score, best[h].ended, best[h].end_token});
      }
      if (options.translated) options.translated(order[i], results[order[i]]);
    }
    done += end - begin;
  }
  if (options.progress) options.progress(done, sources.size());
  return results;
}

Attention TranslationModel::explain(const Tokens& source, const Translation& translation,
                                    const TranslationOptions& options, bool all) {
  State& state = *state_;
  Attention attention;
  Tokens target = translation.tokens;
  if (translation.ended) {
    const Tokens& ends = state.session.end_tokens();
    const bool known = translation.end_token >= 0;  // not of one that a caller made up
    if (known || !ends.empty()) target.push_back(known ? translation.end_token : ends.front());
  }
  const Tokenizer* const read = state.source_tokenizer.get();
  for (const std::int32_t token : source) {
    attention.source.push_back(token_label(read, token));
    attention.source_special.push_back(state.is_special(read, token));
  }
  const Tokenizer* const written = state.target_tokenizer.get();
  for (const std::int32_t token : target) {
    attention.target.push_back(token_label(written, token));
    attention.target_special.push_back(state.is_special(written, token));
  }
  // Without a tokenizer the end is known all the same.
  if (translation.ended && target.size() > translation.tokens.size()) attention.target_special.back() = true;
  const std::int32_t first_token = state.beginning(options).first;
  attention.begin = token_label(written, first_token);
  attention.nodes = state.session.explain(source, first_token, target, all);
  return attention;
}

std::vector<AttentionLayer> TranslationModel::attention_layers() const { return state_->session.attention_layers(); }

std::uint64_t TranslationModel::bytes_per_step(std::int64_t sentences, std::int64_t beams) {
  return state_->session.step_plan(sentences, beams).bytes();
}
std::size_t TranslationModel::dispatches_per_step(std::int64_t sentences, std::int64_t beams) {
  return state_->session.step_plan(sentences, beams).dispatches.size();
}

std::vector<DispatchTime> TranslationModel::profile(std::int64_t sentences, std::int64_t beams,
                                                    std::int64_t source_tokens) {
  return state_->session.profile(sentences, beams, source_tokens);
}

}  // namespace heed
