#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/split.h"
#include "tokenizer/text_steps.h"

namespace heed {

/// Does steps to text, one after the other. Immutable, so any thread may call it.
///
/// What comes of the text's first character is kept track of, since Metaspace puts its mark before that alone if asked
/// to.
class StepRunner {
 public:
  /// `charsmap` is for steps of that kind. Throws Error when Oniguruma does not take a pattern, or the charsmap is
  /// damaged.
  StepRunner(const std::vector<TextStep>& steps, const std::string& charsmap);
  ~StepRunner();

  struct Stretch {
    std::string_view text;  // not empty
    std::size_t begin = 0;  // how many of its first bytes the first character of the whole text became
  };

  /// Working memory for one thread at a time, which owns what the steps make. Must not outlive the runner.
  class Work {
   public:
    explicit Work(const StepRunner& runner);
    ~Work();
    /// The stretches that the steps make of one, in order. Throws Error when matching takes too long, or replacing
    /// makes too much of a text.
    std::vector<Stretch> run(Stretch stretch);

   private:
    void apply(std::size_t step, const Stretch& stretch, std::vector<Stretch>& results);
    void split(std::size_t step, const Stretch& stretch, std::vector<Stretch>& results);
    Stretch replaced(std::size_t step, const Stretch& stretch);
    Stretch keep(std::string text, std::size_t begin);
    Stretch mapped(const Stretch& stretch, const std::function<std::string(std::string_view)>& map);
    std::vector<TextRange> matches(std::size_t step, std::string_view text);

    const StepRunner& runner_;
    Splitter::Matcher matcher_;
    std::deque<std::string> texts_;
  };

 private:
  std::vector<TextStep> steps_;
  std::vector<std::size_t> patterns_;  // of each step, which of the splitter's is its own
  std::unique_ptr<const Splitter> splitter_;
  std::unique_ptr<const Charsmap> charsmap_;
  std::unique_ptr<const Splitter> clusters_;
};

}  // namespace heed
