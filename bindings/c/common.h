// What the calls of heed.h share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bindings/c/options.h"
#include "heed/text.h"

namespace heed::c {

struct TextResult : Result {
  explicit TextResult(std::string given) : text(std::move(given)) {
    view.text = text.c_str();
    view.bytes = text.size();
  }
  heed_text view{};
  std::string text;
};

struct TokensResult : Result {
  explicit TokensResult(std::vector<std::int32_t> given) : tokens(std::move(given)) {
    view.ids = tokens.data();
    view.count = tokens.size();
  }
  heed_tokens view{};
  std::vector<std::int32_t> tokens;
};

/// `count` elements from a pointer that may be NULL only where there are none.
template <class T>
std::vector<T> list_of(const T* elements, std::size_t count, const char* what) {
  if (count > 0) need(elements, what);
  return count > 0 ? std::vector<T>(elements, elements + count) : std::vector<T>();
}
inline std::string_view text_of(const char* text, std::size_t bytes, const char* what) {
  if (bytes > 0) need(text, what);
  return bytes > 0 ? std::string_view(text, bytes) : std::string_view();
}
std::vector<std::string> texts_of(const char* const* texts, std::size_t count, const char* what);

SamplingOptions sampling_of(const heed_sampling_options* given);

/// Runs `work` on a model in a turn of its device.
template <class Model, class Work>
void with_model(const void* handle, const Work& work) {
  const auto object = find<ModelObject<Model>>(handle);  // lives until the turn is over, whatever is closed meanwhile
  const Turn turn(object->on->turns);
  work(*object->model);
}

/// Opens a model on a device in its turn.
template <class Model, class Handle, class... Arguments>
void open_model(const void* device, const char* file, Handle** out, Arguments&&... arguments) {
  clear_out(out, "the place for the model");
  need(file, "the file's name");
  const auto on = find<DeviceObject>(device);
  std::shared_ptr<Object> object;
  {
    const Turn turn(on->turns);
    object = std::make_shared<ModelObject<Model>>(on, file, std::forward<Arguments>(arguments)...);
  }
  give_handle(out, std::move(object));
}

}  // namespace heed::c
