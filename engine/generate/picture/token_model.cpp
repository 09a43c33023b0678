// Pictures of a text, as codes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "generate/attention_weights.h"
#include "generate/metadata.h"
#include "generate/picture/tiles.h"
#include "generate/picture/token_session.h"
#include "heed/error.h"
#include "tokenizer/open.h"

namespace heed {

struct TextPictureModel::State {
  State(const Device& on, const std::filesystem::path& path)
      : device(on),
        where(path.string()),
        file(ModelFile::open(path)),
        session(device.gpu(), file),
        tokenizer(open_tokenizer(file)) {}

  const TokenPictureLayout& layout() const { return session.layout(); }
  bool guides() const { return layout().guidance != 1.0; }

  SamplingOptions sampling(const TextDrawOptions& options) const {
    SamplingOptions sampling = layout().sampling;
    sampling.temperature = options.temperature.value_or(sampling.temperature);
    sampling.top_k = options.top_k.value_or(sampling.top_k);
    sampling.top_p = options.top_p.value_or(sampling.top_p);
    sampling.seed = options.seed;
    return sampling;
  }
  /// Without a caption both rows of a pair would be the same.
  double guidance(const std::vector<std::int32_t>& caption, const TextDrawOptions& options) const {
    return caption.empty() ? 1.0 : options.guidance.value_or(layout().guidance);
  }

  [[noreturn]] void refuse_word(const std::string& word) const {
    constexpr std::size_t kMostShown = 100;
    std::string known;
    for (std::size_t id = 0; tokenizer->vocabulary_size() <= kMostShown && id < tokenizer->vocabulary_size(); ++id) {
      std::string piece = tokenizer->piece(static_cast<std::int32_t>(id));
      if (static_cast<std::int32_t>(id) == tokenizer->unknown_token()) continue;
      std::erase(piece, ' ');
      if (!piece.empty()) known += (known.empty() ? "" : ", ") + piece;
    }
    throw Error(fmt::format("{}: the model does not know the word '{}'{}", where, word,
                            known.empty() ? "; use another one" : "; it knows " + known));
  }

  /// Draws pictures [first, first + count) of the seed, and appends them.
  void draw(const std::vector<std::int32_t>& caption, std::size_t first, std::size_t count, std::size_t of,
            const TextDrawOptions& options, const std::vector<std::int32_t>& given, std::vector<Picture>& pictures) {
    TokenDrawing drawing;
    drawing.caption = caption;
    drawing.given = given;
    drawing.sampling = sampling(options);
    drawing.guidance = guidance(caption, options);
    drawing.first_picture = static_cast<std::int64_t>(first);
    std::int64_t shown = 0;
    drawing.stop = [&](std::int64_t made) {
      const std::int64_t rows = made / layout().columns;
      const auto all = static_cast<std::int64_t>(of) * layout().rows;
      if (options.progress) {
        options.progress(static_cast<std::int64_t>(first) * layout().rows + rows * static_cast<std::int64_t>(count),
                         all);
      }
      if (options.grown && first == 0 && rows > shown) {
        shown = rows;
        const Picture whole = session.picture_of(session.codes_so_far(made));
        options.grown(cut(whole, 0, 0, whole.width, whole.height * rows / layout().rows));
      }
      return false;
    };
    for (std::vector<std::int32_t>& of_picture : session.draw(static_cast<std::int64_t>(count), drawing)) {
      pictures.push_back(session.picture_of(of_picture));
      codes.push_back(std::move(of_picture));
      maps.push_back(options.maps ? maps_of(caption, codes.back()) : std::vector<AttentionMap>());
    }
  }

  std::vector<AttentionMap> maps_of(const std::vector<std::int32_t>& caption,
                                    const std::vector<std::int32_t>& of_picture) {
    const std::vector<std::vector<float>> weights = session.explain(caption, of_picture);
    std::vector<AttentionMap> of_words;
    for (std::size_t i = 0; i < caption.size(); ++i) {
      std::string word = token_label(tokenizer.get(), caption[i]);
      std::erase(word, ' ');
      of_words.push_back(
          {fmt::format("attention.{}.{}", i + 1, word), layout().columns, layout().rows, false, weights[i]});
    }
    return of_words;
  }

  Device device;
  std::string where;
  ModelFile file;
  TokenSession session;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::vector<std::int32_t>> codes;
  std::vector<std::vector<AttentionMap>> maps;
};

TextPictureModel::TextPictureModel(const Device& device, const std::filesystem::path& file)
    : state_(std::make_unique<State>(device, file)) {}
TextPictureModel::~TextPictureModel() = default;
TextPictureModel::TextPictureModel(TextPictureModel&&) noexcept = default;
TextPictureModel& TextPictureModel::operator=(TextPictureModel&&) noexcept = default;

bool TextPictureModel::is_one(const std::filesystem::path& file) {
  return metadata_text(ModelFile::open(file), "task") == "text-to-image";
}

std::int64_t TextPictureModel::width() const { return state_->layout().width; }
std::int64_t TextPictureModel::height() const { return state_->layout().height; }
std::int64_t TextPictureModel::channels() const { return state_->layout().channels; }
std::int64_t TextPictureModel::code_rows() const { return state_->layout().rows; }
std::int64_t TextPictureModel::code_columns() const { return state_->layout().columns; }

std::vector<std::int32_t> TextPictureModel::tokenize(std::string_view caption) const {
  const State& s = *state_;
  if (caption.find_first_not_of(" \t\r\n") == std::string_view::npos) return {};
  if (s.tokenizer == nullptr) {
    throw Error(fmt::format("{}: the model has no tokenizer; give the caption's token ids", s.where));
  }
  std::vector<std::int32_t> ids = s.tokenizer->encode(caption);
  const std::optional<TokenId> unknown = s.tokenizer->unknown_token();
  if (!unknown || std::ranges::find(ids, *unknown) == ids.end()) return ids;
  std::size_t at = 0;
  while ((at = caption.find_first_not_of(" \t\r\n", at)) != std::string_view::npos) {
    const std::size_t end = std::min(caption.find_first_of(" \t\r\n", at), caption.size());
    const std::string_view word = caption.substr(at, end - at);
    const std::vector<std::int32_t> of_word = s.tokenizer->encode(word, false);
    if (std::ranges::find(of_word, *unknown) != of_word.end()) s.refuse_word(std::string(word));
    at = end;
  }
  s.refuse_word(std::string(caption));
}

void TextPictureModel::check(const std::vector<std::int32_t>& caption, const TextDrawOptions& options) const {
  const State& s = *state_;
  try {
    s.sampling(options).check();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", s.where, error.what()));
  }
  if (options.guidance && !(std::isfinite(*options.guidance) && *options.guidance >= 0.0)) {
    throw Error(fmt::format("{}: --guidance {}: expected a number from 0 on", s.where, *options.guidance));
  }
  if (options.guidance && caption.empty()) {
    throw Error(fmt::format("{}: --guidance {}: there is no caption to be guided to; give one, or leave --guidance out",
                            s.where, *options.guidance));
  }
  if (static_cast<std::int64_t>(caption.size()) > s.layout().places) {
    throw Error(fmt::format("{}: the caption has {} tokens, the model reads at most {}; shorten it", s.where,
                            caption.size(), s.layout().places));
  }
  if (options.maps && !s.session.has_attention()) throw Error(fmt::format("{}: the model has no attention", s.where));
  if (options.maps && caption.empty()) {
    throw Error(fmt::format("{}: maps show what places looked at in the caption, and there is none", s.where));
  }
  if (!options.complete) return;
  if (!s.session.encodes()) {
    throw Error(
        fmt::format("{}: the model cannot read pictures, only make them: its file has no graph 'codes'; leave "
                    "--complete out",
                    s.where));
  }
  if (options.complete->width != width() || options.complete->height != height()) {
    throw Error(fmt::format("{}: the picture to complete is {}x{}, the model's are {}x{}; scale or cut it", s.where,
                            options.complete->width, options.complete->height, width(), height()));
  }
  if (code_rows() < 2) throw Error(fmt::format("{}: pictures of one row of codes have no upper half", s.where));
}

std::vector<Picture> TextPictureModel::draw(const std::vector<std::int32_t>& caption, std::size_t count,
                                            const TextDrawOptions& options) {
  State& s = *state_;
  check(caption, options);
  s.codes.clear();
  s.maps.clear();
  std::vector<Picture> pictures;
  try {
    std::vector<std::int32_t> given;
    if (options.complete) {
      given = s.session.codes_of(with_channels(*options.complete, channels()));
      given.resize(static_cast<std::size_t>(code_rows() / 2 * code_columns()));
    }
    const auto most = static_cast<std::size_t>(s.session.most_pictures(s.guidance(caption, options) != 1.0));
    for (std::size_t done = 0; done < count; done += most) {
      s.draw(caption, done, std::min(most, count - done), count, options, given, pictures);
    }
  } catch (const SentenceError& error) {
    throw Error(fmt::format("{}: picture {}: {}", s.where, pictures.size() + error.sentence() + 1, error.what()));
  }
  return pictures;
}

const std::vector<std::vector<std::int32_t>>& TextPictureModel::codes() const { return state_->codes; }
const std::vector<std::vector<AttentionMap>>& TextPictureModel::attention_maps() const { return state_->maps; }

std::uint64_t TextPictureModel::bytes_per_step() { return state_->session.step_plan(1, state_->guides()).bytes(); }
std::size_t TextPictureModel::dispatches_per_step() {
  return state_->session.step_plan(1, state_->guides()).dispatches.size();
}
std::vector<DispatchTime> TextPictureModel::profile() { return state_->session.profile(1, state_->guides()); }

}  // namespace heed
