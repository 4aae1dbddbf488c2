// Datasets of tensors and of pictures in files: order, values, and a sentence with the file's name for what is wrong.
#include "weft/data/datasets.h"

#include <thread>

#include "io/io_test.h"
#include "support/ops.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/data/loader.h"
#include "weft/io/image.h"

using namespace io_test;
using support::message_of;
using support::says;

namespace {

/// A folder that can have folders.
struct DatasetTree : Folder {
  std::string operator()(const std::string& name) const {
    std::filesystem::create_directories((path / name).parent_path());
    return (path / name).string();
  }
  std::string root() const { return path.string(); }
};

static_assert(data::PlainDataset<data::TensorDataset> && data::PlainDataset<data::ImageFolder> &&
              data::PlainDataset<data::ImageMaskFolders> && data::PlainDataset<data::CamVid> &&
              data::PlainDataset<data::VOCSegmentation> && data::PlainDataset<data::ListFile>);

}  // namespace

TEST_SUITE_BEGIN("datasets");

TEST_CASE("TensorDataset: rows of two tensors, shared") {
  const Tensor x = arange(12).reshape({4, 3}), y = arange(4);
  const data::TensorDataset set(x, y);
  CHECK_EQ(set.size(), 4);
  const data::Example e = set.get(2);
  CHECK_EQ(e.data.to_vector<int64_t>(), std::vector<int64_t>{6, 7, 8});
  CHECK_EQ(e.target.item<int64_t>(), 2);
  CHECK_EQ(e.data.data<int64_t>(), x.data<int64_t>() + 6);
  CHECK_FALSE(data::TensorDataset(x).get(0).target.defined());
  CHECK_EQ(message_of<ValueError>([&] { (void)set.get(4); }), "TensorDataset: there is no sample 4; the dataset has 4");
  CHECK_THROWS_AS((void)set.get(-1), ValueError);
  CHECK_THROWS_AS(data::TensorDataset(x, arange(3)), ShapeError);
  CHECK_THROWS_AS(data::TensorDataset(scalar(1)), ShapeError);
}

#if defined(WEFT_HAS_IMAGE)

namespace {

Tensor small_picture(int64_t first, int64_t height = 2, int64_t width = 3) {
  return ((arange(height * width * 3) + first) % 256).reshape({height, width, 3}).to(Dtype::u8);
}
Tensor small_mask(std::vector<int64_t> values, const Shape& shape = {2, 3}) { return tensor(values, shape); }

}  // namespace

TEST_CASE("ImageFolder: classes and files in sorted order, below folders too") {
  DatasetTree tree;
  io::write_image(small_picture(0), tree("dog/b.png"));
  io::write_image(small_picture(10), tree("dog/a/z.PNG.png"));
  io::write_image(small_picture(20), tree("cat/1.png"));
  write_file(tree("cat/notes.txt"), "no picture");
  write_file(tree("cat/._1.png"), "what another system left");
  const data::ImageFolder set(tree.root());
  CHECK_EQ(set.classes(), std::vector<std::string>{"cat", "dog"});
  CHECK_EQ(set.size(), 3);
  const std::pair<const char*, int64_t> expected[] = {{"cat/1.png", 20}, {"dog/a/z.PNG.png", 10}, {"dog/b.png", 0}};
  for (int64_t i = 0; i < 3; ++i) {
    const data::Example e = set.get(i);
    CHECK_EQ(e.name, tree(expected[i].first));
    CHECK_EQ(set.name(i), e.name);
    CHECK(identical(e.data, small_picture(expected[i].second).permute({2, 0, 1})));
    CHECK_EQ(e.data.stride(0), 1);  // pixel by pixel, as it was decoded
    CHECK(identical(e.target, scalar(i > 0 ? 1 : 0)));
  }
  CHECK_EQ(set.labels(), std::vector<int64_t>{0, 1, 1});
  CHECK_EQ(data::ImageFolder(tree.root(), {.channels = 1}).get(0).data.shape(), Shape{1, 2, 3});
  CHECK_EQ(message_of<ValueError>([&] { (void)set.get(3); }), "ImageFolder: there is no sample 3; the dataset has 3");
  CHECK_THROWS_AS(data::ImageFolder(tree.root(), {.channels = 2}), ValueError);
  CHECK_THROWS_AS(data::ImageFolder(tree.root(), {.reduce_to = -1}), ValueError);
  io::write_image(small_picture(0, 64, 50), tree("cat/0.jpg"));
  CHECK_EQ(data::ImageFolder(tree.root(), {.reduce_to = 25}).get(0).data.shape(), Shape{3, 32, 25});
  CHECK_EQ(data::ImageFolder(tree.root(), {.reduce_to = 26}).get(0).data.shape(), Shape{3, 64, 50});
}

TEST_CASE("ImageFolder: what is missing or damaged is named") {
  DatasetTree tree;
  auto refused = [&](const data::ImageFolderOptions& o = {}) {
    return message_of<IoError>([&] { (void)data::ImageFolder(tree.root(), o); });
  };
  says(refused(), ": has no folders, of which ImageFolder makes classes");
  says(message_of<IoError>([&] { (void)data::ImageFolder(tree / "none"); }), "none: there is no such folder");
  write_file(tree("a/x.txt"), "");
  write_file(tree("b/1.png"), "damaged");
  says(refused(), ": there are no pictures (.png, .jpg, .jpeg) in a; allow_empty");
  const data::ImageFolder set(tree.root(), {.allow_empty = true});
  CHECK_EQ(set.classes().size(), 2);
  CHECK_EQ(set.labels(), std::vector<int64_t>{1});
  says(message_of<IoError>([&] { (void)set.get(0); }), "b/1.png: is neither PNG nor JPEG");
  std::filesystem::remove(tree("b/1.png"));
  says(refused({.allow_empty = true}), ": there are no pictures");
  says(message_of<IoError>([&] { (void)set.get(0); }), "b/1.png: cannot be opened");
  // A folder that leads into itself
  std::filesystem::create_directory_symlink(tree / "a", tree / "a/again");
  says(refused(), "a/again: is a link to a folder that it lies in");
}

TEST_CASE("ImageMaskFolders: pairs by name, whatever the ending, and a suffix") {
  DatasetTree tree;
  io::write_image(small_picture(1, 8, 8), tree("images/night/b.jpg"));
  io::write_image(small_picture(2), tree("images/a.png"));
  io::write_labels(small_mask(std::vector<int64_t>(64, 3), {8, 8}), tree("masks/night/b_L.png"));
  io::write_labels(small_mask({0, 1, 2, 0, 255, 1}), tree("masks/a_L.png"));
  const data::ImageMaskFolders set(tree / "images", tree / "masks", {.num_classes = 4, .mask_suffix = "_L"});
  CHECK_EQ(set.size(), 2);
  const data::Example e = set.get(0);
  CHECK_EQ(e.name, tree / "images/a.png");
  CHECK_EQ(set.mask_path(0), tree / "masks/a_L.png");
  CHECK_EQ(set.name(1), tree / "images/night/b.jpg");
  CHECK(identical(e.data, small_picture(2).permute({2, 0, 1})));
  CHECK(identical(e.target, small_mask({0, 1, 2, 0, 255, 1})));
  CHECK_EQ(e.data.stride(0), 1);

  // A mask's numbers, each as it is wished
  const data::ImageMaskFolders other(
      tree / "images", tree / "masks",
      {.channels = 1, .labels = {{0, 5}, {1, 6}, {2, 7}, {255, 8}}, .mask_suffix = "_L"});
  CHECK_EQ(other.get(0).target.to_vector<int64_t>(), std::vector<int64_t>{5, 6, 7, 5, 8, 6});
  CHECK_EQ(other.get(0).data.shape(), Shape{1, 2, 3});
  says(message_of<IoError>([&] { (void)other.get(1); }),
       "masks/night/b_L.png: has the unknown label 3 at [0, 0]; `labels` does not name it");

  const data::ImageMaskFolders few(tree / "images", tree / "masks", {.num_classes = 2, .mask_suffix = "_L"});
  says(message_of<IoError>([&] { (void)few.get(0); }),
       "masks/a_L.png: has the unknown label 2 at [0, 2]; there are 2 classes, and 255 to be ignored");
}

TEST_CASE("ImageMaskFolders: partners that are missing or do not fit are named") {
  DatasetTree tree;
  auto refused = [&](const data::MaskOptions& o = {}) {
    return message_of<IoError>([&] { (void)data::ImageMaskFolders(tree / "images", tree / "masks", o); });
  };
  says(refused(), "images: there is no such folder");
  io::write_image(small_picture(0), tree("images/a.png"));
  std::filesystem::create_directory(tree / "masks");
  says(refused(), "masks: there are no pictures");
  for (int i = 0; i < 8; ++i) io::write_image(small_picture(0), tree("images/b" + std::to_string(i) + ".png"));
  io::write_labels(small_mask({0, 1, 2, 3, 4, 5}), tree("masks/a.png"));
  says(refused(), "images: 8 of 9 pictures have no mask in ");
  says(refused(), ": b0.png, b1.png, b2.png, b3.png, b4.png and 3 more");
  for (int i = 0; i < 8; ++i) std::filesystem::remove(tree("images/b" + std::to_string(i) + ".png"));
  io::write_labels(small_mask({0, 1, 2, 3, 4, 5}), tree("masks/c.png"));
  says(refused(), "masks: 1 of 2 masks have no picture in ");
  says(refused({.mask_suffix = "_L"}), "masks/a.png: its name lacks the suffix _L");
  std::filesystem::remove(tree("masks/c.png"));
  io::write_image(small_picture(0), tree("images/a.jpg"));
  says(refused(), "images: a.jpg and a.png have one name but for their endings");
  std::filesystem::remove(tree("images/a.jpg"));

  const data::ImageMaskFolders set(tree / "images", tree / "masks");
  CHECK_EQ(set.get(0).target.to_vector<int64_t>(), std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  io::write_labels(zeros({3, 3}, Dtype::i64), tree("masks/a.png"));
  says(message_of<IoError>([&] { (void)set.get(0); }), "masks/a.png: is 3 x 3 pixels, its picture ");
  says(message_of<IoError>([&] { (void)set.get(0); }), "images/a.png 2 x 3");
  io::write_image(small_picture(0), tree("masks/a.png"));
  says(message_of<IoError>([&] { (void)set.get(0); }), "masks/a.png: holds colours, not labels");
}

TEST_CASE("CamVid: the list's order, or the sorted one without a list") {
  DatasetTree tree;
  for (const char* name : {"a.png", "b.png", "c.png"}) {
    io::write_image(small_picture(name[0]), tree(std::string("train/") + name));
    io::write_labels(small_mask({0, 1, 11, 10, 0, name[0] - 'a'}), tree(std::string("trainannot/") + name));
  }
  CHECK_EQ(data::CamVid(tree.root(), "train").size(), 3);
  CHECK_EQ(data::CamVid(tree.root(), "train").name(0), tree / "train/a.png");
  write_file(tree("train.txt"), "/x/CamVid/train/c.png /x/CamVid/trainannot/c.png\r\n\nb.png\n");
  const data::CamVid set(tree.root(), "train");
  CHECK_EQ(set.size(), 2);
  CHECK_EQ(set.name(0), tree / "train/c.png");
  CHECK_EQ(set.get(0).target.to_vector<int64_t>(), std::vector<int64_t>{0, 1, 11, 10, 0, 2});
  CHECK(identical(set.get(1).data, small_picture('b').permute({2, 0, 1})));
  CHECK_EQ(data::CamVid::classes().size(), 12);
  CHECK_EQ(data::CamVid::classes()[9], "pedestrian");

  io::write_labels(small_mask({0, 1, 12, 10, 0, 0}), tree("trainannot/c.png"));
  says(message_of<IoError>([&] { (void)set.get(0); }),
       "trainannot/c.png: has the unknown label 12 at [0, 2]; there are 11 classes, and 11 to be ignored");
  write_file(tree("train.txt"), "a.png\nd.png\n");
  says(message_of<IoError>([&] { (void)data::CamVid(tree.root(), "train"); }), "train.txt: line 2 names ");
  says(message_of<IoError>([&] { (void)data::CamVid(tree.root(), "train"); }), "train/d.png, which is not there");
  says(message_of<IoError>([&] { (void)data::CamVid(tree.root(), "val"); }), "val: there is no such folder");
  write_file(tree("train.txt"), "\n\n");
  says(message_of<IoError>([&] { (void)data::CamVid(tree.root(), "train"); }), "train.txt: is empty");
}

TEST_CASE("VOCSegmentation: the devkit's folders") {
  DatasetTree tree;
  const std::string voc = "VOCdevkit/VOC2012/";
  for (const char* name : {"2007_000032", "2007_000033"}) {
    io::write_image(small_picture(0, 4, 4), tree(voc + "JPEGImages/" + name + ".jpg"));
    io::write_labels(small_mask(std::vector<int64_t>(16, name[10] == '2' ? 255 : 20), {4, 4}),
                     tree(voc + "SegmentationClass/" + name + ".png"));
  }
  write_file(tree(voc + "ImageSets/Segmentation/val.txt"), "2007_000033\n2007_000032\n");
  for (const std::string& root : {tree.root(), tree / "VOCdevkit", tree / "VOCdevkit/VOC2012"}) {
    const data::VOCSegmentation set(root, "val");
    CHECK_EQ(set.size(), 2);
    CHECK_EQ(set.get(0).data.shape(), Shape{3, 4, 4});
    CHECK(identical(set.get(0).target, full({4, 4}, 20, Dtype::i64)));
    CHECK(identical(set.get(1).target, full({4, 4}, 255, Dtype::i64)));
  }
  CHECK_EQ(data::VOCSegmentation::classes().size(), 21);
  CHECK_EQ(data::VOCSegmentation::classes()[15], "person");
  says(message_of<IoError>([&] { (void)data::VOCSegmentation(tree.root()); }),
       "ImageSets/Segmentation/train.txt: there is no such file");
  says(message_of<IoError>([&] { (void)data::VOCSegmentation(tree.root(), "val", 2007); }),
       ": has no folder JPEGImages, VOC2007/JPEGImages or VOCdevkit/VOC2007/JPEGImages");
  std::filesystem::remove(tree(voc + "SegmentationClass/2007_000032.png"));
  says(message_of<IoError>([&] { (void)data::VOCSegmentation(tree.root(), "val"); }), "val.txt: line 2 names ");
}

TEST_CASE("ListFile: no target, a class or a mask") {
  DatasetTree tree;
  io::write_image(small_picture(0), tree("p/a.png"));
  io::write_image(small_picture(1), tree("p/b c.png"));
  io::write_labels(small_mask({0, 1, 2, 3, 4, 5}), tree("p/m.png"));
  auto list = [&](const std::string& text, const data::ListFileOptions& o = {}) {
    write_file(tree("list.txt"), text);
    return data::ListFile(tree / "list.txt", o);
  };
  auto refused = [&](const std::string& text) { return message_of<IoError>([&] { (void)list(text); }); };
  const data::ListFile classes = list("# name, class\np/a.png\t3\r\n\np/b c.png\t-1\n");
  CHECK_EQ(classes.size(), 2);
  CHECK(identical(classes.get(0).target, scalar(3)));
  CHECK(identical(classes.get(1).target, scalar(-1)));
  CHECK(identical(classes.get(1).data, small_picture(1).permute({2, 0, 1})));
  CHECK_EQ(classes.name(1), tree / "p/b c.png");
  const data::ListFile masks = list("a.png   m.png\n", {.root = tree / "p"});
  CHECK_EQ(masks.get(0).target.to_vector<int64_t>(), std::vector<int64_t>{0, 1, 2, 3, 4, 5});
  CHECK_FALSE(list("p/a.png").get(0).target.defined());

  says(refused("p/a.png 1\np/a.png p/m.png\n"), "list.txt: line 2 has a mask, the first one a class");
  says(refused("p/a.png 1\n\np/none.png 2\n"), "list.txt: line 3 names ");
  says(refused("p/a.png p/none.png\n"), "p/none.png, which is not there");
  says(refused("# nothing\n"), "list.txt: is empty");
  says(message_of<IoError>([&] { (void)data::ListFile(tree / "no.txt"); }), "no.txt: there is no such file");
}

#endif

TEST_SUITE_END();

#if defined(WEFT_HAS_IMAGE)

TEST_SUITE_BEGIN("datasets, threads");

TEST_CASE("a JPEG that is cut off, in the middle of an epoch, and a loader") {
  DatasetTree tree;
  for (int i = 0; i < 9; ++i) io::write_image(small_picture(i, 40, 48), tree("a/" + std::to_string(i) + ".jpg"));
  const std::string damaged = tree("a/4.jpg"), whole = read_file(damaged);
  write_file(damaged, whole.substr(0, whole.size() / 2));
  const data::ImageFolder set(tree.root());
  for (const int workers : {0, 2}) {
    CAPTURE(workers);
    data::Loader raising(set, {.batch_size = 3, .workers = workers});
    std::vector<std::string> errors;
    int64_t seen = 0;
    for (bool more = true; more;) try {
        const auto batch = raising.next();
        more = batch.has_value();
        if (more) seen += batch->data.size(0);
      } catch (const IoError& e) { errors.emplace_back(e.what()); }
    CHECK_EQ(seen, 6);
    REQUIRE_EQ(errors.size(), 1);
    says(errors[0], "a/4.jpg: ");

    errors.clear();
    data::Loader skipping(set, {.batch_size = 3,
                                .workers = workers,
                                .on_error = data::OnError::skip,
                                .on_skip = [&](const std::string& e) { errors.push_back(e); }});
    std::vector<std::string> names;
    for (const auto& batch : skipping)
      for (const std::string& name : batch.names) names.push_back(std::filesystem::path(name).filename().string());
    CHECK_EQ(names, std::vector<std::string>{"0.jpg", "1.jpg", "2.jpg", "3.jpg", "5.jpg", "6.jpg", "7.jpg", "8.jpg"});
    REQUIRE_EQ(errors.size(), 1);
    says(errors[0], "a/4.jpg: ");
  }
}

TEST_CASE("datasets: get on several threads") {
  DatasetTree tree;
  for (int i = 0; i < 4; ++i) io::write_image(small_picture(i), tree("c/" + std::to_string(i) + ".png"));
  const data::ImageFolder set(tree.root());
  std::vector<std::thread> threads;
  std::vector<int> right(3);
  for (size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) right[t] += set.get(i % 4).data.data<uint8_t>()[0] == i % 4;
    });
  for (std::thread& t : threads) t.join();
  CHECK_EQ(right, std::vector<int>{20, 20, 20});
}

TEST_SUITE_END();

#endif
