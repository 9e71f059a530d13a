/* controller/core/changed_lines.h - what is different between two texts that describe the same thing before
 * and after a change. Pure. */
#ifndef TW_CONTROLLER_CORE_CHANGED_LINES_H
#define TW_CONTROLLER_CORE_CHANGED_LINES_H

/* Takes the lines that both have out of both, one against one. Lines end with '\n'; the order of the others
 * stays. */
void changed_lines(char *before, char *after);

#endif
