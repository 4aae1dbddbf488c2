// What the readers of NIfTI, TIFF and HDF5 offer to volume.cpp. Internal to io.
// Knows no other format.
#pragma once

#include "weft/io/file.h"
#include "weft/io/volume.h"

namespace weft::io {

/// Whether it begins as NIfTI (1, 2) or its forerunner does, or is gzipped.
bool may_be_nifti(Bytes bytes);
bool is_tiff(Bytes bytes);
Volume read_nifti(const Source& source, const ReadVolumeOptions& o);
Volume read_tiff(const Source& source);

bool is_hdf5(Bytes bytes);
/// The dataset of that name, or the only one of 3 or 4 axes.
Volume read_hdf5(const std::string& path, const std::string& dataset);

}  // namespace weft::io
