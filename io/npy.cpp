#include "weft/io/npy.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "weft/io/npy_format.h"

namespace weft::io {

namespace {

constexpr size_t kMaxHeader = 1 << 20;
constexpr std::string_view kMagic = "\x93NUMPY";

/// What a descr stands for: byte order, kind and size in bytes. One that is not known is taken, too: its array is
/// listed.
Stored stored_of(std::string_view descr) {
  using Integer = Stored::Integer;
  Stored s;
  s.text = descr;
  if (descr.size() < 3) return s;
  char order = descr[0];
  std::string_view kind = descr.substr(1);
  s.complex = kind == "c8" || kind == "c16";
  bool one = kind.size() == 2 && kind[1] == '1';
  if (order != '<' && order != '>' && !(order == '|' && one)) return s;
  for (int i = 0; i < kDtypes; ++i)
    if (kDtypeTraits[i].npy && kind == kDtypeTraits[i].npy) s = Stored::held(s.text, static_cast<Dtype>(i));
  if (kind == "u4") s = Stored::integer(s.text, Integer::u32);
  if (kind == "u8") s = Stored::integer(s.text, Integer::u64);
  s.swapped = order == '>' && !one;
  return s;
}

/// Reads the header, a Python dict literal such as {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderReader {
 public:
  HeaderReader(const Source& source, std::string_view text) : source_(source), text_(text) { read(); }

  std::optional<Stored> dtype;
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
    if (peek() == '[') {
      dtype.emplace();
      dtype->text = record();
    } else {
      dtype = stored_of(quoted());
    }
  }
  /// The list that describes a structured array.
  std::string record() {
    size_t begin = at_, depth = 0;
    do {
      char c = peek();
      if (c == '\0') bad();
      if (c == '\'' || c == '"') quoted();
      else ++at_;
      if (c == '[' || c == '(') ++depth;
      if (c == ']' || c == ')') --depth;
    } while (depth > 0);
    return std::string(text_.substr(begin, at_ - begin));
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

size_t npy_header_size(const Source& source) {
  Bytes bytes = source.bytes;
  const char* p = reinterpret_cast<const char*>(bytes.data());
  if (bytes.size() < 10 || std::memcmp(p, kMagic.data(), kMagic.size()) != 0) {
    std::string kind = recognised(bytes);
    source.fail("is no .npy file" + (kind.empty() ? "" : ": it is " + kind));
  }
  int major = static_cast<unsigned char>(p[6]);
  size_t header_at = major == 1 ? 10 : 12;
  if (major < 1 || major > 3) source.fail(weft::str("has the unknown .npy version ", major));
  if (bytes.size() < header_at) source.fail("is truncated in its header");
  uint32_t header_size = 0;
  std::memcpy(&header_size, p + 8, major == 1 ? 2 : 4);
  if (header_size > kMaxHeader)
    source.fail(weft::str("its header of ", header_size, " bytes is larger than ", kMaxHeader));
  return header_at + header_size;
}

NpyHeader read_npy_header(const Source& source) {
  size_t data_at = npy_header_size(source);
  if (data_at > source.bytes.size()) source.fail("is truncated in its header");
  const char* p = reinterpret_cast<const char*>(source.bytes.data());
  size_t header_at = p[6] == 1 ? 10 : 12;
  HeaderReader header(source, std::string_view(p + header_at, data_at - header_at));
  return {std::move(*header.dtype), *header.fortran, *header.shape, data_at};
}

Tensor parse_npy(const Source& source, bool widen) {
  NpyHeader header = read_npy_header(source);
  size_t size = 0, there = source.bytes.size() - header.data_at;
  if (!checked_bytes(header.shape, header.stored.bits ? header.stored.bits : 8, size))
    source.fail(weft::str("has the impossible shape ", header.shape));
  if (header.stored.bits && size != there)
    source.fail(
        weft::str("has ", there, " bytes of data, but ", header.shape, " of ", header.stored.shown(), " takes ", size));
  if (!header.fortran) return read_stored(source, header.data_at, header.shape, header.stored, "", widen);
  Shape reversed = header.shape, dims = header.shape;
  std::reverse(reversed.begin(), reversed.end());
  for (int i = 0; i < dims.size(); ++i) dims[i] = dims.size() - 1 - i;
  return read_stored(source, header.data_at, reversed, header.stored, "", widen).permute(dims);
}

std::string npy_header(const Tensor& x) {
  const DtypeTraits& dtype = traits(x.dtype());
  WEFT_CHECK(dtype.npy, DtypeError, "save_npy: numpy has no ", dtype.name, "; convert to f32");
  std::string text = weft::str("{'descr': '", dtype.size == 1 ? '|' : '<', dtype.npy,
                               "', 'fortran_order': False, 'shape': (");
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

Tensor load_npy(const Input& from, const LoadOptions& o) { return parse_npy(Source::of(from), o.widen); }

TensorInfo npy_info(const Input& from) {
  NpyHeader header = read_npy_header(Source::of(from));
  return {"", header.shape, header.stored.text};
}

void save_npy(const Tensor& x, const Output& to) {
  WEFT_CHECK(x.defined(), ValueError, "save_npy: the tensor is undefined");
  weft::detail::refuse_recorded(x, "save_npy");
  Tensor host = x.detach().to(Device()).contiguous();
  std::string header = npy_header(host);
  Sink file(to);
  file.write(header.data(), header.size());
  file.write(host.raw_data(), host.nbytes());
  file.commit();
}

}  // namespace weft::io
