# Read by CMake right after project(llama_cpp), before llama-cpp-python's own options (see deploy/bootstrap.py).
include(${CMAKE_CURRENT_LIST_DIR}/build.cmake)

# Kernels of our own become part of llama.cpp's CPU library, whose targets do not exist yet. Nobody uses them unasked.
set(kernels ${CMAKE_CURRENT_LIST_DIR}/../../edge/llama/kernels)
cmake_language(DEFER CALL target_sources ggml-cpu PRIVATE ${kernels}/memory.cpp ${kernels}/confidence.cpp)
