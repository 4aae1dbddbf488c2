#include "weft/data/volume.h"

#include <algorithm>

namespace weft::data {

struct VolumePatches::Content {
  /// The voxels of one class: how many lie before each row of W.
  struct ClassVoxels {
    int64_t label;
    std::vector<int64_t> before = {};
    int64_t count = 0;
  };
  Tensor volume, labels;  // [C, D, H, W], [D, H, W]
  VolumePatchesOptions options;
  Shape sizes, grid;  // of the volume; patches along each axis
  std::vector<ClassVoxels> classes;

  ClassVoxels find(int64_t label) const {
    ClassVoxels found{label};
    const int64_t width = labels.size(2);
    for (int64_t z = 0; z < labels.size(0); ++z) {
      const Tensor slice = labels.select(0, z).to(Dtype::i64).contiguous();
      const int64_t* row = slice.data<int64_t>();
      for (int64_t y = 0; y < labels.size(1); ++y, row += width) {
        found.before.push_back(found.count);
        found.count += std::count(row, row + width, label);
      }
    }
    WEFT_CHECK(found.count > 0, ValueError, "VolumePatches: no voxel has the class ", label, " of `around`");
    return found;
  }
  /// [z, y, x] of voxel k of the class.
  Shape voxel(const ClassVoxels& c, int64_t k) const {
    const int64_t row = std::upper_bound(c.before.begin(), c.before.end(), k) - c.before.begin() - 1;
    const int64_t z = row / labels.size(1), y = row % labels.size(1);
    const Tensor line = labels.select(0, z).select(0, y).to(Dtype::i64).contiguous();
    int64_t left = k - c.before[static_cast<size_t>(row)], x = 0;
    for (;; ++x)
      if (line.data<int64_t>()[x] == c.label && left-- == 0) return {z, y, x};
  }
  Tensor cut(Tensor x, const Shape& start) const {
    for (int axis = 0; axis < 3; ++axis) x = x.narrow(axis + x.rank() - 3, start[axis], options.size[axis]);
    return x.contiguous();
  }
};

VolumePatches::VolumePatches(const Tensor& volume, const Tensor& labels, const VolumePatchesOptions& o) {
  auto content = std::make_shared<Content>();
  Content& c = *content;
  WEFT_CHECK(volume.rank() == 3 || volume.rank() == 4, ShapeError,
             "VolumePatches: the volume must be [D, H, W] or [C, D, H, W], got ", volume.shape());
  c.volume = volume.rank() == 3 ? volume.detach().unsqueeze(0) : volume.detach();
  c.sizes = c.volume.shape().slice(1);
  c.options = o;
  if (o.stride.empty()) c.options.stride = o.size;
  WEFT_CHECK(o.size.size() == 3 && c.options.stride.size() == 3, ShapeError, "VolumePatches: size ", o.size,
             " and stride ", c.options.stride, " must have 3 entries");
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t size = o.size[axis], stride = c.options.stride[axis];
    WEFT_CHECK(size > 0 && size <= c.sizes[axis], ShapeError, "VolumePatches: patches of ", o.size,
               " do not fit the volume ", c.sizes);
    WEFT_CHECK(stride > 0, ValueError, "VolumePatches: the stride ", c.options.stride, " is not positive");
    c.grid.push_back((c.sizes[axis] - size + stride - 1) / stride + 1);
  }
  WEFT_CHECK(o.count >= 0, ValueError, "VolumePatches: count ", o.count, " is negative");
  if (labels.defined()) {
    WEFT_CHECK(labels.shape() == c.sizes, ShapeError, "VolumePatches: labels ", labels.shape(), " of the volume ",
               c.sizes);
    WEFT_CHECK(!labels.is_floating(), DtypeError, "VolumePatches: labels must be integers, got ", labels.dtype());
    c.labels = labels.detach();
  }
  WEFT_CHECK(o.around.empty() || (labels.defined() && o.count > 0), ValueError,
             "VolumePatches: `around` needs labels and a count of random patches");
  for (int64_t label : o.around) c.classes.push_back(label == -1 ? Content::ClassVoxels{-1} : c.find(label));
  content_ = std::move(content);
}

int64_t VolumePatches::size() const {
  return content_->options.count ? content_->options.count : content_->grid.numel();
}

Shape VolumePatches::start(int64_t i) const {
  const Content& c = *content_;
  check_index("VolumePatches", i, size());
  WEFT_CHECK(c.options.count == 0, ValueError, "VolumePatches: random patches have no start before they are drawn");
  const Shape place{i / (c.grid[1] * c.grid[2]), i / c.grid[2] % c.grid[1], i % c.grid[2]};
  Shape at;
  for (int axis = 0; axis < 3; ++axis)
    at.push_back(std::min(place[axis] * c.options.stride[axis], c.sizes[axis] - c.options.size[axis]));
  return at;
}

Example VolumePatches::get(int64_t i, Generator& g) const {
  const Content& c = *content_;
  check_index("VolumePatches", i, size());
  Shape at;
  if (c.options.count == 0) {
    at = start(i);
  } else {
    const Content::ClassVoxels* around = c.classes.empty() ? nullptr
                                                           : &c.classes[static_cast<size_t>(i) % c.classes.size()];
    Shape middle;
    if (around && around->count > 0)
      middle = c.voxel(*around, static_cast<int64_t>(g.below(static_cast<uint64_t>(around->count))));
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t last = c.sizes[axis] - c.options.size[axis];
      at.push_back(middle.empty() ? static_cast<int64_t>(g.below(static_cast<uint64_t>(last) + 1))
                                  : std::clamp<int64_t>(middle[axis] - c.options.size[axis] / 2, 0, last));
    }
  }
  return {c.cut(c.volume, at), c.labels.defined() ? c.cut(c.labels, at).to(Dtype::i64) : Tensor(),
          str("patch at ", at)};
}

}  // namespace weft::data
