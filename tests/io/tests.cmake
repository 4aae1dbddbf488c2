# Skipped where there is no PyTorch (WEFT_TORCH_PYTHON in the environment names a Python that has it).
add_test(NAME "io: export_torch" COMMAND "${WEFT_PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/export_torch_test.py")
set_tests_properties("io: export_torch" PROPERTIES SKIP_RETURN_CODE 77 LABELS torch TIMEOUT 120)
