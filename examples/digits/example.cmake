weft_test_example(digits 0.94 1)
weft_test_program(digits "digits resumed")
