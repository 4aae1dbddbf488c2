// The same readers and writers on streams and bytes, and lists of tensors.
#include <sstream>

#include "io/io_test.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"
#include "weft/io/safetensors.h"
#include "weft/nn/linear.h"
#include "weft/optim/adam.h"

using namespace io_test;

namespace {

StateDict sample_dict(bool bf16) {
  StateDict dict;
  for (const auto& [name, t] : samples())
    if (bf16 || t.dtype() != Dtype::bf16) dict.insert(name, t);
  return dict;
}

void check_same(const StateDict& got, const StateDict& expected) {
  REQUIRE(got.size() == expected.size());
  for (const auto& [name, t] : expected) CHECK(identical(got.at(name), t));
}

template <class F> std::string complaint(const F& f) {
  try {
    f();
  } catch (const ValueError& e) { return e.what(); }
  return "nothing thrown";
}

/// A stream that cannot seek and gives its text in pieces, as a pipe does.
class Pipe : public std::streambuf {
 public:
  explicit Pipe(std::string text) : text_(std::move(text)) {}

 protected:
  int_type underflow() override {
    if (at_ == text_.size()) return traits_type::eof();
    const size_t n = std::min<size_t>(7, text_.size() - at_);
    setg(text_.data() + at_, text_.data() + at_, text_.data() + at_ + n);
    at_ += n;
    return traits_type::to_int_type(*gptr());
  }

 private:
  std::string text_;
  size_t at_ = 0;
};

/// Takes 100 bytes and no more.
class Full : public std::streambuf {
 protected:
  int_type overflow(int_type c) override { return taken_++ < 100 ? c : traits_type::eof(); }

 private:
  int taken_ = 0;
};

}  // namespace

TEST_SUITE_BEGIN("streams");

TEST_CASE("a file, a stream and bytes hold the same") {
  Folder folder;
  const StateDict all = sample_dict(true), numpy = sample_dict(false);
  const Tensor x = tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, Shape{2, 3});
  const auto same = [&](const char* name, const auto& save, const auto& check) {
    CAPTURE(name);
    const std::filesystem::path path = folder.path / name;
    save(path);  // std::filesystem::path, text and literals are paths
    const std::string content = read_file(path.string());
    std::ostringstream out;
    save(out);
    CHECK(out.str() == content);
    std::vector<std::byte> bytes(3);
    save(bytes);
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == content);

    check(path);
    std::ifstream file(path, std::ios::binary);
    check(file);
    std::istringstream text(content);
    check(text);
    Pipe pipe(content);
    std::istream piped(&pipe);
    check(piped);
    check(bytes);
    check(bytes_of(content));
    check(io::Input(bytes, "x"));
  };
  same(
      "a.safetensors", [&](auto&& to) { io::save(all, to); }, [&](auto&& from) { check_same(io::load(from), all); });
  same(
      "a.npz", [&](auto&& to) { io::save_npz(numpy, to); },
      [&](auto&& from) { check_same(io::load_npz(from), numpy); });
  same(
      "b.npz", [&](auto&& to) { io::save_npz(numpy, to, true); },
      [&](auto&& from) { check_same(io::load_npz(from), numpy); });
  same(
      "a.npy", [&](auto&& to) { io::save_npy(x, to); }, [&](auto&& from) { CHECK(identical(io::load_npy(from), x)); });
  same(
      "info.npy", [&](auto&& to) { io::save_npy(x, to); },
      [&](auto&& from) { CHECK(io::npy_info(from).shape == x.shape()); });
}

TEST_CASE("models and optimisers in bytes and streams") {
  nn::Linear a(3, 2), b(3, 2);
  const std::vector<std::byte> bytes = io::save_bytes(a);
  io::load(b, bytes);
  CHECK(identical(a.weight, b.weight));
  nn::Linear c(3, 2);
  std::stringstream stream;
  io::save(a, stream);
  io::load(c, stream, true);
  CHECK(identical(a.bias, c.bias));

  optim::Adam one({a.weight.tensor()}, 0.5), two({b.weight.tensor()}, 0.25);
  io::load(two, io::save_bytes(one));
  CHECK(two.lr() == 0.5);
  nn::Linear wrong(4, 2);
  CHECK(complaint([&] { io::load(wrong, io::Input(bytes, "weights of a")); }).starts_with("weights of a: "));
}

TEST_CASE("a list of tensors keeps its order") {
  Folder folder;
  std::vector<Tensor> list;
  for (int64_t i = 0; i < 12; ++i) list.push_back(i % 2 ? full({i}, 1.5, Dtype::f64) : tensor({i, i}));
  io::save(list, folder / "list");
  const StateDict dict = io::load(folder / "list");
  CHECK(dict.size() == 12);
  CHECK(identical(dict.at("11"), list[11]));
  const std::vector<Tensor> again = io::load_tensors(folder / "list");
  REQUIRE(again.size() == 12);
  for (size_t i = 0; i < 12; ++i) CHECK(identical(again[i], list[i]));

  std::vector<Tensor> got = {zeros({1})};
  io::load(got, io::save_bytes(list));  // replaces what was there
  CHECK(got.size() == 12);
  CHECK(identical(got[3], list[3]));
  io::save(std::vector<Tensor>(), folder / "none");
  CHECK(io::load_tensors(folder / "none").empty());

  io::save({list[1], list[2]}, folder / "two");
  Tensor x = list[0];
  CHECK(complaint([&] { io::load(x, folder / "two"); }) == (folder / "two") + ": holds a list of 2 tensors, not one");
  CHECK(x.is_same(list[0]));
  io::save(list[5], folder / "one");
  io::load(x, folder / "one");
  CHECK(identical(x, list[5]));

  StateDict named;
  named.insert("0", x);
  named.insert("weight", x);
  io::save(named, folder / "named");
  CHECK(complaint([&] { (void)io::load_tensors(folder / "named"); }) ==
        (folder / "named") + ": holds no list: of its 2 tensors none is named '1'; io::load gives tensors by name");
  got = list;
  CHECK_THROWS_AS(io::load(got, folder / "named"), ValueError);
  CHECK(got.size() == 12);
  CHECK_THROWS_AS(io::save({list[0], Tensor()}, folder / "undefined"), ValueError);
  CHECK_FALSE(std::filesystem::exists(folder / "undefined"));
}

TEST_CASE("what a stream gives is checked as a file is") {
  std::vector<std::byte> bytes = io::save_bytes(sample_dict(true));
  std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::istringstream cut(content.substr(0, content.size() - 1)), longer(content + "x"), nothing(""), text("hello, you");
  CHECK(refusal([&] { (void)io::load(cut); }).starts_with("the stream: tensor "));
  CHECK(refusal([&] { (void)io::load(longer); }).find("belong to no tensor") != std::string::npos);
  CHECK(refusal([&] { (void)io::load(nothing); }) == "the stream: is no safetensors file: it has only 0 bytes");
  CHECK(refusal([&] { (void)io::load_npy(text); }) == "the stream: is no .npy file");
  std::istringstream named("PK");
  CHECK(refusal([&] { (void)io::load_npz(io::Input(named, "upload")); }).starts_with("upload: is no .npz file"));

  std::ifstream missing("/nowhere/at all");
  CHECK(refusal([&] { (void)io::load(missing); }) ==
        "the stream: cannot be read: the stream has failed or ended before");
  std::ifstream folder("/tmp");  // opens, and fails when it is read
  CHECK(refusal([&] { (void)io::load(folder); }).starts_with("the stream: cannot be read: "));

  // a stream is read from where it stands, also one that throws at its end
  std::istringstream later("head" + content);
  later.exceptions(std::ios::failbit | std::ios::eofbit | std::ios::badbit);
  later.ignore(4);
  check_same(io::load(later), sample_dict(true));
}

TEST_CASE("a stream that is full, and bytes when a save is refused") {
  const StateDict dict = sample_dict(true);
  Full full;
  std::ostream out(&full);
  CHECK(refusal([&] { io::save(dict, out); }) == "the stream: cannot be written");
  CHECK(refusal([&] { io::save(dict, out); }) == "the stream: cannot be written");  // it is bad from the start
  Full again;
  std::ostream throws(&again);
  throws.exceptions(std::ios::badbit);
  CHECK(refusal([&] { io::save_npz(sample_dict(false), throws); }) == "the stream: cannot be written");

  std::vector<std::byte> bytes(5);
  CHECK_THROWS_AS(io::save_npz(dict, bytes), DtypeError);  // bf16, after other arrays
  CHECK(bytes.size() == 5);
}

TEST_CASE("tensors outlive the stream and share what it gave") {
  StateDict dict;
  {
    std::stringstream stream;
    io::save(full({1000}, 3.0, Dtype::f64), stream);
    dict = io::load(stream);
  }
  NoGrad guard;
  Tensor x = dict.at("0");
  x.add_(ones({1000}, Dtype::f64));
  CHECK(x.to_vector<double>() == std::vector<double>(1000, 4.0));
}

TEST_CASE("pictures from streams") {
#if defined(WEFT_HAS_IMAGE)
  Folder folder;
  const Tensor picture = tensor({0, 50, 100, 150, 200, 250}, Shape{1, 2, 3}, Dtype::u8);
  io::write_image(picture, folder / "a.png");
  std::ifstream file(folder / "a.png", std::ios::binary);
  CHECK(identical(io::read_image(file), picture));
  std::istringstream text("no picture");
  CHECK(refusal([&] { (void)io::read_image(text); }) == "the stream: is neither PNG nor JPEG");
#endif
}

TEST_SUITE_END();
