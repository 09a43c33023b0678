#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "heed/picture.h"

namespace heed {

/// The logarithm of a short piece's spectrum: for each of `columns` pieces along the samples, `rows` numbers, the power
/// at frequencies from 0 to half the sample rate in decibels of the loudest; at least -80. Pieces are `2 * rows`
/// samples long, under Hann's window; rows must be a power of two.
std::vector<float> spectrogram(std::span<const float> samples, std::int64_t columns, std::int64_t rows);

/// A sound as a picture: its wave above, as the least and the greatest sample of each column, and below it its
/// spectrogram, low frequencies at the bottom, from violet to yellow. A tick at each tenth of a second.
Picture sound_picture(std::span<const float> samples, std::int64_t sample_rate);

/// The most samples of a picture: more would be of no use to anybody, and they are kept in memory.
inline constexpr std::int64_t kMostPictureSamples = std::int64_t{1} << 24;

}  // namespace heed
