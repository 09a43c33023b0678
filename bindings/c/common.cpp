#include "bindings/c/common.h"

#include "heed/model.h"

namespace heed::c {

std::vector<std::string> texts_of(const char* const* texts, std::size_t count, const char* what) {
  std::vector<std::string> list;
  for (const char* text : list_of(texts, count, what)) {
    need(text, what);
    list.emplace_back(text);
  }
  return list;
}

template <>
struct Described<heed_sampling_options> {
  static constexpr const char* kName = "heed_sampling_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_sampling_options, penalty_window);
  static heed_sampling_options defaults() {
    const SamplingOptions sampling;
    heed_sampling_options options{};
    options.temperature = sampling.temperature;
    options.top_p = sampling.top_p;
    options.min_p = sampling.min_p;
    options.repetition_penalty = sampling.repetition_penalty;
    options.seed = sampling.seed;
    options.top_k = sampling.top_k;
    options.penalty_window = sampling.penalty_window;
    return options;
  }
};

SamplingOptions sampling_of(const heed_sampling_options* given) {
  const heed_sampling_options options = read_options(given);
  SamplingOptions sampling;
  sampling.temperature = options.temperature;
  sampling.top_p = options.top_p;
  sampling.min_p = options.min_p;
  sampling.repetition_penalty = options.repetition_penalty;
  sampling.seed = options.seed;
  sampling.top_k = options.top_k;
  sampling.penalty_window = options.penalty_window;
  return sampling;
}

}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

const char* heed_version(void) { return HEED_VERSION; }
int32_t heed_abi_version(void) { return HEED_ABI_VERSION; }

heed_status heed_sampling_options_init(heed_sampling_options* options, size_t size) {
  return init_options(options, size);
}

heed_status heed_file_task(const char* file, const heed_text** task) {
  return guarded([&] {
    clear_out(task, "the place for the task");
    need(file, "the file's name");
    give(task, std::make_unique<TextResult>(task_of(file)));
  });
}
}
