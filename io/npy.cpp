#include "weft/io/npy.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "weft/io/npy_format.h"

namespace weft::io {

namespace {

constexpr size_t kMaxHeader = 1 << 20;
constexpr std::string_view kMagic = "\x93NUMPY";

struct NamedDtype {
  std::string_view name;
  Dtype dtype;
};
constexpr NamedDtype kNames[] = {{"<f4", Dtype::f32}, {"<f8", Dtype::f64}, {"<f2", Dtype::f16},    {"<i8", Dtype::i64},
                                 {"<i4", Dtype::i32}, {"|u1", Dtype::u8},  {"|b1", Dtype::boolean}};

/// Reads the header, a Python dict literal such as {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderReader {
 public:
  HeaderReader(const Source& source, std::string_view text) : source_(source), text_(text) { read(); }

  std::optional<Dtype> dtype;
  std::optional<bool> fortran;
  std::optional<Shape> shape;

 private:
  void read() {
    expect('{');
    while (!take('}')) {
      std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !dtype) read_dtype();
      else if (key == "fortran_order" && !fortran) fortran = boolean();
      else if (key == "shape" && !shape) read_shape();
      else source_.fail("the header has an unexpected or repeated key '" + printable(key) + "'");
      if (!take(',') && peek() != '}') bad();
    }
    if (peek() != '\0') bad();
    if (!dtype || !fortran || !shape) source_.fail("the header lacks descr, fortran_order or shape");
  }
  void read_dtype() {
    if (peek() == '[') source_.fail("holds a structured array, which weft does not offer");
    std::string_view descr = quoted();
    for (const NamedDtype& n : kNames)
      if (descr == n.name) dtype = n.dtype;
    if (descr == "<c8" || descr == "<c16")
      source_.not_supported("is complex ('" + std::string(descr) +
                            "'), which weft does not offer; save its real and imaginary parts");
    if (!dtype)
      source_.fail("has the dtype '" + printable(descr) +
                   "', which weft does not offer (little-endian f8 f4 f2 i8 i4, u1, b1)");
  }
  void read_shape() {
    shape = Shape();
    expect('(');
    while (!take(')')) {
      if (shape->size() == kMaxRank) source_.fail(weft::str("has more than ", kMaxRank, " dimensions"));
      shape->push_back(number());
      if (!take(',') && peek() != ')') bad();
    }
  }
  bool boolean() {
    for (auto [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}})
      if (peek() == word[0] && text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    bad();
  }
  int64_t number() {
    int64_t v = 0;
    size_t begin = (peek(), at_);
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text_[at_] - '0', &v))
        source_.fail("has a size that does not fit 64 bits");
    if (at_ == begin) bad();
    return v;
  }
  std::string_view quoted() {
    char quote = peek();
    if (quote != '\'' && quote != '"') bad();
    size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) bad();
    std::string_view s = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return s;
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) bad();
  }
  [[noreturn]] void bad() { source_.fail(weft::str("the header cannot be understood at its byte ", at_)); }

  const Source& source_;
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Tensor parse_npy(const Source& source) {
  Bytes bytes = source.bytes;
  const char* p = reinterpret_cast<const char*>(bytes.data());
  if (bytes.size() < 10 || std::memcmp(p, kMagic.data(), kMagic.size()) != 0) source.fail("is no .npy file");
  int major = static_cast<unsigned char>(p[6]);
  size_t header_at = major == 1 ? 10 : 12;
  if (major < 1 || major > 3) source.fail(weft::str("has the unknown .npy version ", major));
  if (bytes.size() < header_at) source.fail("is truncated in its header");
  uint32_t header_size = 0;
  std::memcpy(&header_size, p + 8, major == 1 ? 2 : 4);
  if (header_size > kMaxHeader)
    source.fail(weft::str("its header of ", header_size, " bytes is larger than ", kMaxHeader));
  if (header_size > bytes.size() - header_at) source.fail("is truncated in its header");

  HeaderReader header(source, std::string_view(p + header_at, header_size));
  size_t data_at = header_at + header_size, size = 0;
  if (!checked_bytes(*header.shape, *header.dtype, size))
    source.fail(weft::str("has the impossible shape ", *header.shape));
  if (size != bytes.size() - data_at)
    source.fail(weft::str("has ", bytes.size() - data_at, " bytes of data, but ", *header.shape, " of ",
                          weft::name(*header.dtype), " takes ", size));
  if (!*header.fortran) return source.tensor(data_at, *header.shape, *header.dtype);
  Shape reversed = *header.shape, dims = *header.shape;
  std::reverse(reversed.begin(), reversed.end());
  for (int i = 0; i < dims.size(); ++i) dims[i] = dims.size() - 1 - i;
  return source.tensor(data_at, reversed, *header.dtype).permute(dims);
}

std::string npy_header(const Tensor& x) {
  std::string_view descr;
  for (const NamedDtype& n : kNames)
    if (n.dtype == x.dtype()) descr = n.name;
  WEFT_CHECK(!descr.empty(), DtypeError, "save_npy: numpy has no ", weft::name(x.dtype()), "; convert to f32");
  std::string text = weft::str("{'descr': '", descr, "', 'fortran_order': False, 'shape': (");
  for (int64_t size : x.shape()) text += weft::str(size, ", ");
  if (x.rank() > 1) text.resize(text.size() - 2);  // numpy's form: (), (3,), (2, 3)
  else if (x.rank() == 1) text.pop_back();
  text += "), }";
  text.append(63 - (10 + text.size()) % 64, ' ');
  text += '\n';
  std::string out(kMagic);
  out += {'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return out + text;
}

Tensor load_npy(const std::string& path) { return parse_npy(Source::map(path)); }

Tensor load_npy(std::span<const std::byte> bytes, std::string_view name) {
  return parse_npy({bytes, std::string(name), nullptr});
}

void save_npy(const Tensor& x, const std::string& path) {
  WEFT_CHECK(x.defined(), ValueError, "save_npy: the tensor is undefined");
  Tensor host = x.detach().to(Device()).contiguous();
  std::string header = npy_header(host);
  AtomicFile file(path);
  file.write(header.data(), header.size());
  file.write(host.raw_data(), host.nbytes());
  file.commit();
}

}  // namespace weft::io
