// heed.h: sound.
#include "heed/sound.h"

#include <cmath>
#include <limits>

#include "bindings/c/common.h"

namespace heed::c {

struct SoundModelObject : SoundModel {
  static constexpr const char* kKind = "sound model";
  using SoundModel::SoundModel;
};

template <>
struct Described<heed_sound_options> {
  static constexpr const char* kName = "heed_sound_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_sound_options, user);
  static heed_sound_options defaults() {
    heed_sound_options options{};
    options.temperature = std::numeric_limits<double>::quiet_NaN();
    return options;
  }
};

namespace {

struct SoundResult : Result {
  heed_sound view{};
  std::vector<float> samples;
};

}  // namespace
}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

heed_status heed_sound_options_init(heed_sound_options* options, size_t size) { return init_options(options, size); }

heed_status heed_sound_model_open(heed_device* device, const char* file, heed_sound_model** model) {
  return guarded([&] { open_model<SoundModelObject>(device, file, model); });
}

heed_status heed_make_sound(heed_sound_model* handle, const heed_sound_options* given, const heed_sound** sound) {
  return guarded([&] {
    clear_out(sound, "the place for the sound");
    const heed_sound_options asked = read_options(given);
    SoundOptions options;
    options.seconds = asked.seconds;
    if (!std::isnan(asked.temperature)) options.temperature = asked.temperature;
    options.seed = asked.seed;
    options.features = list_of(asked.features, asked.feature_count, "features");
    bool stopped = false;
    options.cancelled = [&] {
      return stopped = stopped || (asked.cancelled != nullptr && asked.cancelled(asked.user) != 0);
    };
    with_model<SoundModelObject>(handle, [&](SoundModel& model) {
      if (asked.text != nullptr) options.classes = model.classes_of(asked.text);
      if (asked.voice != nullptr) options.voice = model.voice_named(asked.voice);
      auto result = std::make_unique<SoundResult>();
      result->view.sample_rate = model.sample_rate();
      result->view.count = model.make(options, [&](std::span<const float> piece) {
        if (asked.on_samples == nullptr) {
          result->samples.insert(result->samples.end(), piece.begin(), piece.end());
        } else if (!stopped) {
          stopped = asked.on_samples(asked.user, piece.data(), piece.size()) != 0;
        }
      });
      if (asked.on_samples == nullptr) result->view.samples = result->samples.data();
      result->view.cancelled = stopped ? 1 : 0;
      give(sound, std::move(result));
    });
  });
}
}
