weft_test_example(regression 0 0.05)
