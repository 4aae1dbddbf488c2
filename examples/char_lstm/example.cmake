weft_test_example(char_lstm 0 0.2)
