# Skipped where there is no TensorBoard (WEFT_TENSORBOARD_PYTHON in the environment names a Python that has it).
if(TARGET weft_test_train)
  add_test(NAME "train: tensorboard" COMMAND "${WEFT_PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/tensorboard_test.py"
    $<TARGET_FILE:weft_test_train>)
  set_tests_properties("train: tensorboard" PROPERTIES SKIP_RETURN_CODE 77 LABELS tensorboard TIMEOUT 120)
endif()
