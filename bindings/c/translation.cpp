// heed.h: translation.
#include <cmath>
#include <deque>
#include <limits>

#include "bindings/c/common.h"
#include "heed/translate.h"

namespace heed::c {

struct TranslationModelObject : TranslationModel {
  static constexpr const char* kKind = "translation model";
  using TranslationModel::TranslationModel;
};

template <>
struct Described<heed_translate_options> {
  static constexpr const char* kName = "heed_translate_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_translate_options, user);
  static heed_translate_options defaults() {
    heed_translate_options options{};
    options.n_best = 1;
    options.length_penalty = std::numeric_limits<double>::quiet_NaN();
    options.min_tokens = -1;
    return options;
  }
};

namespace {

struct TranslationsResult : Result {
  TranslationsResult(const std::vector<std::vector<Translation>>& lines, bool cancelled) {
    for (std::size_t line = 0; line < lines.size(); ++line) {
      for (const Translation& translation : lines[line]) {
        const Translation& kept = all.emplace_back(translation);
        heed_translation& item = items.emplace_back();
        item.size = sizeof item;
        item.line = line;
        item.text = kept.text.c_str();
        item.bytes = kept.text.size();
        item.tokens = kept.tokens.data();
        item.token_count = kept.tokens.size();
        item.score = kept.score;
        item.ended = kept.ended ? 1 : 0;
        views.push_back(&item);
      }
    }
    view.count = views.size();
    view.translations = views.data();
    view.cancelled = cancelled ? 1 : 0;
  }
  heed_translations view{};
  std::deque<Translation> all;
  std::deque<heed_translation> items;
  std::vector<const heed_translation*> views;
};

TranslationOptions options_of(const heed_translate_options& given) {
  TranslationOptions options;
  if (given.beams != 0) options.beams = given.beams;
  options.n_best = given.n_best;
  if (!std::isnan(given.length_penalty)) options.length_penalty = given.length_penalty;
  if (given.max_tokens != 0) options.max_tokens = given.max_tokens;
  if (given.min_tokens >= 0) options.min_tokens = given.min_tokens;
  options.from = text_or_nothing(given.from);
  options.to = text_or_nothing(given.to);
  options.prefix = text_or_nothing(given.prefix);
  if (given.samples != 0) options.samples = given.samples;
  options.sampling = sampling_of(given.sampling);
  return options;
}

}  // namespace
}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

heed_status heed_translate_options_init(heed_translate_options* options, size_t size) {
  return init_options(options, size);
}

heed_status heed_translation_model_open(heed_device* device, const char* file, heed_translation_model** model) {
  return guarded([&] { open_model<TranslationModelObject>(device, file, model); });
}

heed_status heed_translate(heed_translation_model* handle, const char* const* lines, size_t count,
                           const heed_translate_options* given, const heed_translations** translations) {
  return guarded([&] {
    clear_out(translations, "the place for the translations");
    const std::vector<std::string> texts = texts_of(lines, count, "a line");
    const heed_translate_options asked = read_options(given);
    TranslationOptions options = options_of(asked);
    bool stopped = false;
    options.cancelled = [&] {
      return stopped = stopped || (asked.cancelled != nullptr && asked.cancelled(asked.user) != 0);
    };
    with_model<TranslationModelObject>(handle, [&](TranslationModel& model) {
      const std::vector<std::vector<Translation>> made = model.translate(texts, options);
      give(translations, std::make_unique<TranslationsResult>(made, stopped));
    });
  });
}
}
