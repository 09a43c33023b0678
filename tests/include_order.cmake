# Checks that no room includes what it must not know: `cmake -DSOURCES=DIR -P include_order.cmake`. Each line below is a folder
# and the folders that its files may include, besides itself and, within engine/, the public headers heed/.
cmake_minimum_required(VERSION 3.22)
set(rooms
  "engine/include:"
  "engine/graph:"
  "engine/file:graph"
  "engine/plan:graph"
  "engine/ops:graph plan constants"
  "engine/planner:graph plan ops"
  "engine/reference:graph file plan ops planner"
  "engine/tokenizer:graph file"
  "engine/chat:tokenizer"
  "engine/grammar:graph tokenizer"
  "engine/vulkan:"
  "engine/runtime:graph file plan ops planner reference vulkan"
  "engine/generate:graph file plan ops planner reference tokenizer chat grammar runtime"
  "bindings/c:bindings"
  "formats:graph file"
  "models:graph file"
  "tools/convert:graph file plan ops planner reference tokenizer chat models")

set(wrong 0)
set(checked 0)
foreach(room ${rooms})
  string(REPLACE ":" ";" room "${room}")
  list(GET room 0 folder)
  list(GET room 1 allowed)
  string(REPLACE " " ";" allowed "${allowed}")
  get_filename_component(own ${folder} NAME)
  list(APPEND allowed ${own} heed)
  if(folder STREQUAL "tools/convert")
    list(APPEND allowed tools/convert)
  endif()
  file(GLOB_RECURSE sources ${SOURCES}/${folder}/*.h ${SOURCES}/${folder}/*.cpp)
  if(NOT sources)
    message(SEND_ERROR "${folder}: no sources; this list is out of date")
  endif()
  foreach(source ${sources})
    file(STRINGS ${source} lines REGEX "^ *# *include")
    foreach(line ${lines})
      if(line MATCHES "<(vulkan/|volk)")
        set(included vulkan)
      elseif(line MATCHES "\"(tools/convert)/")
        set(included ${CMAKE_MATCH_1})
      elseif(line MATCHES "\"([a-z0-9_.]+)/")
        set(included ${CMAKE_MATCH_1})
      else()
        continue()
      endif()
      math(EXPR checked "${checked} + 1")
      if(NOT included IN_LIST allowed)
        math(EXPR wrong "${wrong} + 1")
        file(RELATIVE_PATH shown ${SOURCES} ${source})
        message(SEND_ERROR "${shown}: ${line}: ${folder} may include ${allowed}")
      endif()
    endforeach()
  endforeach()
endforeach()
if(checked LESS 100)
  message(SEND_ERROR "only ${checked} includes were found in ${SOURCES}")
endif()
message(STATUS "${checked} includes, ${wrong} wrong")
