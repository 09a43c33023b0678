#include "models/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "heed/error.h"

namespace heed::models {

ParameterReader::ParameterReader(std::string_view family, const nlohmann::json& parameters)
    : family_(family), parameters_(parameters) {
  if (!parameters.is_object()) fail("the hyperparameters are not a JSON object");
}

void ParameterReader::fail(const std::string& message) const {
  throw Error(fmt::format("{} model: {}", family_, message));
}

const nlohmann::json& ParameterReader::find(const char* key) {
  const auto found = parameters_.find(key);
  if (found == parameters_.end()) fail(fmt::format("hyperparameter '{}' is missing", key));
  read_.insert(key);
  return *found;
}

std::int64_t ParameterReader::integer(const char* key, std::int64_t least, std::int64_t most) {
  const nlohmann::json& value = find(key);
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(most)) &&
                    value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most;
  if (!fits) {
    fail(fmt::format("hyperparameter '{}' is {}; expected an integer from {} to {}", key, value.dump(), least, most));
  }
  return value.get<std::int64_t>();
}

double ParameterReader::number(const char* key) {
  const nlohmann::json& value = find(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    fail(fmt::format("hyperparameter '{}' is {}; expected a finite number", key, value.dump()));
  }
  return value.get<double>();
}

double ParameterReader::positive(const char* key) {
  const nlohmann::json& value = find(key);
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
    fail(fmt::format("hyperparameter '{}' is {}; expected a finite number above zero", key, value.dump()));
  }
  return value.get<double>();
}

std::string ParameterReader::text(const char* key) {
  const nlohmann::json& value = find(key);
  if (!value.is_string()) fail(fmt::format("hyperparameter '{}' is {}; expected a string", key, value.dump()));
  return value.get<std::string>();
}

bool ParameterReader::boolean(const char* key) {
  const nlohmann::json& value = find(key);
  if (!value.is_boolean()) fail(fmt::format("hyperparameter '{}' is {}; expected true or false", key, value.dump()));
  return value.get<bool>();
}

std::string ParameterReader::choice(const char* key, std::initializer_list<std::string_view> choices) {
  const nlohmann::json& value = find(key);
  if (!value.is_string() || std::ranges::find(choices, value.get<std::string>()) == choices.end()) {
    fail(fmt::format("hyperparameter '{}' is {}; expected one of: {}", key, value.dump(), fmt::join(choices, ", ")));
  }
  return value.get<std::string>();
}

void ParameterReader::refuse_unread() const {
  for (const auto& [key, value] : parameters_.items()) {
    if (!read_.contains(key)) fail(fmt::format("hyperparameter '{}' is not known", key));
  }
}

ValueId WeightSource::required(const std::string& name, const Shape& expected) {
  if (!has(name))
    throw Error(fmt::format("tensor '{}' is missing; expected shape {}", shown(name), to_string(expected)));
  return optional(name, expected);
}

const TensorType* WeightSource::find(const std::string& name, const Shape& expected) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return nullptr;
  const TensorType& type = found->second;
  if (type.shape != expected) {
    throw Error(fmt::format("tensor '{}' has shape {}, but the hyperparameters imply {}", shown(name),
                            to_string(type.shape), to_string(expected)));
  }
  if (expected.size() == 1 && type.dtype != DType::F32) {
    throw Error(fmt::format("tensor '{}' is {}; norms and biases must be f32", shown(name), dtype_name(type.dtype)));
  }
  read_.insert(name);
  return &type;
}

ValueId WeightSource::optional(const std::string& name, const Shape& expected) {
  const TensorType* type = find(name, expected);
  if (type == nullptr) return kNoValue;
  return builder_.weight(name, type->dtype, SymbolicShape(expected.begin(), expected.end()));
}

std::vector<double> WeightSource::values(const std::string& name, const Shape& expected) {
  if (find(name, expected) == nullptr) return {};
  const std::vector<float> elements = values_(name);
  return {elements.begin(), elements.end()};
}

void WeightSource::refuse_unread(std::string_view family) const {
  models::refuse_unread(family, tensors_, read_, names_);
}

void refuse_unread(std::string_view family, const TensorTable& tensors, const std::set<std::string, std::less<>>& read,
                   const TensorNames& names) {
  for (const auto& [name, type] : tensors) {
    if (!read.contains(name)) {
      throw Error(fmt::format("tensor '{}' {} has no place in a {} model of these hyperparameters",
                              names ? names(name) : name, to_string(type.shape), family));
    }
  }
}

}  // namespace heed::models
