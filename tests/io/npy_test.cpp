#include "weft/io/npy.h"

#include "io/io_test.h"

using namespace io_test;

namespace {

std::string npy(const std::string& header, size_t data = 0, int version = 1) {
  std::string s = "\x93NUMPY";
  s += {static_cast<char>(version), '\0'};
  uint32_t n = static_cast<uint32_t>(header.size());
  s.append(reinterpret_cast<const char*>(&n), version == 1 ? 2 : 4);
  return s + header + std::string(data, '\0');
}

std::string refused_npy(const std::string& content) {
  return refusal([&] { (void)io::load_npy(bytes_of(content), "x.npy"); });
}
std::string refused_npz(const std::string& content) {
  return refusal([&] { (void)io::load_npz(bytes_of(content), "x.npz"); });
}

}  // namespace

TEST_SUITE_BEGIN("npy");

TEST_CASE("npy: every dtype that numpy has survives") {
  Folder folder;
  for (auto& sample : samples()) {
    const std::string& name = sample.first;  // clang 14 cannot capture a structured binding, and INFO captures
    const Tensor& t = sample.second;
    INFO(name);
    std::string path = folder / (name + ".npy");
    if (t.dtype() == Dtype::bf16) {
      CHECK_THROWS_AS(io::save_npy(t, path), DtypeError);
    } else {
      io::save_npy(t, path);
      CHECK(identical(io::load_npy(path), t));
    }
  }
}

TEST_CASE("npy: the bytes are numpy's") {
  // numpy.save of numpy.arange(3, dtype='<f4')
  Folder folder;
  io::save_npy(tensor({0.f, 1.f, 2.f}), folder / "a.npy");
  std::string expected = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }" + std::string(60, ' ') + "\n",
                             12);
  float values[3] = {0, 1, 2};
  std::memcpy(expected.data() + expected.size() - 12, values, 12);
  CHECK_EQ(read_file(folder / "a.npy"), expected);
}

TEST_CASE("npy: Fortran order is a view") {
  std::string content = npy("{'descr':'<i4','fortran_order':True,'shape':(2,3)}", 24, 2);
  int32_t values[6] = {1, 4, 2, 5, 3, 6};
  std::memcpy(content.data() + content.size() - 24, values, 24);
  Tensor t = io::load_npy(bytes_of(content), "f");
  CHECK_EQ(t.shape(), Shape{2, 3});
  CHECK_EQ(t.strides(), Shape{1, 2});
  CHECK_EQ(t.to_vector<int32_t>(), std::vector<int32_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("npy: what is wrong with a file is said, with its name") {
  const std::pair<std::string, const char*> cases[] = {
      {"", "is no .npy file"},
      {"PK\x03\x04 and so on", "is no .npy file"},
      {npy("", 0, 9), "unknown .npy version 9"},
      {npy("{'descr': '<f4'").substr(0, 20), "truncated"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 11),
       "has 11 bytes of data, but [3] of f32 takes 12"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 13), "has 13 bytes of data"},
      {npy("{'descr': '<f4', 'fortran_order': False}"), "lacks"},
      {npy("{'descr': '<f4', 'descr': '<f4'}"), "unexpected or repeated key 'descr'"},
      {npy("{'x': 1}"), "unexpected or repeated key 'x'"},
      {npy("{'descr': '<f4', 'fortran_order': Maybe}"), "cannot be understood"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "cannot be understood"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3"), "cannot be understood"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"), "does not fit 64 bits"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296)}"), "impossible shape"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1)}", 4), "more than 12"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} import os", 4), "cannot be understood"},
      {npy(std::string("{\0}", 3)), "cannot be understood"},
  };
  for (const auto& [content, reason] : cases) {
    std::string message = refused_npy(content);
    INFO(message);
    CHECK(message.starts_with("x.npy: "));
    CHECK(message.find(reason) != std::string::npos);
  }
  std::string lying = npy("", 0, 2);
  lying.replace(8, 4, "\xff\xff\xff\xff");
  CHECK(refused_npy(lying).find("header of 4294967295 bytes") != std::string::npos);
}

TEST_CASE("npz: stored and deflated archives survive") {
  Folder folder;
  StateDict dict;
  for (auto& [name, t] : samples())
    if (t.dtype() != Dtype::bf16) dict.insert(name, t);
  dict.insert("many", zeros({300, 300}));
  for (bool compress : {false, true}) {
    std::string path = folder / "a.npz";
    io::save_npz(dict, path, compress);
    StateDict got = io::load_npz(path);
    CHECK_EQ(got.size(), dict.size());
    auto it = got.begin();
    for (const auto& [name, t] : dict) {
      CHECK_EQ(it->first, name);
      CHECK(identical(it->second, t));
      ++it;
    }
    if (compress) CHECK_LT(std::filesystem::file_size(path), 10000);
  }
  CHECK_EQ(folder.files(), 1);
}

TEST_CASE("npz: damage anywhere is noticed") {
  Folder folder;
  StateDict dict;
  dict.insert("a", tensor({1.f, 2.f, 3.f}));
  dict.insert("b", tensor({4.0, 5.0}, Dtype::f64));
  for (bool compress : {false, true}) {
    io::save_npz(dict, folder / "a.npz", compress);
    std::string good = read_file(folder / "a.npz");
    for (size_t n = 0; n < good.size(); ++n) CHECK_NE(refused_npz(good.substr(0, n)), "nothing thrown");
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x41);
      try {  // some bytes (dates, padding) mean nothing; what is read must then be right
        StateDict got = io::load_npz(bytes_of(bad), "x");
        for (const auto& [name, t] : got) CHECK((identical(t, dict.at("a")) || identical(t, dict.at("b"))));
      } catch (const IoError&) {}
    }
  }
}

TEST_CASE("npz: lies in the directory are refused") {
  Folder folder;
  StateDict dict;
  dict.insert("a", zeros({100}));
  dict.insert("b", zeros({100}));
  io::save_npz(dict, folder / "a.npz", true);
  std::string good = read_file(folder / "a.npz");
  size_t first = good.find("PK\x01\x02"), second = good.find("PK\x01\x02", first + 1), end = good.find("PK\x05\x06");
  auto with = [&](size_t at, uint32_t v, size_t size = 4) {
    std::string s = good;
    std::memcpy(s.data() + at, &v, size);
    return s;
  };
  auto said = [&](const std::string& content, const char* reason) {
    std::string message = refused_npz(content);
    INFO(message);
    CHECK(message.find(reason) != std::string::npos);
  };
  said(with(first + 24, 0x7fffffff), "claims to have 2147483647 bytes");
  said(with(first + 24, 500), "has another length than it claims");
  said(with(first + 24, 600), "has another length than it claims");
  said(with(first + 16, 1), "checksum");
  said(with(first + 8, 1, 2), "is encrypted");
  said(with(first + 10, 12, 2), "zip method 12");
  said(with(second + 42, 0), "overlaps");
  said(with(second + 46, 'a', 1), "two arrays are named 'a'");
  said(with(second + 48, 'x', 1), "is no .npy file");
  said(with(end + 10, 60000, 2), "claims 60000 files");
  said(with(end + 16, 0xfffffff0), "truncated, or its zip directory is damaged");
  said("PK", "only 2 bytes");
}

TEST_SUITE_END();
