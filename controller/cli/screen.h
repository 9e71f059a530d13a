/* controller/cli/screen.h - a text that is drawn again and again in the same place of a terminal. */
#ifndef TW_CLI_SCREEN_H
#define TW_CLI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

struct screen {
    bool drawn;
};

/* Lines of the terminal on standard output; 0: it is none, or does not say. */
size_t screen_lines(void);
/* Draws over what was there before, line by line, so that nothing flickers. At most `lines` lines (0: all), of which
 * the last then says how many there are more. */
void screen_draw(struct screen *s, const char *text, size_t lines);
/* One line below what was drawn, without moving it. */
void screen_note(const char *text);
/* Leaves the terminal as it was, with the last picture. */
void screen_end(struct screen *s);

#endif
