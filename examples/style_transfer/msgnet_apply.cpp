#include "msgnet_apply.h"

#include <algorithm>
#include <cmath>

using namespace weft;

namespace {

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// u8 [h, w, 3] -> what the network takes: BGR, both sides multiples of 4 and at least 8, the edge repeated.
Tensor to_network(const Tensor& piece, Device device) {
  const int64_t h = piece.size(0), w = piece.size(1);
  const int64_t down = std::max<int64_t>(8, rounded_up(h, 4)) - h, right = std::max<int64_t>(8, rounded_up(w, 4)) - w;
  Tensor x = flip(io::image_to_batch(piece.contiguous()), {1});
  return (down || right ? pad(x, {0, right, 0, down}, PadMode::replicate) : x).to(device);
}

/// u8 [h, w, 3] of the output's first h rows and w columns from (y, x) on.
Tensor to_picture(const Tensor& out, int64_t y, int64_t x, int64_t h, int64_t w) {
  Tensor rgb = flip(out.narrow(2, y, h).narrow(3, x, w).to(Dtype::f32), {1});
  return io::batch_to_image(rgb.to(Device()).contiguous());
}

/// Statistics from pieces of the picture, spread evenly, `pixels` in all.
void sample_statistics(MsgNet& net, const Tensor& picture, int64_t pixels) {
  const int64_t h = picture.size(0), w = picture.size(1);
  const int64_t high = std::min<int64_t>(256, h), wide = std::min<int64_t>(256, w);
  const int64_t most = std::max<int64_t>(1, pixels / (high * wide));
  const double aspect = static_cast<double>(w * high) / static_cast<double>(h * wide);
  const auto rows = std::clamp<int64_t>(std::lround(std::sqrt(static_cast<double>(most) / aspect)), 1, most);
  const int64_t columns = most / rows;
  auto place = [](int64_t i, int64_t n, int64_t room) { return n == 1 ? room / 2 : room * i / (n - 1); };
  std::vector<Tensor> pieces;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      pieces.push_back(
          to_network(picture.narrow(0, place(r, rows, h - high), high).narrow(1, place(c, columns, w - wide), wide),
                     net.ins.weight.device()));
  net.norms().from = NormStatistics::From::batch;
  net(cat(pieces, 0));
  net.norms().from = NormStatistics::From::kept;
}

}  // namespace

int64_t bytes_per_pixel(const MsgNet& net) { return 1500 + 8 * net.ngf; }

Tensor paint(MsgNet& net, const Tensor& G, const Tensor& picture, int64_t memory) {
  WEFT_CHECK(picture.rank() == 3 && picture.size(2) == 3 && picture.numel() > 0, ShapeError,
             "paint: the picture must be [H, W, 3], got ", picture.shape());
  NoGrad guard;
  const int64_t h = picture.size(0), w = picture.size(1), margin = rounded_up(net.reach(), 4);
  // Tiles are at least twice their margins, whatever the memory
  const int64_t pixels = std::max(memory / bytes_per_pixel(net), 16 * margin * margin);
  const Device device = net.ins.weight.device();
  net.set_target(G);
  if (h * w <= pixels) return to_picture(net(to_network(picture, device)), 0, 0, h, w);
  const int64_t inner = (static_cast<int64_t>(std::sqrt(static_cast<double>(pixels))) - 2 * margin) / 4 * 4;
  // whatever happens: the next picture has its own statistics again
  const struct Reset {
    NormStatistics& norms;
    ~Reset() { norms.from = NormStatistics::From::picture; }
  } reset{net.norms()};
  sample_statistics(net, picture, pixels);
  std::vector<Tensor> rows;
  for (int64_t y = 0; y < h; y += inner) {
    std::vector<Tensor> row;
    const int64_t top = std::max<int64_t>(0, y - margin), bottom = std::min(h, y + inner + margin);
    for (int64_t x = 0; x < w; x += inner) {
      const int64_t left = std::max<int64_t>(0, x - margin), right = std::min(w, x + inner + margin);
      const Tensor out = net(to_network(picture.narrow(0, top, bottom - top).narrow(1, left, right - left), device));
      row.push_back(to_picture(out, y - top, x - left, std::min(inner, h - y), std::min(inner, w - x)));
    }
    rows.push_back(cat(row, 1));
  }
  return cat(rows, 0);
}

double lattice(const Tensor& picture) {
  constexpr int64_t kWindow = 64, kPitch = 4;
  WEFT_CHECK(picture.rank() == 3 && picture.size(0) > kWindow && picture.size(1) > kWindow, ShapeError,
             "lattice: the picture must be [H, W, 3] with sides above ", kWindow, ", got ", picture.shape());
  const Tensor grey = mean(picture.to(Dtype::f32), {2});
  double sum = 0;
  for (const int64_t axis : {0, 1}) {
    const Tensor d = grey.slice(axis, 1) - grey.slice(axis, 0, -1);
    const int64_t rows = d.size(0) / kWindow, columns = d.size(1) / kWindow, cells = kWindow / kPitch;
    const Tensor windows = d.narrow(0, 0, rows * kWindow).narrow(1, 0, columns * kWindow).contiguous();
    const Tensor x = windows.reshape({rows, cells, kPitch, columns, cells, kPitch});
    const Tensor own = x - mean(x, {1, 2, 4, 5}, true), place = mean(own, {1, 4});
    sum += (mean(square(place)) / mean(square(own))).item<double>();
  }
  return sum / 2;
}
