// Samples in safetensors files.
#include "weft/data/shards.h"

#include "io/io_test.h"
#include "support/ops.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/io/safetensors.h"

using namespace io_test;
using support::message_of;

namespace {

void save_shard(const std::string& path, const Tensor& data, const Tensor& target = {}) {
  StateDict dict;
  dict.insert("data", data);
  if (target.defined()) dict.insert("target", target);
  io::save(dict, path);
}

}  // namespace

static_assert(data::PlainDataset<data::SafetensorsShards>);

TEST_SUITE_BEGIN("shards");

TEST_CASE("SafetensorsShards: rows of all files, one file behind the other") {
  Folder folder;
  const Tensor x = arange(18).reshape({6, 3}), y = arange(6) * 10;
  save_shard(folder / "0.safetensors", x.narrow(0, 0, 2), y.narrow(0, 0, 2));
  save_shard(folder / "1.safetensors", x.narrow(0, 0, 0), y.narrow(0, 0, 0));
  save_shard(folder / "2.safetensors", x.narrow(0, 2, 4), y.narrow(0, 2, 4));
  write_file(folder / "readme.txt", "");
  const data::SafetensorsShards set(folder.path.string());
  CHECK_EQ(set.size(), 6);
  for (int64_t i = 0; i < 6; ++i) {
    CHECK(identical(set.get(i).data, x.select(0, i)));
    CHECK(identical(set.get(i).target, y.select(0, i)));
  }
  CHECK_EQ(set.get(3).name, (folder / "2.safetensors") + "[1]");
  CHECK_EQ(set.get(0).data.data<int64_t>() + 3, set.get(1).data.data<int64_t>());  // views of the mapped file
  CHECK_THROWS_AS((void)set.get(6), ValueError);
  const data::SafetensorsShards one(folder / "2.safetensors", {.data = "target", .target = "none"});
  CHECK_EQ(one.get(0).data.item<int64_t>(), 20);
  CHECK_FALSE(one.get(0).target.defined());
}

TEST_CASE("SafetensorsShards: the file that does not fit is named") {
  Folder folder;
  auto refused = [&] { return message_of<IoError>([&] { (void)data::SafetensorsShards(folder.path.string()); }); };
  auto names = [&](const char* words) { support::says(refused(), words); };
  names(": there are no .safetensors files in it");
  save_shard(folder / "a.safetensors", zeros({2, 3}), arange(2));
  save_shard(folder / "b.safetensors", zeros({2, 4}), arange(2));
  names("b.safetensors: its tensor 'data' is f32 [2, 4], in the first shard f32 [2, 3]");
  save_shard(folder / "b.safetensors", zeros({2, 3}), arange(3));
  names("b.safetensors: has 2 rows in 'data' and 3 in 'target'");
  save_shard(folder / "b.safetensors", zeros({2, 3}));
  names("b.safetensors: has no tensor 'target'");
  save_shard(folder / "0.safetensors", zeros({2, 3}));
  names("a.safetensors: has a tensor 'target', which the first shard lacks");
  write_file(folder / "0.safetensors", "damaged and longer");
  names("0.safetensors: ");
}

TEST_SUITE_END();
