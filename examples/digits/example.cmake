weft_test_example(digits 0.94 1)
