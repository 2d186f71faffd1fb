# Read by CMake right after project(llama_cpp), before llama-cpp-python's own options (see deploy/bootstrap.py).
include(${CMAKE_CURRENT_LIST_DIR}/build.cmake)

# Kernels of our own become part of llama.cpp's CPU library, which is not a target yet, and has another name where one
# is built for each kind of processor. Nobody uses them unasked.
function(add_kernels)
  set(kernels ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../edge/llama/kernels)
  if(TARGET ggml-cpu)
    target_sources(ggml-cpu PRIVATE ${kernels}/memory.cpp ${kernels}/confidence.cpp)
  endif()
endfunction()
cmake_language(DEFER CALL add_kernels)
