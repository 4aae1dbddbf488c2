#include "weft/io/idx.h"

#include "weft/io/gzip.h"
#include "weft/io/stored.h"

namespace weft::io {

namespace {

struct Code {
  int byte;
  Dtype dtype;
};
constexpr Code kCodes[] = {{0x08, Dtype::u8},  {0x09, Dtype::i8},  {0x0b, Dtype::i16},
                           {0x0c, Dtype::i32}, {0x0d, Dtype::f32}, {0x0e, Dtype::f64}};

}  // namespace

Tensor read_idx(const Input& from) {
  const Source source = Source::of(from);
  GzipFile file(source);
  auto byte = [](const Source& s, size_t at) { return std::to_integer<int>(s.bytes[at]); };
  const Source magic = file.first(4);
  std::optional<Dtype> dtype;
  for (const Code& c : kCodes)
    if (c.byte == byte(magic, 2)) dtype = c.dtype;
  const int rank = byte(magic, 3);
  if (byte(magic, 0) != 0 || byte(magic, 1) != 0 || !dtype) {
    const std::string kind = recognised(source.bytes);
    source.fail("is no IDX file" + (kind.empty() ? "" : ": it is " + kind));
  }
  if (rank == 0 || rank > kMaxRank)
    source.fail(weft::str("has ", rank, " dimensions; 1 to ", kMaxRank, " are offered"));
  const size_t data_at = 4 + 4 * static_cast<size_t>(rank);
  const Source header = file.first(data_at);
  Shape shape;
  for (size_t at = 4; at < data_at; at += 4)
    shape.push_back(int64_t{byte(header, at)} << 24 | byte(header, at + 1) << 16 | byte(header, at + 2) << 8 |
                    byte(header, at + 3));
  size_t size = 0;
  if (!checked_bytes(shape, itemsize(*dtype) * 8, size) || size > SIZE_MAX / 2)
    source.fail(weft::str("has the impossible shape ", shape));
  const Source all = file.first(data_at + size);
  if (const size_t more = file.rest(); more > 0)
    source.fail(weft::str("has ", more, " bytes behind its ", shape, " of ", weft::name(*dtype)));
  Stored stored = Stored::held(weft::name(*dtype), *dtype);
  stored.swapped = itemsize(*dtype) > 1;
  return read_stored(all, data_at, shape, stored, "", false);
}

}  // namespace weft::io
