// Files with dtypes and byte orders that weft does not have, and files of another kind than was asked for.
#include <limits>

#include "io/io_test.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"
#include "weft/io/safetensors.h"
#include "weft/nn/linear.h"

using namespace io_test;
using support::message_of;

namespace {

struct Raw {
  std::string name, dtype, shape, data;
};

template <class T> std::string raw(std::initializer_list<T> values, bool swap = false) {
  std::string s;
  for (T v : values) {
    std::string one(reinterpret_cast<const char*>(&v), sizeof v);
    s += swap ? std::string(one.rbegin(), one.rend()) : one;
  }
  return s;
}

std::string safetensors(const std::vector<Raw>& tensors) {
  std::string header = "{\"__metadata__\":{\"k\":\"v\"}", data;
  for (const Raw& t : tensors) {
    header += str(",\"", t.name, "\":{\"dtype\":\"", t.dtype, "\",\"shape\":", t.shape, ",\"data_offsets\":[",
                  data.size(), ",", data.size() + t.data.size(), "]}");
    data += t.data;
  }
  header += "}";
  return raw<uint64_t>({header.size()}) + header + data;
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data, bool fortran = false) {
  const std::string header = str("{'descr': ", descr, ", 'fortran_order': ", fortran ? "True" : "False",
                                 ", 'shape': ", shape, ", }\n");
  return "\x93NUMPY" + std::string("\1\0", 2) + raw<uint16_t>({static_cast<uint16_t>(header.size())}) + header + data;
}

const std::string kMixed = safetensors({
    {"i8", "I8", "[4]", raw<int8_t>({-128, -1, 0, 127})},
    {"f32", "F32", "[2]", raw<float>({1.5f, -2})},
    {"i16", "I16", "[3,1]", raw<int16_t>({-32768, 5, 32767})},
    {"u16", "U16", "[2]", raw<uint16_t>({0, 65535})},
    {"u32", "U32", "[2]", raw<uint32_t>({7, 4294967295u})},
    {"u64", "U64", "[2]", raw<uint64_t>({8, INT64_MAX})},
    {"i64", "I64", "[1]", raw<int64_t>({-9})},
});
const std::string kF8 = safetensors({
    {"weight", "F8_E4M3", "[2,3]", std::string(6, '\x38')},
    {"scale", "F32", "[1]", raw<float>({0.5f})},
    {"four", "F4", "[4]", std::string(2, '\1')},
    {"six", "F6_E2M3", "[4]", std::string(3, '\1')},
    {"new", "X99", "[2]", std::string(5, '\1')},
    {"c", "C64", "[1]", std::string(8, '\0')},
    {"ids", "U32", "[1]", raw<uint32_t>({3})},
});

/// The words of the NotSupported that f throws.
template <class F> void unsupported(const F& f, const std::string& words) {
  support::says(message_of<NotSupported>(f), words);
}

}  // namespace

TEST_SUITE_BEGIN("foreign");

TEST_CASE("safetensors: integers are widened exactly, on request") {
  Folder folder;
  write_file(folder / "m", kMixed);
  unsupported([&] { (void)io::load(folder / "m").at("u32"); },
              "m: tensor 'u32' has the dtype U32, which weft does not offer; load it with {.widen = true} to get i64");
  const StateDict dict = io::load(folder / "m", {.widen = true});
  CHECK_EQ(dict.size(), 7);
  CHECK_EQ(dict.metadata.at("k"), "v");
  auto check = [&](const char* name, Dtype dtype, const Shape& shape, const std::vector<int64_t>& values) {
    INFO(name);
    CHECK_EQ(dict.at(name).dtype(), dtype);
    CHECK_EQ(dict.at(name).shape(), shape);
    CHECK_EQ(dict.at(name).to_vector<int64_t>(), values);
  };
  check("i8", Dtype::i32, {4}, {-128, -1, 0, 127});
  check("i16", Dtype::i32, {3, 1}, {-32768, 5, 32767});
  check("u16", Dtype::i32, {2}, {0, 65535});
  check("u32", Dtype::i64, {2}, {7, 4294967295});
  check("u64", Dtype::i64, {2}, {8, INT64_MAX});
  check("i64", Dtype::i64, {1}, {-9});
  CHECK_EQ(dict.at("f32").to_vector<float>(), std::vector<float>{1.5f, -2});

  CHECK(dict.foreign.empty());

  const StateDict rest = io::load(folder / "m");
  CHECK_EQ(rest.size(), 5);
  CHECK_EQ(rest.foreign.size(), 2);
  CHECK_EQ(rest.at("i8").dtype(), Dtype::i8);
  CHECK_EQ(rest.at("i8").to_vector<int8_t>(), std::vector<int8_t>{-128, -1, 0, 127});
  CHECK_EQ(rest.at("i16").dtype(), Dtype::i16);
  CHECK_EQ(rest.at("i16").to_vector<int16_t>(), std::vector<int16_t>{-32768, 5, 32767});
  CHECK_EQ(rest.at("u16").dtype(), Dtype::u16);
  CHECK_EQ(rest.at("u16").to_vector<uint16_t>(), std::vector<uint16_t>{0, 65535});
  CHECK_EQ(rest.at("f32").to_vector<float>(), std::vector<float>{1.5f, -2});
  CHECK(rest.contains("i64"));
  StateDict again;
  for (const char* name : {"i8", "i16", "u16"}) again.insert(name, rest.at(name));
  io::save(again, folder / "short");
  const io::SafetensorsFile saved(folder / "short");
  for (const char* name : {"i8", "i16", "u16"}) CHECK(identical(saved.load(name), rest.at(name)));

  const std::string large = safetensors({{"n", "U64", "[2]", raw<uint64_t>({1, UINT64_MAX})}});
  unsupported([&] { (void)io::load_safetensors(bytes_of(large), "x", {.widen = true}).at("n"); },
              "x: tensor 'n' holds 18446744073709551615 (U64), more than an i64 can");
}

TEST_CASE("safetensors: a file of other dtypes opens, lists all and loads what weft can hold") {
  Folder folder;
  write_file(folder / "f8", kF8);
  const io::SafetensorsFile file(folder / "f8");
  CHECK_EQ(file.metadata().at("k"), "v");
  std::vector<std::string> listed;
  for (const io::TensorInfo& t : file.tensors()) listed.push_back(str(t.name, " ", t.dtype, " ", t.shape));
  CHECK_EQ(listed, std::vector<std::string>{"weight F8_E4M3 [2, 3]", "scale F32 [1]", "four F4 [4]", "six F6_E2M3 [4]",
                                            "new X99 [2]", "c C64 [1]", "ids U32 [1]"});
  CHECK_EQ(file.load("scale").item<float>(), 0.5f);
  CHECK_EQ(file.load("ids", {.widen = true}).item<int64_t>(), 3);
  CHECK(file.contains("weight"));
  CHECK_FALSE(file.contains("Weight"));
  for (bool widen : {false, true}) {
    unsupported([&] { (void)file.load("weight", {.widen = widen}); },
                "f8: tensor 'weight' has the dtype F8_E4M3, which weft does not offer");
    unsupported([&] { (void)file.load("new", {.widen = widen}); }, "tensor 'new' has the dtype X99");
    unsupported([&] { (void)file.load("c", {.widen = widen}); }, "tensor 'c' is complex (C64)");
  }
  unsupported([&] { (void)file.load("ids"); }, "tensor 'ids' has the dtype U32");
  CHECK(message_of<ValueError>([&] { (void)file.load("bias"); }).find("f8: has no tensor 'bias'") != std::string::npos);
  const StateDict dict = io::load(folder / "f8", {.widen = true});
  CHECK_EQ(dict.size(), 2);
  CHECK_EQ(dict.at("ids").item<int64_t>(), 3);
  CHECK_EQ(dict.foreign.size(), 5);
  CHECK_EQ(dict.foreign.at("weight").dtype, "F8_E4M3");
  CHECK_EQ(dict.foreign.at("weight").shape, Shape{2, 3});
  unsupported([&] { (void)dict.at("weight"); }, "f8: tensor 'weight' has the dtype F8_E4M3, which weft does not offer");
  CHECK_EQ(dict.metadata.size(), 1);

  // Tensors outlive the file's handle.
  Tensor kept;
  {
    const io::SafetensorsFile other(folder / "f8");
    kept = other.load("scale");
  }
  CHECK_EQ(kept.item<float>(), 0.5f);
}

TEST_CASE("a dict with foreign tensors: asked for, moved, saved, erased") {
  Folder folder;
  const std::string content = safetensors({{"a.weight", "F8_E5M2", "[1,2]", "ab"},
                                           {"a.bias", "F32", "[1]", raw<float>({3})},
                                           {"b", "U32", "[1]", raw<uint32_t>({5})}});
  StateDict dict = io::load_safetensors(bytes_of(content), "x");
  CHECK_FALSE(dict.contains("b"));
  unsupported([&] { (void)dict.find("b"); }, "x: tensor 'b' has the dtype U32");
  CHECK_EQ(dict.find("c"), nullptr);

  const StateDict child = dict.child("a");
  CHECK_EQ(child.size(), 1);
  unsupported([&] { (void)child.at("weight"); }, "x: tensor 'a.weight' has the dtype F8_E5M2");
  StateDict merged;
  merged.merge(child, "m");
  CHECK(merged.foreign.contains("m.weight"));
  StateDict taken;
  taken.insert("weight", ones({1}));
  CHECK_THROWS_AS(taken.merge(child), ValueError);
  CHECK_EQ(taken.size(), 1);

  nn::Linear linear(2, 1);
  unsupported([&] { linear.load_state_dict(child); }, "tensor 'a.weight' has the dtype F8_E5M2");
  unsupported([&] { linear.load_state_dict(child, false); }, "tensor 'a.weight' has the dtype F8_E5M2");
  StateDict more = linear.state_dict();
  more.foreign["scale"] = {{1}, "F8_E8M0", "scale is foreign"};
  CHECK(message_of<ValueError>([&] { linear.load_state_dict(more); }).find("unexpected: scale") != std::string::npos);
  CHECK_EQ(linear.load_state_dict(more, false).unexpected_keys, std::vector<std::string>{"scale"});

  write_file(folder / "f", "old");
  unsupported([&] { io::save(dict, folder / "f"); }, "save: 'a.weight' of the dtype F8_E5M2 was not loaded");
  unsupported([&] { io::save_npz(dict, folder / "f"); }, "save_npz: 'a.weight' of the dtype F8_E5M2 was not loaded");
  CHECK_EQ(read_file(folder / "f"), "old");
  CHECK_THROWS_AS(dict.insert("b", ones({1})), ValueError);
  CHECK_FALSE(dict.contains("b"));
  dict.set("b", ones({1}));
  CHECK_EQ(dict.at("b").item<float>(), 1);
  CHECK(dict.erase("a.weight"));
  CHECK_FALSE(dict.erase("a.weight"));
  CHECK(dict.foreign.empty());
  io::save(dict, folder / "f");
  CHECK_EQ(io::load(folder / "f").size(), 2);
}

TEST_CASE("safetensors: sizes of other dtypes are checked, too") {
  auto refused = [](const Raw& t) {
    const std::string content = safetensors({t});
    return refusal([&] { (void)io::SafetensorsFile(bytes_of(content), "x"); });
  };
  CHECK(refused({"a", "I16", "[2]", "abc"}).find("has 3 bytes, but [2] of i16 takes 4") != std::string::npos);
  CHECK(refused({"a", "F8_E5M2", "[2]", "abc"}).find("has 3 bytes, but [2] of F8_E5M2 takes 2") != std::string::npos);
  CHECK(refused({"a", "F4", "[4]", "abc"}).find("has 3 bytes, but [4] of F4 takes 2") != std::string::npos);
  CHECK(refused({"a", "F4", "[3]", "ab"}).find("impossible shape") != std::string::npos);  // ends inside a byte
  CHECK(refused({"a", "X", "[4294967296,4294967296]", "a"}).find("impossible shape") != std::string::npos);
  // Its bytes fit 64 bits as they are, not when they are widened.
  const std::string none = safetensors({{"a", "I8", "[0,4611686018427387904]", ""}});
  CHECK(refusal([&] { (void)io::load_safetensors(bytes_of(none), "x", {.widen = true}); }).find("impossible shape") !=
        std::string::npos);
}

TEST_CASE("npy: other integers and big-endian arrays") {
  Folder folder;
  auto read = [](const std::string& content, bool widen) {
    return io::load_npy(bytes_of(content), "x.npy", {.widen = widen});
  };
  struct Case {
    const char* descr;
    std::string data;
    Dtype dtype;
    std::vector<int64_t> values;
    std::optional<Dtype> kept;  // the dtype without widening; none: not offered
  };
  const Case cases[] = {
      {"'|i1'", raw<int8_t>({-128, 127}), Dtype::i32, {-128, 127}, Dtype::i8},
      {"'<i2'", raw<int16_t>({-32768, 258}), Dtype::i32, {-32768, 258}, Dtype::i16},
      {"'>i2'", raw<int16_t>({-32768, 258}, true), Dtype::i32, {-32768, 258}, Dtype::i16},
      {"'<u2'", raw<uint16_t>({65535, 258}), Dtype::i32, {65535, 258}, Dtype::u16},
      {"'>u2'", raw<uint16_t>({65535, 258}, true), Dtype::i32, {65535, 258}, Dtype::u16},
      {"'<u4'", raw<uint32_t>({4294967295u, 258}), Dtype::i64, {4294967295, 258}, {}},
      {"'>u4'", raw<uint32_t>({4294967295u, 258}, true), Dtype::i64, {4294967295, 258}, {}},
      {"'<u8'", raw<uint64_t>({INT64_MAX, 258}), Dtype::i64, {INT64_MAX, 258}, {}},
      {"'>u8'", raw<uint64_t>({INT64_MAX, 258}, true), Dtype::i64, {INT64_MAX, 258}, {}},
      {"'>i4'", raw<int32_t>({INT32_MIN, 258}, true), Dtype::i32, {INT32_MIN, 258}, Dtype::i32},
      {"'>i8'", raw<int64_t>({INT64_MIN, 258}, true), Dtype::i64, {INT64_MIN, 258}, Dtype::i64},
      {"'>u1'", raw<uint8_t>({255, 2}), Dtype::u8, {255, 2}, Dtype::u8},
      {"'>f4'", raw<float>({-2, 1024}, true), Dtype::f32, {-2, 1024}, Dtype::f32},
      {"'>f8'", raw<double>({-2, 1024}, true), Dtype::f64, {-2, 1024}, Dtype::f64},
      {"'>f2'", raw<uint16_t>({0xc000, 0x6400}, true), Dtype::f16, {-2, 1024}, Dtype::f16},
  };
  for (const Case& c : cases) {
    INFO(c.descr);
    const std::string content = npy(c.descr, "(2, 1)", c.data);
    const Tensor x = read(content, true);
    CHECK_EQ(x.dtype(), c.dtype);
    CHECK_EQ(x.shape(), Shape{2, 1});
    CHECK_EQ(x.to_vector<int64_t>(), c.values);
    if (!c.kept) {
      unsupported([&] { (void)read(content, false); }, str("x.npy: has the dtype ", std::string(c.descr + 1, 3)));
    } else {
      const Tensor kept = read(content, false);
      CHECK_EQ(kept.dtype(), *c.kept);
      CHECK(identical(kept.to(c.dtype), x));
      io::save_npy(kept, folder / "again.npy");
      CHECK(identical(io::load_npy(folder / "again.npy"), kept));
    }
  }
  const Tensor f = read(npy("'>i2'", "(2, 3)", raw<int16_t>({1, 4, 2, 5, 3, 6}, true), true), true);
  CHECK_EQ(f.strides(), Shape{1, 2});
  CHECK_EQ(f.to_vector<int64_t>(), std::vector<int64_t>{1, 2, 3, 4, 5, 6});
  unsupported([&] { (void)read(npy("'<u8'", "(1,)", raw<uint64_t>({UINT64_MAX})), true); },
              "holds 18446744073709551615 (<u8), more than an i64 can");
  CHECK(refusal([&] {
          (void)read(npy("'<i2'", "(2,)", "abc"), true);
        }).find("has 3 bytes of data, but [2] of i16 takes 4") != std::string::npos);
}

TEST_CASE("npy: what cannot be held is NotSupported by name, and listed") {
  const std::pair<const char*, const char*> cases[] = {
      {"'|O'", "|O"},
      {"'<U5'", "<U5"},
      {"'|S3'", "|S3"},
      {"'<M8[ns]'", "<M8[ns]"},
      {"'<V2'", "<V2"},
      {"'<f16'", "<f16"},
      {"'>c8'", ">c8"},
      {"'<c16'", "<c16"},
      {"'|i2'", "|i2"},
      {"'x'", "x"},
      {"[('a', '<f4'), ('b', '|b1', (2,))]", "[('a', '<f4'), ('b', '|b1', (2,))]"}};
  for (const auto& [descr, text] : cases) {
    const std::string content = npy(descr, "(3,)", std::string(48, 'a'));
    unsupported([&] { (void)io::load_npy(bytes_of(content), "x.npy", {.widen = true}); }, text);
    const io::TensorInfo info = io::npy_info(bytes_of(content), "x.npy");
    CHECK_EQ(info.dtype, text);
    CHECK_EQ(info.shape, Shape{3});
  }
  CHECK(refusal([] {
          (void)io::load_npy(bytes_of(npy("[('a', '<f4')", "(3,)", "")), "x");
        }).find("cannot be understood") != std::string::npos);
}

TEST_CASE("npz: a file of other dtypes opens, lists all and loads what weft can hold") {
  Folder folder;
  for (bool compress : {false, true}) {
    StateDict dict;
    dict.insert("a", tensor({-1, 300}, Shape{2}, Dtype::i32));
    dict.insert("big", zeros({5000}));
    dict.insert("f", tensor({0.5f}));
    io::save_npz(dict, folder / "x.npz", compress);
    const io::NpzFile file(folder / "x.npz");
    REQUIRE_EQ(file.arrays().size(), 3);
    CHECK_EQ(file.arrays()[1].name, "big");
    CHECK_EQ(file.arrays()[1].dtype, "<f4");
    CHECK_EQ(file.arrays()[1].shape, Shape{5000});
    CHECK_EQ(file.load("f").item<float>(), 0.5f);
    CHECK(identical(file.load("a"), dict.at("a")));
    CHECK(file.contains("f"));
    CHECK(message_of<ValueError>([&] { (void)file.load("none"); }).find("x.npz: has no array 'none'") !=
          std::string::npos);
  }
  const std::string path = test::data_file("io/data/foreign.npz");
  const io::NpzFile file(path);
  std::vector<std::string> listed;
  for (const io::TensorInfo& t : file.arrays()) listed.push_back(str(t.name, " ", t.dtype, " ", t.shape));
  CHECK_EQ(listed, std::vector<std::string>{"i2 <i2 [2]", "text <U2 [1]", "f4 <f4 [1]", "u4 >u4 [1, 1]"});
  CHECK_EQ(io::load_npz(path).at("i2").to_vector<int16_t>(), std::vector<int16_t>{-1, 300});
  unsupported([&] { (void)io::load_npz(path).at("u4"); }, "foreign.npz/u4.npy: has the dtype >u4");
  const StateDict dict = io::load_npz(path, {.widen = true});
  unsupported([&] { (void)dict.at("text"); }, "foreign.npz/text.npy: has the dtype <U2");
  CHECK_EQ(dict.foreign.size(), 1);
  CHECK_EQ(dict.size(), 3);
  CHECK_EQ(dict.at("i2").to_vector<int64_t>(), std::vector<int64_t>{-1, 300});
  CHECK_EQ(dict.at("u4").to_vector<int64_t>(), std::vector<int64_t>{4294967295});
  CHECK_EQ(dict.at("f4").to_vector<float>(), std::vector<float>{0.5f});
}

TEST_CASE("a file of another kind is recognised, and the way out is named") {
  Folder folder;
  StateDict dict;
  dict.insert("w", ones({3}));
  io::save(dict, folder / "a.safetensors");
  io::save_npz(dict, folder / "a.npz");
  io::save_npy(ones({3}), folder / "a.npy");
  // torch.save writes a zip whose first entry is the pickle; before 1.6 it wrote the pickle alone.
  write_file(folder / "old.pth", std::string("\x80\x02\x8a\x0a") + std::string(100, 'p'));
  std::string torch = "PK\3\4" + std::string(26, '\0') + "archive/data.pkl" + std::string(100, 'p');
  write_file(folder / "new.pth", torch);
  // A whole zip of which the second member is the pickle, as torch.jit writes it
  auto member = [](const std::string& name) {
    return str("PK\3\4", std::string(14, '\0'), std::string(8, '\0'),
               raw<uint16_t>({static_cast<uint16_t>(name.size()), 0}), name);
  };
  auto listing = [](const std::string& name, uint32_t at) {
    return str("PK\1\2", std::string(24, '\0'), raw<uint16_t>({static_cast<uint16_t>(name.size())}),
               std::string(12, '\0'), raw<uint32_t>({at}), name);
  };
  const std::string first = member("a/data/0"), second = member("a/data.pkl"),
                    listed = listing("a/data/0", 0) + listing("a/data.pkl", static_cast<uint32_t>(first.size()));
  write_file(
      folder / "torch.zip",
      str(first, second, listed, "PK\5\6", std::string(4, '\0'), raw<uint16_t>({2, 2}),
          raw<uint32_t>({static_cast<uint32_t>(listed.size()), static_cast<uint32_t>(first.size() + second.size())}),
          std::string(2, '\0')));
  write_file(folder / "scan.png", std::string("II*\0\10\0\0\0", 8) + std::string(100, 't'));
  write_file(folder / "net.safetensors.gz", "\x1f\x8b\x08" + std::string(100, 'g'));
  write_file(folder / "page.safetensors", "<!DOCTYPE html><html><body>404</body></html>");
  write_file(folder / "lfs.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n");
  write_file(folder / "model.safetensors.index.json", "{\"metadata\": {}, \"weight_map\": {}}");

  const std::pair<const char*, const char*> cases[] = {
      {"a.npy", "a.npy: is no safetensors file: it is a .npy array; io::load_npy reads it"},
      {"a.npz", "it is a .npz archive; io::load_npz reads it"},
      {"old.pth", "it is a Python pickle, perhaps a PyTorch checkpoint; scripts/export_torch.py"},
      {"new.pth", "it is a PyTorch checkpoint; scripts/export_torch.py"},
      {"scan.png", "it is a TIFF file; io::read_volume reads it if it is grey"},
      {"net.safetensors.gz", "it is compressed by gzip; unpack it first"},
      {"page.safetensors", "it is a web page"},
      {"lfs.safetensors", "it is a pointer of Git LFS"},
      {"model.safetensors.index.json", "it is JSON; load the files that an index names"},
  };
  for (const auto& [name, words] : cases) support::says(refusal([&, n = name] { (void)io::load(folder / n); }), words);
  const std::string png = refusal([] { (void)io::load(test::data_file("fuzz/corpus/png/rgb8.png")); });
  CHECK(png.find("it is a PNG picture; io::read_image reads it") != std::string::npos);
  const std::string jpeg = refusal([] { (void)io::load(test::data_file("fuzz/corpus/jpeg/rgb.jpg")); });
  CHECK(jpeg.find("it is a JPEG picture; io::read_image reads it") != std::string::npos);
  CHECK(refusal([&] { (void)io::load_npy(folder / "a.safetensors"); }).find("it is a safetensors file; io::load") !=
        std::string::npos);
  const std::string archive = refusal([&] { (void)io::load_npz(folder / "torch.zip"); });
  CHECK(archive.find("'a/data/0' is no .npy file; it is a PyTorch checkpoint; scripts/export_torch.py") !=
        std::string::npos);
  // A header of 0x8b1f bytes begins as gzip's do.
  std::string header = "{}" + std::string(0x8b1f - 2, ' ');
  write_file(folder / "b.safetensors", raw<uint64_t>({header.size()}) + header);
  CHECK_EQ(io::load(folder / "b.safetensors").size(), 0);
  CHECK(refusal([&] { (void)io::load_npy(folder / "b.safetensors"); }).find("it is a safetensors file") !=
        std::string::npos);
  CHECK(refusal([&] { (void)io::load_npz(folder / "a.npy"); }).find("is no .npz file: it is a .npy array") !=
        std::string::npos);
  CHECK(refusal([&] { (void)io::load_npy(folder / "a.npz"); }).find("it is a .npz archive") != std::string::npos);
#if defined(WEFT_HAS_IMAGE)
  CHECK(refusal([&] { (void)io::read_image(folder / "a.npy"); }).find("is neither PNG nor JPEG: it is a .npy array") !=
        std::string::npos);
#endif
}

TEST_SUITE_END();
