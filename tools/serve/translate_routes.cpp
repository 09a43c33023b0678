// LibreTranslate's interface: /translate, /languages, /frontend/settings.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "formats/attention_average.h"
#include "heed/error.h"
#include "tools/serve/server.h"
#include "tools/serve/translate_request.h"

namespace heed::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostWeights = 2'000'000;  // of an answer

/// Who translates, and the codes that the model has for the languages, empty where it has none.
struct Translator {
  Worker* worker = nullptr;
  std::string source, target;
};

std::string known_pairs(const Server& server) {
  std::string known;
  for (const auto& worker : server.workers()) {
    if (worker->kind() != Worker::Kind::Translation) continue;
    const auto listed = [](const std::vector<std::string>& codes) {
      return codes.empty() ? std::string("?") : fmt::format("{}", fmt::join(codes, ", "));
    };
    known += fmt::format("{}{} ({} to {})", known.empty() ? "" : "; ", worker->name(),
                         listed(worker->languages().sources), listed(worker->languages().targets));
  }
  return known;
}

/// The first model that has these languages. Throws HttpError 400 where none has, and where the languages that are not
/// named could be several.
Translator translator_for(Server& server, const TranslateRequest& request) {
  if (!request.model.empty()) server.model(request.model, {Worker::Kind::Translation}, "translate");
  Translator found;
  bool any = false;
  for (const auto& worker : server.workers()) {
    if (worker->kind() != Worker::Kind::Translation) continue;
    any = true;
    if (!request.model.empty() && worker->name() != request.model) continue;
    const auto codes = worker->languages().codes_for(request.source, request.target);
    if (!codes) continue;
    if (found.worker != nullptr && (found.source != codes->first || found.target != codes->second)) {
      throw HttpError(400, fmt::format("source '{}' and target '{}' leave open which model is meant; here are {}",
                                       request.source, request.target, known_pairs(server)));
    }
    if (found.worker == nullptr) found = {worker.get(), codes->first, codes->second};
  }
  if (!any) throw HttpError(404, "no model here translates");
  if (found.worker == nullptr) {
    throw HttpError(400,
                    fmt::format("nothing here translates from '{}' to '{}'{}; here are {}. No language is "
                                "detected: auto is for models of one",
                                request.source, request.target,
                                request.model.empty() ? "" : " with the model " + request.model, known_pairs(server)));
  }
  return found;
}

/// Where a line's translation looked, as JSON; null for a line without one.
Json look_at(TranslationModel& model, const std::string& line, const Translation& made,
             const TranslationOptions& options, std::size_t& weights) {
  if (made.tokens.empty()) return nullptr;
  const Attention attention = model.explain(model.tokenize(line, options), made, options);
  weights += attention.source.size() * attention.target.size();
  if (weights > kMostWeights) {
    throw HttpError(
        400, fmt::format("the attention of these texts has more than {} weights; ask for fewer lines", kMostWeights));
  }
  const AveragedAttention map = average_attention(attention, {});
  Json rows = Json::array();
  for (std::int64_t row = 0; row < map.rows; ++row) {
    const auto begin = map.weights.begin() + row * map.columns;
    rows.push_back(std::vector<double>(begin, begin + map.columns));
  }
  return {{"source", attention.source}, {"target", attention.target}, {"weights", std::move(rows)}};
}

struct Translated {
  std::vector<std::vector<Translation>> best;  // of each line
  std::vector<Json> attention;                 // of each line, where that was asked for
  std::int64_t source_tokens = 0, tokens = 0;
};

Translated translated_by(TranslationModel& model, const std::vector<std::string>& lines, TranslationOptions options,
                         const TranslateRequest& request) {
  options.n_best = request.alternatives + 1;
  options.beams = request.beams;
  if (!request.beams && options.n_best > model.default_beams()) options.beams = options.n_best;
  Translated made;
  made.best = model.translate(lines, options);
  std::size_t weights = 0;
  for (std::size_t i = 0; i < made.best.size() && !options.cancelled(); ++i) {
    if (made.best[i].empty()) continue;
    const Translation& best = made.best[i].front();
    made.tokens += static_cast<std::int64_t>(best.tokens.size());
    if (!best.tokens.empty()) {
      made.source_tokens += static_cast<std::int64_t>(model.tokenize(lines[i], options).size());
    }
    if (request.attention) made.attention.push_back(look_at(model, lines[i], best, options, weights));
  }
  return made;
}

/// The texts that are made of each line's translation number `way`, or of its best where it has fewer.
std::vector<std::string> texts_of(const TextLines& lines, const Translated& made, std::size_t way) {
  std::vector<std::string> of_lines;
  for (const auto& best : made.best) of_lines.push_back(best[way < best.size() ? way : 0].text);
  std::vector<std::string> texts;
  for (std::size_t text = 0; text < lines.texts(); ++text) texts.push_back(lines.joined(text, of_lines));
  return texts;
}

Json answer_of(const TranslateRequest& request, const Translator& translator, const TextLines& lines,
               const Translated& made) {
  std::vector<std::vector<std::string>> ways;
  for (std::size_t way = 0; way <= static_cast<std::size_t>(request.alternatives); ++way) {
    ways.push_back(texts_of(lines, made, way));
  }
  Json texts = Json::array(), alternatives = Json::array(), detected = Json::array(), attention = Json::array();
  for (std::size_t text = 0; text < lines.texts(); ++text) {
    texts.push_back(ways[0][text]);
    std::set<std::string> seen = {ways[0][text]};
    Json others = Json::array();
    for (std::size_t way = 1; way < ways.size(); ++way) {
      if (seen.insert(ways[way][text]).second) others.push_back(ways[way][text]);
    }
    alternatives.push_back(std::move(others));
    // Nothing is detected, and no confidence in it is told: the model reads no other language.
    detected.push_back({{"confidence", 0}, {"language", translator.source}});
    Json maps = Json::array();
    const auto [begin, end] = lines.lines_of(text);
    for (std::size_t line = begin; request.attention && line < end; ++line) maps.push_back(made.attention[line]);
    attention.push_back(std::move(maps));
  }
  const auto shaped = [&](Json& of_texts) { return request.is_array ? std::move(of_texts) : std::move(of_texts[0]); };
  Json answer = {{"translatedText", shaped(texts)}};
  if (request.alternatives > 0) answer["alternatives"] = shaped(alternatives);
  if (request.source == "auto" && !translator.source.empty()) answer["detectedLanguage"] = shaped(detected);
  if (request.attention) answer["attention"] = shaped(attention);
  return answer;
}

void check_form_key(const Server& server, const httplib::Request& http, const PostedForm& form) {
  for (const char* name : {"api_key", "apiKey"}) {
    const auto key = form.fields.find(name);
    if (key == form.fields.end() || !key->is_string()) continue;
    if (server.http().has_key(http, key->get_ref<const std::string&>())) return;
  }
  if (!server.http().has_key(http)) throw HttpError(403, "Invalid API key: send it as api_key, or in Authorization");
}

void translate(Server& server, const PostedForm& form, httplib::Response& response) {
  const auto begin = std::chrono::steady_clock::now();
  const TranslateRequest request = TranslateRequest::read(form);
  const TextLines lines(request.texts);
  const Translator translator = translator_for(server, request);
  TranslationOptions options;
  if (translator.worker->languages().says_source) options.from = translator.source;
  if (translator.worker->languages().says_target) options.to = translator.target;
  Translated made;
  try {
    // What is captured by value may be used after this has given up waiting.
    made = translator.worker->call<Translated>(
        server.limits().time,
        [texts = lines.lines(), options, request](Worker::Model& model, const std::function<bool()>& cancelled) {
          TranslationOptions of_call = options;
          of_call.cancelled = cancelled;
          return translated_by(std::get<TranslationModel>(model.any), texts, of_call, request);
        });
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error& error) {
    throw HttpError(400, lines.with_place(error.what(), request.is_array));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  server.metrics().count_done(translator.worker->name(), lines.lines().size(), made.source_tokens, 0, made.tokens,
                              seconds);
  set_json(response, answer_of(request, translator, lines, made));
}

/// Every language that is read or written, and what it can be translated into.
Json languages_of(const Server& server) {
  std::map<std::string, std::set<std::string>> targets;
  for (const auto& worker : server.workers()) {
    const ModelLanguages& languages = worker->languages();
    for (const std::string& target : languages.targets) targets[target];
    for (const std::string& source : languages.sources) {
      targets[source].insert(languages.targets.begin(), languages.targets.end());
      targets[source].erase(source);
    }
  }
  Json listed = Json::array();
  for (const auto& [code, of_code] : targets) {
    listed.push_back({{"code", code}, {"name", language_name(code)}, {"targets", of_code}});
  }
  return listed;
}

Json frontend_settings(const Server& server) {
  const Json languages = languages_of(server);
  const auto language = [&](const std::string& code) { return Json{{"code", code}, {"name", language_name(code)}}; };
  Json source = nullptr, target = nullptr;
  for (const Json& one : languages) {
    if (one["targets"].empty()) continue;
    source = language(one["code"]);
    target = language(one["targets"].front());
    break;
  }
  return {{"apiKeys", server.http().asks_for_key()},
          {"charLimit", -1},
          {"filesTranslation", false},
          {"frontendTimeout", 500},
          {"keyRequired", server.http().asks_for_key()},
          {"language", {{"source", source}, {"target", target}}},
          {"suggestions", false},
          {"supportedFilesFormat", Json::array()}};
}

}  // namespace

void add_translate_routes(Server& server) {
  HttpServer& http = server.http();
  http.post_form("/translate",
                 [&server](const httplib::Request& request, const PostedForm& form, httplib::Response& response) {
                   check_form_key(server, request, form);
                   translate(server, form, response);
                 },
                 {.plain = true, .open = true});
  for (const auto& [path, why] : {std::pair{"/detect", "no model here detects languages; say the source"},
                                  {"/translate_file", "files are not translated here; send their text to /translate"},
                                  {"/suggest", "suggestions are not kept here"}}) {
    http.post_form(
        path,
        [&server, reason = why](const httplib::Request& request, const PostedForm& form, httplib::Response&) {
          check_form_key(server, request, form);
          throw HttpError(501, reason);
        },
        {.plain = true, .open = true});
  }
  // Without a key, as LibreTranslate has them: its clients ask before they send one.
  http.get(
      "/languages",
      [&server](const httplib::Request&, httplib::Response& response) { set_json(response, languages_of(server)); },
      true);
  http.get(
      "/frontend/settings",
      [&server](const httplib::Request&, httplib::Response& response) {
        set_json(response, frontend_settings(server));
      },
      true);
}

}  // namespace heed::tools
