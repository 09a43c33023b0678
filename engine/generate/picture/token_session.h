#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "file/model_file.h"
#include "generate/sampling.h"
#include "generate/step_state.h"
#include "heed/attention.h"
#include "heed/picture.h"
#include "heed/text.h"
#include "runtime/session.h"

namespace heed {

/// What the metadata of a text-to-image model say (engine/file/format.md), checked against its graphs.
struct TokenPictureLayout {
  std::int64_t places = 0;  // of a caption
  std::int32_t pad = 0;
  std::vector<std::int32_t> begin;  // behind a caption
  std::int64_t first = 0;           // token first + c stands for code c
  std::int64_t count = 0;
  std::int64_t rows = 0, columns = 0;  // of codes
  std::int64_t vocabulary = 0;
  std::int64_t channels = 1, height = 0, width = 0;
  double least = 0, most = 1;  // values of black and full
  double guidance = 1.0;       // where options say nothing
  SamplingOptions sampling;    // the same; its seed is not the model's

  /// Throws Error when the metadata do not say what is needed.
  static TokenPictureLayout of(const ModelFile& file);
  std::int64_t codes() const { return rows * columns; }
};

/// How pictures are drawn for one caption.
struct TokenDrawing {
  std::vector<std::int32_t> caption;  // token ids, at most as many as there are places
  std::vector<std::int32_t> given;    // the first codes of every picture
  SamplingOptions sampling;
  double guidance = 1.0;
  std::int64_t first_picture = 0;  // pictures are numbered from this one on; a number and a seed say what is drawn
  /// Called between submissions with the codes that each picture has so far; true ends the drawing, and nothing is
  /// returned.
  std::function<bool(std::int64_t made)> stop;
};

/// The graphs of a text-to-image model on a device: `tokens` runs once a code for all pictures, `pixels` and `codes`
/// once a picture. A picture is a row of each step, with guidance two, with its caption and without one, which draw one
/// code from logits u + g (c - u). Knows token ids, not text. Used by one thread at a time.
///
/// Steps see the vocabulary turned so that code 0 is token 0 and the ids before the first code stand at the end, since
/// what is drawn at a picture's place are the codes alone: their logits are cut out, and nothing else can come.
class TokenSession {
 public:
  /// Throws Error when the file is no text-to-image model.
  TokenSession(Gpu& gpu, const ModelFile& file);

  const TokenPictureLayout& layout() const { return layout_; }
  bool encodes() const { return encode_ != nullptr; }

  /// How many pictures one call of draw() may have.
  std::int64_t most_pictures(bool guided) const;
  /// The codes of so many pictures, row by row. What a picture gets depends on its number and the seed, not on others.
  /// Throws Error for ids and codes that there are not, and for logits that are no finite numbers.
  std::vector<std::vector<std::int32_t>> draw(std::int64_t pictures, const TokenDrawing& drawing);
  /// The codes that the first picture of the last drawing has so far, the others 0; to be asked from its `stop`.
  std::vector<std::int32_t> codes_so_far(std::int64_t made);

  /// The picture of codes.
  Picture picture_of(const std::vector<std::int32_t>& codes);
  /// The codes of a picture of the model's size and channels. Throws Error where it is none, or the file cannot say.
  std::vector<std::int32_t> codes_of(const Picture& picture);

  /// What each place of a picture weighed of each token before the codes while it was drawn: [places before, codes],
  /// means over heads and layers.
  std::vector<std::vector<float>> explain(const std::vector<std::int32_t>& caption,
                                          const std::vector<std::int32_t>& codes);
  /// Whether the graph has attention that explain() could show.
  bool has_attention() const;

  /// The plan of a step for so many pictures.
  const Plan& step_plan(std::int64_t pictures, bool guided);
  /// Each dispatch's time in a step in the middle of a picture, for so many pictures.
  std::vector<DispatchTime> profile(std::int64_t pictures, bool guided);

 private:
  struct Steps {
    Steps(Session& session, const Graph& stepped_and_sampled, std::int64_t of_sequences, bool with_guidance,
          Sampling::Mode of_mode)
        : sequences(of_sequences),
          guided(with_guidance),
          mode(of_mode),
          graph(stepped_and_sampled),
          state(session, graph, sequences) {}
    const std::int64_t sequences;
    const bool guided;
    const Sampling::Mode mode;
    const Graph graph;
    StepState state;
    std::unique_ptr<Sampling> search;
  };
  Steps& steps_of(std::int64_t sequences, bool guided, const SamplingOptions& sampling,
                  std::vector<std::uint32_t> streams);
  /// Begins the pictures; the session's executables are to be prepared after it.
  Steps& start(std::int64_t pictures, const TokenDrawing& drawing);
  Executable& executable(Steps& steps);
  /// What stands before the codes: a caption, pads and the begin.
  std::vector<std::int32_t> prefix(const std::vector<std::int32_t>& caption) const;
  std::int64_t prefix_size() const { return layout_.places + static_cast<std::int64_t>(layout_.begin.size()); }
  std::int32_t turned(std::int32_t token) const;
  /// tokens of a picture behind its first.
  std::int64_t most_made() const { return prefix_size() - 1 + layout_.codes(); }

  Gpu& gpu_;
  Graph decode_;
  TokenPictureLayout layout_;
  const Graph& pixels_;
  const Graph* encode_ = nullptr;
  FileWeights source_;
  WeightStore weights_;
  Session session_;
  std::unique_ptr<Steps> current_;
  double seconds_a_step_;
};

/// A graph of StepState::with_rows() that works on the turned vocabulary, whose output logits are those of the codes,
/// [rows, count]; `guided`: rows 2 i and 2 i + 1 both have u + g (c - u) of their own, with g an input `guidance` [1].
Graph with_codes_alone(const Graph& stepped, const TokenPictureLayout& layout, bool guided);

}  // namespace heed
