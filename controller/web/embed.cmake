# The files of the page (DIST), each packed by GZIP, as one C file (OUT): names, digests, octets. -P script; no Node needed.
cmake_minimum_required(VERSION 3.20)
file(GLOB_RECURSE names RELATIVE ${DIST} ${DIST}/*)
list(SORT names)
get_filename_component(dir ${OUT} DIRECTORY)
set(octets "")
set(rows "")
set(i 0)
foreach(name IN LISTS names)
  if(NOT name MATCHES "^([A-Za-z0-9_][A-Za-z0-9._-]*|assets/[A-Za-z0-9_][A-Za-z0-9._-]*)$")
    message(FATAL_ERROR "${DIST}/${name} cannot be served: expected NAME or assets/NAME, of letters, digits, '.', '_' and '-'")
  endif()
  set(packed ${dir}/page_${i}.gz)
  execute_process(COMMAND ${GZIP} -9nc ${DIST}/${name} OUTPUT_FILE ${packed} RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${GZIP} cannot pack ${DIST}/${name}: ${failed}")
  endif()
  file(SIZE ${DIST}/${name} size)
  file(SHA256 ${DIST}/${name} digest)
  string(SUBSTRING ${digest} 0 24 digest)
  string(APPEND octets "EMBED(page_${i}, \"${packed}\");\n")
  string(APPEND rows "    { \"${name}\", \"${digest}\", ${size}, page_${i}, page_${i}_end },\n")
  math(EXPR i "${i} + 1")
endforeach()
if(NOT "index.html" IN_LIST names)
  message(FATAL_ERROR "${DIST} has no index.html: build the page (npm run build in controller/web)")
endif()
file(WRITE ${OUT} "/* Made by controller/web/embed.cmake. */
#include \"controller/http/page.h\"

#define EMBED(id, file)                                                                             \\
    __asm__(\".pushsection .rodata\\n.global \" #id \"\\n\" #id \":\\n.incbin \\\"\" file \"\\\"\\n\"               \\
            \".global \" #id \"_end\\n\" #id \"_end:\\n.byte 0\\n.popsection\\n\");                         \\
    extern const unsigned char id[], id##_end[]

${octets}
const struct page_file page_files[] = {
${rows}};
const size_t page_files_n = ${i};
")
