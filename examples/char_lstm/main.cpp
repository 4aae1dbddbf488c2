// char_lstm: a recurrent network learns a text character by character and writes it down again.
//
// Data:    a sonnet of Shakespeare's, below, or the text file that is given.
// Run:     char_lstm [file.txt]
// Prints:  the loss and what the network writes, then as its last line
//          loss per character: 0.09
#include <weft/weft.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
using namespace weft;

const char* const kSonnet =
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
    "Rough winds do shake the darling buds of May,\nAnd summer's lease hath all too short a date:\n"
    "Sometime too hot the eye of heaven shines,\nAnd often is his gold complexion dimm'd;\n"
    "And every fair from fair sometime declines,\nBy chance or nature's changing course untrimm'd;\n"
    "But thy eternal summer shall not fade\nNor lose possession of that fair thou owest;\n"
    "Nor shall Death brag thou wander'st in his shade,\nWhen in eternal lines to time thou growest:\n"
    "So long as men can breathe or eyes can see,\nSo long lives this and this gives life to thee.\n";

/// Characters, as bytes, to the scores of the next one: [N, T] of i64 -> [N, T, 256]. The state goes from call to call.
struct CharModel : nn::Module {
  nn::Embedding embed = add("embed", nn::Embedding(256, 32));
  nn::LSTM lstm = add("lstm", nn::LSTM(32, 128, {.batch_first = true}));
  nn::Linear out = add("out", nn::Linear(128, 256));

  struct State {
    Tensor h, c;  // undefined: zeros
  };
  Tensor operator()(const Tensor& text, State& state) {
    const auto [output, h, c] = lstm(embed(text), state.h, state.c);
    state = {h, c};
    return out(output);
  }
};

/// One character drawn from softmax(scores / temperature). scores: [256].
int64_t draw(const Tensor& scores, double temperature) {
  const std::vector<double> p = softmax(scores / temperature, 0).to_vector<double>();
  double rest = default_generator().uniform();
  int64_t c = 0;
  while (c < 255 && rest >= p[static_cast<size_t>(c)]) rest -= p[static_cast<size_t>(c++)];
  return c;
}

/// Lets the model go on after `begin`, each character being the next one's input.
std::string write(CharModel& model, const std::string& begin, size_t length) {
  NoGrad guard;
  CharModel::State state;
  std::string text = begin;
  Tensor input = tensor(std::vector<int64_t>(begin.begin(), begin.end())).unsqueeze(0);
  while (text.size() < length) {
    const Tensor scores = model(input, state);
    const int64_t next = draw(scores.select(1, -1).squeeze(0), 0.5);
    text += static_cast<char>(next);
    input = full({1, 1}, next);
  }
  return text;
}

int main(int argc, char** argv) try {
  manual_seed(2);
  std::string text = kSonnet;
  if (argc > 1) {
    std::ifstream file(argv[1], std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
    WEFT_CHECK(text.size() > 100, IoError, argv[1], ": cannot be read, or has not more than 100 characters");
  }
  const Tensor data = tensor(std::vector<uint8_t>(text.begin(), text.end())).to(Dtype::i64);

  CharModel model;
  optim::Adam opt(model.parameters(), {.lr = 5e-3});
  const int64_t length = 64, batch = 16;
  double average = std::log(256.0);  // of the loss, over the last steps
  for (int step = 1; step <= 600; ++step) {
    // `batch` pieces of the text at random places; the target is the same piece one character later.
    std::vector<Tensor> pieces;
    for (int64_t i = 0; i < batch; ++i) {
      const auto at = static_cast<int64_t>(default_generator().below(static_cast<uint64_t>(data.size(0) - length)));
      pieces.push_back(data.narrow(0, at, length + 1));
    }
    const Tensor piece = stack(pieces), input = piece.narrow(1, 0, length), target = piece.narrow(1, 1, length);

    CharModel::State state;  // every piece begins without a past
    Tensor loss = cross_entropy(model(input, state).flatten(0, 1), target.flatten());
    opt.zero_grad();
    loss.backward();
    optim::clip_grad_norm(model.parameters(), 1.0);
    opt.step();
    average += 0.1 * (loss.item<double>() - average);
    if (step % 50 == 0) std::printf("step %3d  loss %.3f\n", step, average);
  }
  std::printf("\n%s\n", write(model, text.substr(0, 10), 200).c_str());
  std::printf("loss per character: %.3f\n", average);
} catch (const Error& e) {
  std::fprintf(stderr, "char_lstm: %s\n", e.what());
  return 1;
}
