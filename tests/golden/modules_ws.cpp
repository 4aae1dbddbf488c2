// Weight-standardised convolutions and FWS.
#include "golden/conv_options.h"
#include "weft/nn/fws.h"
#include "weft/nn/linear.h"
#include "weft/nn/ws_conv.h"

namespace golden {
namespace {

using namespace weft;

WSVariant variant(const Args& a) {
  const std::string word = a.word("variant", "elektronn3");
  if (word != "elektronn3" && word != "nfnet") throw ValueError("variant: unknown word " + word);
  return word == "nfnet" ? WSVariant::nfnet : WSVariant::elektronn3;
}

template <int D> void add_ws_rank(Modules& m) {
  const std::string rank = std::to_string(D) + "d";
  m.add("elektronn3.WSConv" + rank, [](const Args& a) -> Built {
    nn::WSConv<D> conv(a.integer("in_channels"), a.integer("out_channels"), conv_options<D, nn::ConvOptions<D>>(a),
                       variant(a));
    return {conv, [conv](const std::vector<Tensor>& x, const Args& call) {
              return std::vector<Tensor>{conv(x.at(0), call.number("eps", 1e-4))};
            }};
  });
  m.add("elektronn3.WSConvTranspose" + rank, [](const Args& a) -> Built {
    nn::WSConvTranspose<D> conv(a.integer("in_channels"), a.integer("out_channels"), transpose_options<D>(a),
                                variant(a));
    return {conv, [conv](const std::vector<Tensor>& x, const Args& call) {
              return std::vector<Tensor>{conv(x.at(0), call.opt_ints("output_size"), call.number("eps", 1e-4))};
            }};
  });
}

nn::FWSOptions fws_options(const Args& a) {
  return {.learnable_gain = a.boolean("learnable_gain", true),
          .const_eval = a.boolean("const_eval", false),
          .eps = a.number("eps", 1e-4),
          .variant = variant(a)};
}

/// FWS around the `layer` of a case. False: it is of another class.
template <int D> bool wrap(const std::string& name, const Args& own, const Args& a, Built& out) {
  const std::string rank = std::to_string(D) + "d";
  if (name == "nn.Conv" + rank) {
    out = layer(nn::FWS(
        nn::Conv<D>(own.integer("in_channels"), own.integer("out_channels"), conv_options<D, nn::ConvOptions<D>>(own)),
        fws_options(a)));
    return true;
  }
  if (name == "nn.ConvTranspose" + rank) {
    out = transposed_layer(nn::FWS(
        nn::ConvTranspose<D>(own.integer("in_channels"), own.integer("out_channels"), transpose_options<D>(own)),
        fws_options(a)));
    return true;
  }
  return false;
}

Built fws(const Args& a) {
  const Value& given = a.value("layer");
  const std::string name = given["$module"].as_string();
  const Args own = a.inner(given["args"]);
  Built out;
  if (name == "nn.Linear")
    out = layer(nn::FWS(
        nn::Linear(own.integer("in_features"), own.integer("out_features"), {.bias = own.boolean("bias", true)}),
        fws_options(a)));
  else if (!wrap<1>(name, own, a, out) && !wrap<2>(name, own, a, out) && !wrap<3>(name, own, a, out))
    throw Skip("FWS around " + name);
  own.check_all_read();
  return out;
}

}  // namespace

void add_ws_modules(Modules& m) {
  add_ws_rank<1>(m);
  add_ws_rank<2>(m);
  add_ws_rank<3>(m);
  m.add("elektronn3.FWS", fws);
}

}  // namespace golden
