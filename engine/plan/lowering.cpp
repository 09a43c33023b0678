#include "plan/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include "graph/integer.h"
#include "graph/quantised.h"
#include "heed/error.h"

namespace heed {
namespace {

std::uint64_t device_bytes(ValueKind kind, const TensorType& type) {
  const std::uint64_t bytes = u64(element_count(type.shape)) * device_element_bytes(kind, type.dtype);
  return std::max<std::uint64_t>(16, round_up(bytes, 16));
}

Shape dense_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

}  // namespace

Lowering::Lowering(Plan& plan, const Graph& graph, const std::vector<TensorType>& types, const KnownValues& known,
                   const DeviceCaps& caps, const Tuning& tuning)
    : plan_(plan),
      graph_(graph),
      types_(types),
      known_(known),
      caps_(caps),
      tuning_(tuning),
      tensor_of_value_(graph.values.size(), -1),
      offset_of_value_(graph.values.size(), 0) {}

bool Lowering::has(std::size_t i) const { return i < node_->inputs.size() && node_->inputs[i] != kNoValue; }

const PartOperand* Lowering::part_of_input(std::size_t i) const {
  if (part_ == nullptr) return nullptr;
  const PartOperand& operand = part_->inputs[i];
  return operand.at || operand.known || operand.order ? &operand : nullptr;
}

const TensorType& Lowering::input(std::size_t i) const {
  assert(has(i));
  if (part_ != nullptr) return part_->inputs[i].type;
  return types_[static_cast<std::size_t>(node_->inputs[i])];
}

const TensorType& Lowering::output(std::size_t i) const {
  assert(wants_output(i));
  if (part_ != nullptr) return part_->outputs[i].type;
  return types_[static_cast<std::size_t>(node_->outputs[i])];
}

bool Lowering::wants_output(std::size_t i) const { return i < node_->outputs.size() && node_->outputs[i] != kNoValue; }

bool Lowering::is_graph_output(std::size_t i) const {
  return std::find(graph_.outputs.begin(), graph_.outputs.end(), node_->outputs[i]) != graph_.outputs.end();
}

const TensorType* Lowering::input_of_maker(std::size_t input, std::string_view op) const {
  const auto maker = std::ranges::find_if(graph_.nodes, [&](const Node& node) {
    return node.op == op && std::ranges::find(node.outputs, node_->inputs[input]) != node.outputs.end();
  });
  if (maker == graph_.nodes.end() || maker->inputs.empty() || maker->inputs[0] == kNoValue) return nullptr;
  return &types_[static_cast<std::size_t>(maker->inputs[0])];
}

const HostTensor* Lowering::known(std::size_t input) const {
  if (const PartOperand* operand = has(input) ? part_of_input(input) : nullptr; operand != nullptr) {
    return operand->known.get();
  }
  const auto found = has(input) ? known_.find(node_->inputs[input]) : known_.end();
  return found == known_.end() ? nullptr : &found->second;
}

const HostTensor* Lowering::known_output(std::size_t i) const {
  const auto found = known_.find(node_->outputs[i]);
  return found == known_.end() ? nullptr : &found->second;
}

void Lowering::fail(std::string_view message) const {
  throw Error(fmt::format("{} '{}' on {}: {}", node_->op, node_->name, caps_.name, message));
}

void Lowering::fail_too_large(std::string_view message) const {
  throw TooLarge(fmt::format("{} '{}' on {}: {}", node_->op, node_->name, caps_.name, message));
}

const LoweredPart* Lowering::set_part(const LoweredPart* part) {
  node_ = part == nullptr ? whole_node_ : &part->node;
  return std::exchange(part_, part);
}

std::optional<WeightOrder> Lowering::weight_order(std::size_t i) const {
  const Value& value = graph_.value(node_->inputs[i]);
  if (value.kind != ValueKind::Weight || !value.parts.empty() || known(i) != nullptr) return std::nullopt;
  if (!is_floating(input(i).dtype)) return std::nullopt;
  if (const PartOperand* operand = part_of_input(i)) return operand->order;
  const Shape& shape = input(i).shape;
  return WeightOrder{shape, shape, dense_strides(shape), 0};
}

bool Lowering::is_state(std::size_t i) const { return graph_.value(node_->inputs[i]).kind == ValueKind::State; }

std::size_t Lowering::add_tensor(PlanTensor tensor) {
  if (tensor.bytes > caps_.max_memory_allocation) {
    fail_too_large(
        fmt::format("tensor '{}' needs {} bytes, but the device allocates at most {} at a time; use smaller sizes",
                    tensor.name, tensor.bytes, caps_.max_memory_allocation));
  }
  plan_.tensors.push_back(std::move(tensor));
  return plan_.tensors.size() - 1;
}

DeviceWeight Lowering::describe_weight(const Value& value, const TensorType& type, WeightLayout layout) const {
  DeviceWeight weight;
  weight.layout = layout;
  weight.dtype = type.dtype;
  weight.parts = value.parts.empty() ? std::vector<std::string>{value.name} : value.parts;
  const std::int64_t count = element_count(type.shape);
  const bool rows = !type.shape.empty() && type.shape[0] > 0;
  weight.row_count = rows ? type.shape[0] : 1;
  weight.columns = rows ? count / type.shape[0] : count;
  if (layout == WeightLayout::Matrix && type.shape.size() > 2) {  // a stack
    weight.columns = type.shape.back();
    weight.row_count = weight.columns == 0 ? 0 : count / weight.columns;
  }
  if (layout != WeightLayout::Matrix && value.parts.empty()) {
    weight.row_count = 1;  // one run of elements, whatever the shape
    weight.columns = count;
  }
  return weight;
}

std::size_t Lowering::weight_tensor(DeviceWeight weight, const Value& value) {
  const std::string key = "weight:" + weight.key();
  if (const auto known = tensor_of_key_.find(key); known != tensor_of_key_.end()) return known->second;
  lay_out(weight);
  PlanTensor tensor;
  tensor.name = value.name;
  tensor.storage = Storage::Weight;
  tensor.type = {weight.dtype, {weight.row_count, weight.columns}};
  tensor.bytes = std::max<std::uint64_t>(16, weight.bytes);
  tensor.source = plan_.weights.size();
  plan_.weights.push_back(std::move(weight));
  return add_keyed_tensor(key, std::move(tensor));
}

std::size_t Lowering::add_keyed_tensor(const std::string& key, PlanTensor tensor) {
  const std::size_t index = add_tensor(std::move(tensor));
  tensor_of_key_[key] = index;
  added_keys_.push_back(key);
  return index;
}

void Lowering::place_value(std::size_t value, std::size_t tensor, std::uint64_t offset) {
  placed_values_.emplace_back(value, tensor_of_value_[value], offset_of_value_[value]);
  tensor_of_value_[value] = static_cast<int>(tensor);
  offset_of_value_[value] = offset;
}

Lowering::Place Lowering::place(ValueId id, bool dense_weight) {
  const auto index = static_cast<std::size_t>(id);
  const Value& value = graph_.values[index];
  const TensorType& type = types_[index];
  if (value.kind == ValueKind::Weight) {
    assert(dense_weight);
    (void)dense_weight;
    const std::size_t tensor = weight_tensor(describe_weight(value, type, WeightLayout::Dense), value);
    return {tensor, 0, plan_.tensors[tensor].bytes};
  }
  if (const auto part = within_.find(id); tensor_of_value_[index] < 0 && part != within_.end()) {
    const Place whole = place(part->second.first, false);
    place_value(index, whole.tensor, whole.offset + part->second.second);
  }
  if (tensor_of_value_[index] < 0) {
    PlanTensor tensor;
    tensor.name = value.name;
    tensor.type = type;
    tensor.bytes = device_bytes(value.kind, type);
    const bool is_output = std::find(graph_.outputs.begin(), graph_.outputs.end(), id) != graph_.outputs.end();
    tensor.storage = value.kind == ValueKind::Input   ? Storage::Input
                     : value.kind == ValueKind::State ? Storage::State
                     : is_output                      ? Storage::Output
                                                      : Storage::Arena;
    place_value(index, add_tensor(std::move(tensor)), 0);
  }
  return {static_cast<std::size_t>(tensor_of_value_[index]), offset_of_value_[index], device_bytes(value.kind, type)};
}

Binding Lowering::read(std::size_t i, View view) {
  if (!has(i)) fail(fmt::format("input {} is missing", i));
  if (const HostTensor* tensor = known(i)) return constant(graph_.value(node_->inputs[i]).name, *tensor, view);
  if (const PartOperand* operand = part_of_input(i)) {
    if (!operand->at) return ordered_binding(node_->inputs[i], *operand->order, view);
    Binding binding = *operand->at;
    binding.access = Access::Read;
    binding.view = view;
    return binding;
  }
  const Place at = place(node_->inputs[i], true);
  return {at.tensor, at.offset, at.size, Access::Read, view};
}

Binding Lowering::read_or(std::size_t i, View view, const Binding& otherwise) {
  if (has(i)) return read(i, view);
  Binding binding = otherwise;
  binding.access = Access::Read;
  binding.view = view;
  return binding;
}

Binding Lowering::write(std::size_t i) {
  if (part_ != nullptr && part_->outputs[i].at) {
    Binding binding = *part_->outputs[i].at;
    binding.access = Access::Write;
    return binding;
  }
  const Place at = place(node_->outputs[i], false);
  return {at.tensor, at.offset, at.size, Access::Write, View::None};
}

Binding Lowering::update(std::size_t i) {
  assert(part_of_input(i) == nullptr);
  const Place at = place(node_->inputs[i], false);
  return {at.tensor, at.offset, at.size, Access::ReadWrite, View::None};
}

Lowering::Mark Lowering::mark() const {
  return {plan_.tensors.size(),      plan_.weights.size(),  plan_.constants.size(), plan_.dispatches.size(),
          plan_.index_checks.size(), placed_values_.size(), added_keys_.size(),     added_checks_.size()};
}

void Lowering::rewind(const Mark& mark) {
  plan_.tensors.resize(mark.tensors);
  plan_.weights.resize(mark.weights);
  plan_.constants.resize(mark.constants);
  plan_.dispatches.resize(mark.dispatches);
  plan_.index_checks.resize(mark.index_checks);
  for (; placed_values_.size() > mark.placed_values; placed_values_.pop_back()) {
    const auto& [value, tensor, offset] = placed_values_.back();
    tensor_of_value_[value] = tensor;
    offset_of_value_[value] = offset;
  }
  for (; added_keys_.size() > mark.added_keys; added_keys_.pop_back()) tensor_of_key_.erase(added_keys_.back());
  for (; added_checks_.size() > mark.added_checks; added_checks_.pop_back()) checked_.erase(added_checks_.back());
}

ValuePlace Lowering::place_of(ValueId id) const {
  const auto index = static_cast<std::size_t>(id);
  if (tensor_of_value_[index] < 0) return {};
  return {static_cast<std::size_t>(tensor_of_value_[index]), offset_of_value_[index]};
}

void Lowering::place_outputs() {
  for (const ValueId id : graph_.outputs) {
    if (graph_.value(id).kind == ValueKind::Intermediate) place(id, false);
  }
}

std::vector<MatrixPiece> Lowering::matrix(std::size_t i, std::int64_t outputs, bool gate, std::int64_t head_rows) {
  const ValueId id = node_->inputs[i];
  const Value& value = graph_.value(id);
  const TensorType& type = types_[static_cast<std::size_t>(id)];
  if (value.kind != ValueKind::Weight) fail(fmt::format("'{}' is not a weight", value.name));
  assert(part_of_input(i) == nullptr);
  DeviceWeight whole = describe_weight(value, type, WeightLayout::Matrix);
  whole.band =
      band_within(type.dtype, whole.columns, tuning_.of(type.dtype).weight_band(outputs, gate, head_rows), caps_);
  std::int64_t step = 0;
  try {
    const std::int64_t whole_bands = ceil_div(32, whole.band) * whole.band;
    step = rows_per_piece(type.dtype, whole.columns, whole.band,
                          gate ? whole.row_count : std::min(whole.row_count, whole_bands), caps_);
  } catch (const Error& error) {
    fail(error.what());
  }
  std::vector<MatrixPiece> pieces;
  for (std::int64_t begin = 0; begin < whole.row_count; begin += step) {
    DeviceWeight weight = whole;
    weight.row_begin = begin;
    weight.row_count = std::min(step, whole.row_count - begin);
    lay_out(weight);
    const std::uint64_t words = weight.scales_offset == 0 ? weight.bytes : weight.scales_offset;
    const std::uint64_t scales = weight.scales_offset;
    const std::uint64_t bytes = weight.bytes;
    const std::int64_t rows = weight.row_count;
    const std::size_t tensor = weight_tensor(std::move(weight), value);
    MatrixPiece piece{begin, rows, u32(whole.band), bytes, {}, {}};
    piece.words = {tensor, 0, words, Access::Read, type.dtype == DType::F32 ? View::F32x4 : View::U32x4};
    piece.scales = {tensor, 0, std::min<std::uint64_t>(words, 256), Access::Read, View::U32x4};
    if (scales != 0) piece.scales = {tensor, scales, bytes - scales, Access::Read, View::U32x4};
    pieces.push_back(piece);
  }
  return pieces;
}

std::optional<Binding> Lowering::ordered(std::size_t i, WeightOrder order, View view) {
  const std::optional<WeightOrder> elements = weight_order(i);
  if (!elements) return std::nullopt;
  // Elements of a part that lie together in the file: the first of them is the part's.
  const Shape dense = dense_strides(elements->sizes);
  for (std::size_t d = 0; d < dense.size(); ++d) {
    if (elements->sizes[d] > 1 && elements->strides[d] != dense[d]) return std::nullopt;
  }
  order.first += elements->first;
  return ordered_binding(node_->inputs[i], std::move(order), view);
}

Binding Lowering::ordered_binding(ValueId id, WeightOrder order, View view) {
  const Value& value = graph_.value(id);
  DeviceWeight weight = describe_weight(value, types_[static_cast<std::size_t>(id)], WeightLayout::Ordered);
  weight.order = std::move(order);
  const std::size_t tensor = weight_tensor(std::move(weight), value);
  return {tensor, 0, plan_.tensors[tensor].bytes, Access::Read, view};
}

Binding Lowering::scratch(std::string name, std::uint64_t bytes) {
  PlanTensor tensor;
  tensor.name = node_->name + "." + std::move(name);
  tensor.bytes = round_up(bytes, 16);
  const std::uint64_t size = tensor.bytes;
  return {add_tensor(std::move(tensor)), 0, size, Access::ReadWrite, View::None};
}

void Lowering::check_indices(std::size_t i, std::string what, const Shape& sizes, bool from_end) {
  if (part_ != nullptr) {
    // The whole input at once: messages count its elements.
    const LoweredPart* part = set_part(nullptr);
    check_indices(i, std::move(what), sizes, from_end);
    set_part(part);
    return;
  }
  constexpr std::size_t kMostSizes = 8;  // of shaders/check_indices.comp
  assert(!sizes.empty() && sizes.size() <= kMostSizes);
  const std::int64_t count = element_count(input(i).shape);
  const IndexCheck check{node_->op, node_->name, std::move(what), sizes, from_end};
  if (const HostTensor* tensor = known(i)) {
    for (std::size_t e = 0; e < tensor->data.size(); ++e) {
      const std::int64_t size = sizes[e % sizes.size()];
      const std::int64_t value = to_integer(tensor->data[e]);
      if (value < (from_end ? -size : 0) || value >= size) {
        throw Error(check.message(static_cast<std::int64_t>(e), value));
      }
    }
    return;
  }
  const ValueId id = node_->inputs[i];
  if (count == 0 || graph_.value(id).kind == ValueKind::State || !checked_.emplace(id, sizes, from_end).second) return;
  added_checks_.emplace_back(id, sizes, from_end);
  const std::string key = "flag";
  const auto flag = tensor_of_key_.find(key);
  if (flag == tensor_of_key_.end()) {
    PlanTensor tensor;
    tensor.name = key;
    tensor.storage = Storage::Flag;
    tensor.bytes = 16;
    add_keyed_tensor(key, std::move(tensor));
  }
  plan_.index_checks.push_back(check);
  Dispatch d;
  d.shader = "check_indices";
  d.bindings = {read(i, View::I32), {tensor_of_key_.at(key), 0, 16, Access::ReadWrite, View::None}};
  d.push_constants = {u32(count), u32(static_cast<std::int64_t>(plan_.index_checks.size())),
                      u32(static_cast<std::int64_t>(sizes.size()))};
  for (std::size_t s = 0; s < kMostSizes; ++s) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();  // of what an index can say
    d.push_constants.push_back(u32(s < sizes.size() ? std::min(sizes[s], kMost) : 0));
  }
  d.specialization = {lanes(64), from_end};
  d.groups = spread((static_cast<std::uint64_t>(count) + d.specialization[0] - 1) / d.specialization[0]);
  emit(std::move(d));
}

Binding Lowering::counter(std::size_t count) {
  const std::vector<std::int32_t> zero(count, 0);
  // Not among the constants, whatever their names: a kernel writes here.
  Binding binding = constant_words("counter:", node_->name, std::as_bytes(std::span(zero)), DType::I32, View::None);
  binding.access = Access::ReadWrite;
  return binding;
}

bool Lowering::alias(std::size_t i, std::size_t from, std::uint64_t offset) {
  if (part_ != nullptr) return false;
  const ValueId source = node_->inputs[from];
  const ValueId target = node_->outputs[i];
  const bool is_output = std::find(graph_.outputs.begin(), graph_.outputs.end(), target) != graph_.outputs.end();
  if (graph_.value(source).kind != ValueKind::Intermediate || is_output || known(from) != nullptr) return false;
  const Place at = place(source, false);
  // What has no elements may begin where the tensor ends, and bindings have bytes.
  if (element_count(types_[static_cast<std::size_t>(target)].shape) == 0) offset = 0;
  if ((at.offset + offset) % caps_.buffer_alignment != 0) return false;
  place_value(static_cast<std::size_t>(target), at.tensor, at.offset + offset);
  return true;
}

void Lowering::place_within(ValueId part, ValueId whole, std::uint64_t offset) {
  const TensorType& type = types_[static_cast<std::size_t>(part)];
  const bool is_output = std::find(graph_.outputs.begin(), graph_.outputs.end(), part) != graph_.outputs.end();
  if (graph_.value(part).kind != ValueKind::Intermediate || is_output || known_.contains(part)) return;
  // Kernels may write whole vectors of four.
  const std::uint64_t bytes = u64(element_count(type.shape)) * 4;
  if (bytes == 0 || bytes % 16 != 0 || offset % caps_.buffer_alignment != 0) return;
  within_.try_emplace(part, whole, offset);
}

bool Lowering::lies_in_output(std::size_t input, std::uint64_t offset) {
  if (part_ != nullptr) return false;  // of a part, the output may be elsewhere for now
  const auto part = within_.find(node_->inputs[input]);
  if (part == within_.end() || part->second.first != node_->outputs[0]) return false;
  const Place at = place(node_->inputs[input], false);
  const Place whole = place(node_->outputs[0], false);
  return at.tensor == whole.tensor && at.offset == whole.offset + offset;
}

std::array<std::uint32_t, 3> Lowering::spread(std::uint64_t count) const {
  const std::uint64_t x = std::min<std::uint64_t>(std::max<std::uint64_t>(count, 1), caps_.max_workgroup_count[0]);
  const std::uint64_t y = ceil_div(std::max<std::uint64_t>(count, 1), x);
  if (y > caps_.max_workgroup_count[1]) {
    fail(fmt::format("needs {} workgroups; the device runs at most {} x {}", count, caps_.max_workgroup_count[0],
                     caps_.max_workgroup_count[1]));
  }
  return {static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), 1};
}

std::uint32_t Lowering::lanes(std::uint32_t wanted) const {
  return std::min(
      {caps_.max_workgroup_invocations, caps_.max_workgroup_size[0], std::max(wanted, caps_.subgroup_size)});
}

std::uint32_t Lowering::lanes_of_row(std::uint64_t elements) const {
  const auto can_halve = [&](std::uint32_t lanes) {
    const std::uint32_t half = lanes / 2;
    return lanes % 2 == 0 && half >= tuning_.lanes && half >= elements && half % caps_.subgroup_size == 0;
  };
  std::uint32_t lanes = tuning_.row_lanes;
  while (can_halve(lanes)) lanes /= 2;
  return lanes;
}

std::uint32_t Lowering::wider(std::uint32_t lanes) const {
  const std::uint32_t most = std::min(caps_.max_workgroup_invocations, caps_.max_workgroup_size[0]);
  if (lanes >= most) {
    fail(fmt::format("needs more than {} loop iterations in workgroups of {}; use a newer driver or smaller sizes",
                     caps_.max_loop_iterations, lanes));
  }
  return std::min(2 * lanes, most);
}

void Lowering::emit(Dispatch dispatch) {
  dispatch.label = node_->name;
  dispatch.texel = tuning_.texel && !dispatch.storage_only;
  for (const Binding& binding : dispatch.bindings) {
    if (binding.offset % caps_.buffer_alignment != 0) {
      fail(fmt::format("a binding starts at byte {}, which is not a multiple of {}", binding.offset,
                       caps_.buffer_alignment));
    }
    if (binding.view != View::None && binding.size / view_texel_bytes(binding.view) > caps_.max_texel_buffer_elements) {
      dispatch.texel = false;
    }
  }
  const auto texel_buffers = static_cast<std::size_t>(
      std::ranges::count_if(dispatch.bindings, [](const Binding& binding) { return binding.view != View::None; }));
  if (texel_buffers > caps_.max_texel_buffers) dispatch.texel = false;
  if (dispatch.bindings.size() > caps_.max_resources) {
    fail(fmt::format("kernel {} binds {} buffers; the device has {} (maxPerStageResources)", dispatch.shader,
                     dispatch.bindings.size(), caps_.max_resources));
  }
  std::uint32_t storage_buffers = 0;
  for (const Binding& binding : dispatch.bindings) {
    const bool storage = binding.view == View::None || !dispatch.texel;
    storage_buffers += storage;
    if (storage && binding.size > caps_.max_storage_buffer_range) {
      fail_too_large(
          fmt::format("'{}' binds {} bytes; the device binds at most {} (maxStorageBufferRange); use smaller sizes",
                      plan_.tensors[binding.tensor].name, binding.size, caps_.max_storage_buffer_range));
    }
  }
  if (storage_buffers > caps_.max_storage_buffers) {
    fail(fmt::format("kernel {} binds {} storage buffers; the device has {} (maxPerStageDescriptorStorageBuffers)",
                     dispatch.shader, storage_buffers, caps_.max_storage_buffers));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (dispatch.groups[i] == 0) return;  // nothing to do: an empty tensor
    if (dispatch.groups[i] > caps_.max_workgroup_count[i]) {
      fail(fmt::format("needs {} workgroups in dimension {}; the device runs at most {}", dispatch.groups[i], i,
                       caps_.max_workgroup_count[i]));
    }
  }
  if (dispatch.push_constants.size() * 4 > caps_.max_push_constants) {
    fail(fmt::format("needs {} bytes of push constants; the device has {}", dispatch.push_constants.size() * 4,
                     caps_.max_push_constants));
  }
  const std::uint32_t lanes = dispatch.specialization.empty() ? 1 : dispatch.specialization[0];
  if (lanes > caps_.max_workgroup_invocations || lanes > caps_.max_workgroup_size[0]) {
    fail(fmt::format("needs workgroups of {}; the device runs at most {}", lanes, caps_.max_workgroup_invocations));
  }
  if (dispatch.subgroup_size != 0 && lanes % dispatch.subgroup_size != 0) {
    fail(fmt::format("needs subgroups of {} in workgroups of {}", dispatch.subgroup_size, lanes));
  }
  plan_.dispatches.push_back(std::move(dispatch));
}

}  // namespace heed
