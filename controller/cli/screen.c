#include "controller/cli/screen.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define HIDE_AND_CLEAR "\033[?25l\033[?7l\033[2J" /* no cursor, no wrapping of long lines */
#define SHOW_AGAIN "\033[?7h\033[?25h"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"

size_t screen_lines(void)
{
    struct winsize size = { 0 };

    return isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? size.ws_row : 0;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;

    for (; *text; n++) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return n;
}

void screen_draw(struct screen *s, const char *text, size_t lines)
{
    size_t n = count_lines(text), shown = lines && n > lines ? lines - 1 : n;

    if (!s->drawn)
        fputs(HIDE_AND_CLEAR, stdout);
    s->drawn = true;
    fputs(HOME, stdout);
    for (size_t i = 0; i < shown; i++) {
        size_t len = strcspn(text, "\n");
        fwrite(text, 1, len, stdout);
        fputs(CLEAR_LINE "\n", stdout);
        text += len + (text[len] == '\n');
    }
    if (shown < n)
        printf("... %zu more lines" CLEAR_LINE "\n", n - shown);
    fputs(CLEAR_BELOW, stdout);
}

void screen_note(const char *text)
{
    printf("\r%s" CLEAR_LINE, text);
}

void screen_end(struct screen *s)
{
    if (s->drawn)
        fputs("\r" CLEAR_LINE SHOW_AGAIN, stdout);
    s->drawn = false;
}
