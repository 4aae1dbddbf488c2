weft_test_example(custom_layer 0.97 1)
