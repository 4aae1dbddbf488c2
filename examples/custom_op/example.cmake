weft_test_example(custom_op 0 0)
