#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "generate/sampling.h"
#include "generate/text/graph.h"
#include "generate/text/pages.h"
#include "generate/text/prompt_runs.h"
#include "generate/text/turns.h"
#include "heed/text.h"
#include "runtime/session.h"

namespace heed {

/// Several sequences of a text model that go on together: a step reads the weights once for all of them. They come and
/// go at any time; prompts are read in pieces between the steps of the others. What a sequence says depends on its
/// prompt and options alone, not on its neighbours, nor on when it came. Knows token ids, not text. Used by one thread
/// at a time.
///
/// Keys and values lie in pages of one pool (pages.h), and table [positions, rows], or
/// [positions, 1] of a piece of a prompt, says where: the host writes it, and
/// tokens and positions of the rows, before each submission of steps; within one the device moves on by itself.
class TextBatch {
 public:
  static constexpr std::int64_t kMostSlots = 1024;

  /// What a sequence gained in a submission.
  struct Made {
    std::int64_t id = 0;
    std::vector<std::int32_t> tokens;
    std::vector<TokenLogprobs> logprobs = {};  // of each, where they are asked for
    bool broken = false;   // no token could be chosen behind these: logits hold NaN or infinity, or nothing finite
    std::string why = {};  // what the sequence's constraint said instead, where it said something
  };

  /// Places for keys and values that there are from the start, of all sequences together.
  static constexpr std::int64_t kFirstPlaces = 4096;

  /// At most `slots` sequences at a time, each of at most text.context positions; `places`: how many positions all of
  /// them may have together, 0: slots times the context, each in whole pages. There is room for `first_places` of them,
  /// and for twice as many each time that these do not suffice. A run takes at most `most_run` tokens of a
  /// prompt, a power of two of blocks. Nothing is allocated before the first step. Throws
  /// Error where the graph does not take rows with positions of their own.
  TextBatch(Gpu& gpu, WeightStore& weights, const TextGraph& text, std::int64_t slots, std::int64_t places = 0,
            std::int64_t first_places = kFirstPlaces, std::int64_t most_run = kMostPromptRun);

  /// Throws Error when the prompt is empty, holds an id outside the vocabulary, leaves no room in the context, or could
  /// never have the places that it and `max_tokens` more may need; and for options of sampling that make no sense.
  void check(const std::vector<std::int32_t>& prompt, const TokenChoice& choice, std::int64_t max_tokens) const;
  /// Lets a sequence begin, with room for `max_tokens` behind its prompt or as many as the context holds; false where
  /// all slots are taken, or too few places are left until others have gone, also where the device has no memory for
  /// more. `id` is the caller's name for it; `drawn`:
  /// so many tokens at the prompt's end were drawn before, so that the random generator goes on where it was. Throws
  /// Error where check() does, and where the device has no memory for it although nothing else is here.
  bool add(std::int64_t id, const std::vector<std::int32_t>& prompt, const TokenChoice& choice, std::int64_t max_tokens,
           std::uint32_t drawn = 0);
  /// Lets it go, in the midst of a prompt too: its pages are free at once.
  void remove(std::int64_t id);
  /// One submission: a piece of a prompt, or some steps of all whose prompts are read. They take turns (turns.h). A
  /// sequence that has no room for more gets nothing, until it is removed. While a sequence with a constraint is among
  /// them each makes one token: the constraint must have accepted it before the next call.
  std::vector<Made> advance();

  std::size_t size() const { return sequences_.size(); }
  std::int64_t slots() const { return slots_; }
  /// Whether it can still make tokens.
  bool has_room(std::int64_t id) const;
  /// Prompt tokens whose keys were there already, of all sequences so far, and of one.
  std::int64_t shared_tokens() const { return shared_tokens_; }
  std::int64_t shared_tokens(std::int64_t id) const { return sequences_.at(id).shared; }
  std::int64_t available_pages() const { return pool_.available(); }

  /// The plan of a step of so many sequences, greedy.
  const Plan& step_plan(std::int64_t sequences);

 private:
  struct Sequence {
    std::vector<std::int32_t> tokens;  // the prompt's, then those made
    std::int64_t prompt = 0;           // tokens of it
    std::int64_t most = 0;             // tokens that there may be
    std::int64_t cached = 0;           // positions of the prompt whose keys are in the cache
    std::int64_t shared = 0;           // of them those that were there already
    TokenChoice choice;
    std::uint32_t drawn = 0;          // before, at the prompt's end
    std::vector<std::int64_t> pages;  // of its positions, in order
    std::int64_t set_aside = 0;       // pages that it may still take
    PagePool::Content content = 0;    // of the pages before `cached`
    bool broken = false;

    std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
    /// The last token of a prompt is fed by a step, which brings logits.
    bool reads_prompt() const { return cached < prompt - 1; }
    bool goes() const { return !reads_prompt() && !broken && size() < most; }
  };

  /// Tokens that a sequence may have. One that wants more than the context holds gets what the places hold.
  std::int64_t most_tokens(std::int64_t prompt, std::int64_t max_tokens, std::int64_t places) const;
  /// Reads the next piece of its prompt, but for what is known already. Returns the seconds that it took.
  double read_piece(Sequence& sequence);
  /// The same of running something.
  double run(Executable& executable, int repeats);
  std::vector<Made> step();
  /// What constraints let come in the rows of a step, ops::mask_words() words each. A sequence whose constraint fails
  /// is broken, and says why.
  std::vector<std::uint32_t> masks_of(std::vector<Sequence*>& going, std::vector<Made>& made) const;
  void take_made(const std::vector<Sequence*>& going, std::size_t rows, int steps, std::vector<Made>& made);
  void take_page(Sequence& sequence);
  /// Makes room for so many pages of a sequence; false where they must be waited for. Throws Error where the device has
  /// no memory for them and nobody is here to wait for.
  bool set_aside(std::int64_t pages);
  /// Makes the caches larger: twice as large, or else just so that `pages` more can be set aside. Returns why not,
  /// empty where it did.
  std::string grow(std::int64_t pages);
  /// Writes where the keys of so many positions lie, row by row, or of the only sequence; rows[r] none: it is padding.
  void write_table(const std::vector<const Sequence*>& rows, std::int64_t positions);
  Bindings dims(std::int64_t rows, std::int64_t outputs) const;
  Executable& executable(const Graph& graph, std::int64_t rows, std::int64_t outputs, const Bindings& besides = {});
  const Graph& step_graph(const ChoiceMode& mode);
  template <typename T>
  void write(const char* name, const std::vector<T>& values) {
    session_.write(name, std::as_bytes(std::span(values)));
  }

  Gpu& gpu_;
  const TextGraph& text_;
  const std::int64_t slots_;
  const std::int64_t most_run_;
  Session session_;
  PagePool pool_;
  std::int64_t most_places_;    // that there may be
  bool has_no_memory_ = false;  // for more places, until a sequence has gone
  std::int64_t places_;         // that there are
  Graph piece_graph_;           // of a piece of a prompt
  Graph rows_graph_;            // of a step, without a choice
  ChoiceStates choice_states_;
  std::vector<std::pair<ChoiceMode, Graph>> step_graphs_;
  std::map<std::int64_t, Sequence> sequences_;  // by id
  std::vector<std::int64_t> arrivals_;          // ids, first come first
  std::int64_t shared_tokens_ = 0;
  std::optional<PromptLength> prompt_length_;  // once a prompt is read
  double seconds_a_step_;
  Turns turns_;
};

}  // namespace heed
