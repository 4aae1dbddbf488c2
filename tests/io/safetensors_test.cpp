#include "weft/io/safetensors.h"

#include "io/io_test.h"

using namespace io_test;

namespace {

/// A file with this header and `data` zero bytes behind it.
std::string safetensors(std::string_view header, size_t data = 0) {
  std::string s(8, '\0');
  uint64_t n = header.size();
  std::memcpy(s.data(), &n, 8);
  return s + std::string(header) + std::string(data, '\0');
}

std::string refused_safetensors(const std::string& content) {
  return refusal([&] { (void)io::load_safetensors(bytes_of(content), "x.safetensors"); });
}

}  // namespace

TEST_SUITE_BEGIN("safetensors");

TEST_CASE("safetensors: every dtype, order and metadata survive, and the data is mapped") {
  Folder folder;
  StateDict dict;
  for (auto& [name, t] : samples()) dict.insert(name, t);
  dict.metadata = {{"input", "bgr-mean"}, {"note", "\"quoted\" \xc3\xa9"}};
  std::string path = folder / "a.safetensors";
  io::save(dict, path);
  StateDict got = io::load(path);
  CHECK_EQ(got.size(), dict.size());
  CHECK_EQ(got.metadata, dict.metadata);
  auto it = dict.begin();
  for (const auto& [name, t] : got) {
    CHECK_EQ(name, it->first);
    CHECK(identical(t, it->second));
    CHECK_EQ(reinterpret_cast<uintptr_t>(t.raw_data()) % itemsize(t.dtype()), 0);
    ++it;
  }
  CHECK_EQ(folder.files(), 1);  // no temporary file is left
  uint64_t header = 0;
  std::memcpy(&header, read_file(path).data(), 8);
  CHECK_EQ((8 + header) % 64, 0);
}

TEST_CASE("safetensors: changing a mapped tensor leaves the file as it was") {
  Folder folder;
  std::string path = folder / "a.safetensors";
  StateDict dict;
  dict.insert("x", ones({4}));
  io::save(dict, path);
  std::string before = read_file(path);
  Tensor x = io::load(path).at("x");
  x.mut_data<float>()[0] = 5;
  CHECK_EQ(x.data<float>()[0], 5);
  CHECK_EQ(read_file(path), before);
  CHECK_EQ(io::load(path).at("x").data<float>()[0], 1);
}

TEST_CASE("safetensors: views are saved in logical order") {
  Folder folder;
  StateDict dict;
  Tensor x = tensor({0.f, 1.f, 2.f, 3.f, 4.f, 5.f}, Shape{2, 3});
  dict.insert("t", x.t());
  dict.insert("part", x.slice(1, 1, 3));
  io::save(dict, folder / "v");
  StateDict got = io::load(folder / "v");
  CHECK_EQ(got.at("t").to_vector<float>(), std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK_EQ(got.at("part").to_vector<float>(), std::vector<float>{1, 2, 4, 5});
}

TEST_CASE("safetensors: misaligned data is copied") {
  std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  std::string content = safetensors(header, 9);
  float values[2] = {1.5f, -2.f};
  std::memcpy(content.data() + content.size() - 8, values, 8);
  Folder folder;
  write_file(folder / "m", content);
  CHECK_EQ(io::load(folder / "m").at("b").to_vector<float>(), std::vector<float>{1.5f, -2.f});
}

TEST_CASE("safetensors: a failed write leaves the old file and nothing else") {
  Folder folder;
  std::string path = folder / "a";
  write_file(path, "old");
  StateDict bad;
  bad.insert("\xff", ones({1}));
  CHECK_THROWS_AS(io::save(bad, path), ValueError);
  StateDict reserved;
  reserved.insert("__metadata__", ones({1}));
  CHECK_THROWS_AS(io::save(reserved, path), ValueError);
  StateDict undefined;
  undefined.insert("u", Tensor());
  CHECK_THROWS_AS(io::save(undefined, path), ValueError);
  CHECK_EQ(read_file(path), "old");
  CHECK_EQ(folder.files(), 1);
  StateDict good;
  CHECK(refusal([&] { io::save(good, folder / "none/a"); }).find("none/a: cannot be created") != std::string::npos);
}

TEST_CASE("safetensors: null metadata is none, and nothing hides behind a NUL") {
  const std::string w = "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
  const StateDict got = io::load_safetensors(bytes_of(safetensors("{\"__metadata__\":null," + w + "   ", 4)),
                                             "x.safetensors");
  CHECK_EQ(got.size(), 1);
  CHECK(got.metadata.empty());
  CHECK(refused_safetensors(safetensors("{\"__metadata__\":null,\"__metadata__\":null," + w, 4))
            .find("two __metadata__") != std::string::npos);
  CHECK(refused_safetensors(safetensors("{\"w\":null}")).find("null") != std::string::npos);
  CHECK(refused_safetensors(safetensors(std::string("{}\0{}", 5))).find("NUL") != std::string::npos);
  for (const char* blank : {"\n", "\t", "\r", "  \n", "\n   "})
    CHECK(refused_safetensors(safetensors("{}" + std::string(blank))).find("else than spaces behind its JSON") !=
          std::string::npos);
  for (const char* more : {"{}", "0", "\v", "\x1f", ",", "\xc2\xa0"})
    CHECK(refused_safetensors(safetensors("{}  " + std::string(more))).find("is not JSON") != std::string::npos);
}

TEST_CASE("safetensors: what is wrong with a file is said, with its name") {
  Folder folder;
  CHECK(refusal([&] { (void)io::load(folder / "none"); }).find("none: cannot be opened") != std::string::npos);
  CHECK(refusal([&] { (void)io::load(folder.path.string()); }).find("is a folder") != std::string::npos);

  const std::pair<std::string, const char*> cases[] = {
      {"", "only 0 bytes"},
      {safetensors("").substr(0, 5), "only 5 bytes"},
      {std::string(8, '\xff') + "{}", "its header claims 18446744073709551615 bytes, 2 are there"},
      {safetensors("{}").substr(0, 9), "its header claims 2 bytes, 1 are there"},
      {safetensors(""), "does not begin with {"},
      {safetensors("[]"), "does not begin with {"},
      {safetensors("{"), "is not JSON"},
      {safetensors("{}x"), "is not JSON"},
      {safetensors(std::string(100000, '[')), "does not begin"},
      {safetensors("{\"a\":" + std::string(100000, '[')), "has a list where it has no place"},
      {safetensors("{\"a\":{\"b\":{}}}"), "an object where it has no place"},
      {safetensors("{\"a\":1}"), "the number 1 where"},
      {safetensors("{}", 3), "3 bytes at the end belong to no tensor"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "'a' lacks dtype, shape or data_offsets"},
      {safetensors(R"({"a":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8),
       "the text 'F64' where"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
       "has 4 bytes, but [2] of f32 takes 8"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4), "lies at bytes 4 to 0"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3), "lies at bytes 0 to 4 of 3"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4), "the number 8 where"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4), "the negative number -1"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4), "the number 1.5"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}})", 4),
       "the number 99999999999999999999"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4), "has a size of"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})"),
       "impossible shape"},
      {safetensors(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}})"),
       "impossible shape"},
      {safetensors(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1),
       "more than 12 dimensions"},
      {safetensors(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
           3),
       "'b' overlaps another at byte 1"},
      {safetensors(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
           3),
       "'b' lies behind a gap"},
      {safetensors(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
           2),
       "two tensors are named 'a'"},
      {safetensors(R"({"__metadata__":{"k":"1","k":"2"}})"), "two metadata entries are named 'k'"},
      {safetensors(R"({"__metadata__":{"k":1}})"), "the number 1 where"},
      {safetensors(R"({"__metadata__":{},"__metadata__":{}})"), "two __metadata__"},
      {safetensors("{\"\xff\":1}"), "is not JSON"},
  };
  for (const auto& [content, reason] : cases) {
    std::string message = refused_safetensors(content);
    INFO(message);
    CHECK(message.starts_with("x.safetensors: "));
    CHECK(message.find(reason) != std::string::npos);
  }
  for (const char* word : {"C64", "C128"}) {
    const std::string complex = safetensors(
        weft::str(R"({"a":{"dtype":")", word, R"(","shape":[0],"data_offsets":[0,0]}})"));
    std::string message;
    try {
      (void)io::load_safetensors(bytes_of(complex), "x.safetensors").at("a");
    } catch (const NotSupported& e) { message = e.what(); }
    CHECK(message.find(weft::str("tensor 'a' is complex (", word, ")")) != std::string::npos);
  }
  std::string boolean = safetensors(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 1);
  boolean.back() = 2;
  CHECK(refused_safetensors(boolean).find("a bool at byte") != std::string::npos);
}

TEST_SUITE_END();
