// Stacks of grey slices, read in blocks; labels; and .npy files that are written slab by slab.
// Knows files and tensors, no network.
#pragma once

#include <weft/weft.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>

/// A volume [D, H, W] of which blocks are read. In memory is only what a block needs where the file allows that: .npy
/// and .nii are mapped, HDF5 is read in parts, of a folder the slices of the last block stay. Other files (.nii.gz,
/// TIFF) are held whole.
class Stack {
 public:
  /// A folder of slices or a file that io::read_volume reads; of HDF5 also FILE:DATASET. IoError names the file.
  static Stack open(const std::string& path);
  explicit Stack(const weft::Tensor& volume, std::string name = "volume");

  const weft::Shape& shape() const { return shape_; }  ///< [D, H, W]
  const std::string& name() const { return name_; }
  /// Of the file's values.
  bool is_bytes() const { return bytes_; }
  /// The number, in the file, of the first slice.
  int64_t first() const { return first_; }
  /// The slices [begin, end) of it; IoError where there are not so many.
  Stack slices(int64_t begin, int64_t end) const;
  /// The block that begins at `start` -> f32 [size]. ValueError with the slice for values that are not finite. Used by
  /// one thread.
  weft::Tensor read(const weft::Shape& start, const weft::Shape& size) const;
  /// The same of whole slices.
  weft::Tensor read(int64_t begin, int64_t count) const { return read({begin, 0, 0}, {count, shape_[1], shape_[2]}); }

 private:
  Stack() = default;
  std::string name_;
  weft::Shape shape_;
  bool bytes_ = true;
  int64_t first_ = 0;
  std::function<weft::Tensor(const weft::Shape& start, const weft::Shape& size)> read_;
};

/// The whole volume [D, H, W] in its own dtype, mapped where the file allows that. Paths as Stack::open takes.
weft::Tensor read_whole(const std::string& path);

/// Which labels are membrane: "<128", ">0" or "=1".
struct MembraneRule {
  char comparison = '<';
  int64_t value = 128;
  /// ValueError for other texts.
  static MembraneRule parse(const std::string& text);
  /// u8 0 and 1 of any integers.
  weft::Tensor operator()(const weft::Tensor& labels) const;
};

/// Reads labels as u8 [D, H, W]: 1 is membrane. `of`: the stack that they are of; ShapeError, with both names, where
/// the sizes differ; ValueError where there is nothing but membrane, or none.
weft::Tensor read_membranes(const std::string& path, const MembraneRule& rule, const Stack& of);

/// A .npy file of u8 [D, H, W] that grows by slabs; it has its name once it is whole.
class NpyWriter {
 public:
  NpyWriter(std::string path, const weft::Shape& shape);
  ~NpyWriter();
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;
  /// slab: u8 [n, H, W], the next n slices. IoError where the disk is full.
  void write(const weft::Tensor& slab);
  /// After the last slab.
  void finish();

 private:
  void check(bool good) const;
  std::string path_, part_;
  std::FILE* file_ = nullptr;
};
