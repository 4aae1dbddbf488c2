weft_test_example(gan 0.7 1)
