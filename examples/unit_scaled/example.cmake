weft_test_example(unit_scaled 0.15 0.35)
