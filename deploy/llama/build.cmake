# How llama.cpp is built, here and for the server that the benchmark measures by.

# The binding loads libllama and ggml and nothing else: without the image models, and without the common library and the
# command-line tools and web page that hang on it, the build takes less than half the time.
set(LLAVA_BUILD OFF)
set(LLAMA_BUILD_COMMON OFF)

# gcc 12 takes the stores that configure the AMX tiles for dead and removes them: SIGILL at the first decode on a processor
# with AMX. Other compilers do not have the fault, nor all of them the flag.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  string(APPEND CMAKE_CXX_FLAGS " -fno-dse")
endif()
