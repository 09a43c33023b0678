// heed's own /v1/attention: what a model looked at while it wrote an answer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "formats/attention_average.h"
#include "heed/error.h"
#include "tools/serve/request_fields.h"
#include "tools/serve/server.h"

namespace heed::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostNumbers = 2'000'000;  // of an answer

struct AttentionRequest {
  std::string id;
  std::size_t index = 0;
  std::vector<std::size_t> layers;                          // none: all
  std::vector<std::int64_t> heads;                          // none: all
  std::optional<std::pair<std::size_t, std::size_t>> rows;  // the first, and the one behind the last; none: all
};

/// Numbers of an array, each once, in order.
template <typename Number>
std::vector<Number> numbers_of(RequestFields& fields, const char* name) {
  std::vector<Number> numbers;
  const nlohmann::ordered_json* const given = fields.any(name);
  if (given == nullptr) return numbers;
  const bool is_array = given->is_array() && given->size() <= 4096;
  if (!is_array) fields.fail(name, "an array of numbers from 0");
  for (const nlohmann::ordered_json& one : *given) {
    const std::int64_t number = integer_of(one).value_or(-1);
    if (number < 0 || number > INT32_MAX) fields.fail(name, "an array of numbers from 0");
    numbers.push_back(static_cast<Number>(number));
  }
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

AttentionRequest read_request(const nlohmann::ordered_json& body) {
  RequestFields fields(body);
  AttentionRequest request;
  const auto id = fields.text("id");
  if (!id) fields.fail("id", "that of an answer");
  request.id = *id;
  request.index = static_cast<std::size_t>(fields.integer("index", 0, INT32_MAX).value_or(0));
  request.layers = numbers_of<std::size_t>(fields, "layers");
  request.heads = numbers_of<std::int64_t>(fields, "heads");
  if (const nlohmann::ordered_json* const rows = fields.any("rows")) {
    const bool are_two = rows->is_array() && rows->size() == 2;
    const std::int64_t first = are_two ? integer_of((*rows)[0]).value_or(-1) : -1;
    const std::int64_t end = are_two ? integer_of((*rows)[1]).value_or(-1) : -1;
    if (first < 0 || first >= end) fields.fail("rows", "[first, behind the last]");
    request.rows = {static_cast<std::size_t>(first), static_cast<std::size_t>(end)};
  }
  fields.refuse_unread();
  return request;
}

Json layer_json(const Attention& attention, std::size_t node, const AttentionRequest& request, std::size_t layer,
                std::pair<std::size_t, std::size_t> rows) {
  const AveragedAttention map = average_attention(attention, {.nodes = {node}, .heads = request.heads});
  Json weights = Json::array();
  for (std::size_t row = rows.first; row < rows.second; ++row) {
    const auto begin = map.weights.begin() + static_cast<std::ptrdiff_t>(row) * map.columns;
    std::vector<double> shown(begin, begin + map.columns);
    for (double& weight : shown) weight = std::round(weight * 1e7) / 1e7;  // what floats know
    weights.push_back(std::move(shown));
  }
  return {{"layer", layer}, {"name", attention.nodes[node].node}, {"weights", std::move(weights)}};
}

Json attention_of(TextModel& model, const PastAnswers::Text& text, const AttentionRequest& request,
                  std::pair<std::size_t, std::size_t> rows, const std::function<bool()>& cancelled) {
  std::vector<std::int32_t> tokens = text.prompt;
  tokens.insert(tokens.end(), text.tokens.begin(), text.tokens.end());
  const std::optional<Attention> attention = model.explain(tokens, request.layers, cancelled);
  if (!attention) throw HttpError(499, "the client has gone");
  Json layers = Json::array();
  for (std::size_t node = 0; node < attention->nodes.size(); ++node) {
    layers.push_back(layer_json(*attention, node, request, request.layers.empty() ? node : request.layers[node], rows));
  }
  const auto first = [&](std::size_t at) { return attention->target.begin() + static_cast<std::ptrdiff_t>(at); };
  const auto special = [&](std::size_t at) {
    return attention->target_special.begin() + static_cast<std::ptrdiff_t>(at);
  };
  return {{"id", request.id},
          {"object", "attention"},
          {"model", text.model},
          {"index", request.index},
          {"prompt_tokens", text.prompt.size()},
          {"first_row", rows.first},
          {"rows", std::vector<std::string>(first(rows.first), first(rows.second))},
          {"rows_special", std::vector<bool>(special(rows.first), special(rows.second))},
          {"columns", column_tokens(*attention, AttentionKind::Target)},
          {"layers", std::move(layers)}};
}

void explain(Server& server, const nlohmann::ordered_json& body, httplib::Response& response) {
  const AttentionRequest request = read_request(body);
  const auto text = server.answers().find(request.id, request.index);
  if (!text) {
    throw HttpError(404,
                    fmt::format("there is no answer '{}' with a text {} here; the last few answers of a model are kept",
                                request.id, request.index),
                    "id", "answer_not_found");
  }
  Worker& worker = server.model(text->model, {Worker::Kind::Text}, "write texts");
  const std::size_t tokens = text->prompt.size() + text->tokens.size();
  if (tokens < 2) throw HttpError(400, "the answer and its prompt have but one token: there is nothing it looked at");
  const std::size_t all = tokens - 1;  // each token but the first was written from those before it
  const std::pair<std::size_t, std::size_t> rows = request.rows.value_or(std::pair<std::size_t, std::size_t>(0, all));
  if (rows.second > all) {
    throw HttpError(400, fmt::format("rows end at {}, expected at most {}", rows.second, all), "rows");
  }
  const std::size_t layers = request.layers.empty() ? worker.layers() : request.layers.size();
  if ((rows.second - rows.first) * all * layers > kMostNumbers) {
    throw HttpError(400,
                    fmt::format("{} rows of {} weights in {} layers are more than the {} numbers that are sent; ask "
                                "for fewer layers (\"layers\": [0]) or rows (\"rows\": [0, 100])",
                                rows.second - rows.first, all, layers, kMostNumbers));
  }
  set_json(response,
           worker.call<Json>(server.limits().time, [text = *text, request, rows](
                                                       Worker::Model& model, const std::function<bool()>& cancelled) {
             return attention_of(std::get<TextModel>(model.any), text, request, rows, cancelled);
           }));
}

}  // namespace

void add_attention_routes(Server& server) {
  server.http().post_json("/v1/attention", [&server](const nlohmann::ordered_json& body, httplib::Response& response) {
    explain(server, body, response);
  });
}

}  // namespace heed::tools
