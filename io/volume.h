// Volumes: stacks of slices as tensors [D, H, W], from .npy, NIfTI-1, multi-page TIFF, HDF5
// and folders of slices.
// Knows tensors only; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/core/tensor.h"

namespace weft::io {

/// A volume and the distances of its elements.
struct Volume {
  Tensor data;                                ///< [D, H, W], or [C, D, H, W]
  std::array<double, 3> spacing = {1, 1, 1};  ///< of D, H, W, in the file's unit; 1 where the file says nothing
};

/// Options of read_volume.
struct ReadVolumeOptions {
  bool scaled = true;        ///< NIfTI: stored * scl_slope + scl_inter, in f32 (f64 of f64); false: the stored numbers
  std::string dataset = "";  ///< HDF5: which one; empty: the only one of 3 or 4 axes
};

/// Reads a volume in the dtype that it is stored in (u32 and u64 become i64); the content decides, not the name.
/// - .npy of 3 or 4 axes, as load_npy reads it.
/// - NIfTI-1, .nii and .nii.gz. Axes x, y, z become W, H, D, and t, or the fifth where t is 1, C; nothing is flipped.
/// - TIFF through libtiff: grey (or palette indices) of 8, 16, 32 or 64 bits, integers or floats, strips or tiles, big
///   or small, in all compressions that libtiff has. Pages are slices, of one size; spacing as ImageJ stores it.
/// - HDF5 files, through the plugin of io::Hdf5File.
/// - A folder of slices, .png, .jpg, .tif, in the order of the numbers in their names: u8 or u16 from PNG (stored
///   numbers, not scaled), u8 from JPEG, one page of TIFF each.
/// IoError names the file and what is wrong with it; NotSupported what weft does not read (colours, complex numbers).
WEFT_API Volume read_volume(const std::string& path, const ReadVolumeOptions& o = {});
/// The same with the bytes of a file; `name` stands for the file in errors.
WEFT_API Volume read_volume(std::span<const std::byte> bytes, std::string_view name, const ReadVolumeOptions& o = {});

/// Reads labels -> i64 [D, H, W] (or [C, D, H, W]): the stored integers, whatever scale a header has. Floats pass where
/// all are whole numbers; otherwise IoError. `dataset` as in ReadVolumeOptions.
WEFT_API Tensor read_volume_labels(const std::string& path, const std::string& dataset = "");

}  // namespace weft::io
