// What the readers of NIfTI and TIFF offer to volume.cpp. Internal to io.
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

}  // namespace weft::io
