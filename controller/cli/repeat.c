/* --watch: a reading command again and again. On a terminal its output is caught and drawn in place; into a
 * pipe it follows what came before, as records that can be read one by one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/cli.h"
#include "controller/cli/screen.h"

/* What a command prints while it is caught: commands print to stdout and stderr, which glibc lets us
 * exchange. */
struct catch
{
    FILE *out, *err, *mem;
    char *text;
    size_t len;
};

static bool catch_begin(struct catch *k)
{
    *k = (struct catch){ .out = stdout, .err = stderr };
    k->mem = open_memstream(&k->text, &k->len);
    if (k->mem)
        stdout = stderr = k->mem;
    return k->mem != NULL;
}

/* The caller frees k->text, which may be NULL. */
static void catch_end(struct catch *k)
{
    stdout = k->out;
    stderr = k->err;
    fclose(k->mem);
}

struct repeat {
    struct cli *c;
    struct screen screen;
    bool terminal;
};

/* The controller may be restarting: who watches wants to see it come back. */
static bool goes_on_after(const struct repeat *p, enum cli_exit code)
{
    return !code || code == CLI_BEHIND || (p->c->looks && (code == CLI_UNREACHABLE || code == CLI_TIMEOUT));
}

static bool is_answer(enum cli_exit code)
{
    return !code || code == CLI_BEHIND;
}

static void print_title(const struct repeat *p)
{
    char now[OUT_NUM], words[64], every[TW_TIME_TEXT];

    printf("%s  twampctl %s, every %s%s\n", out_time(p->c->wall_ns(), now),
           cli_command_words(p->c->command, words), tw_duration_format(p->c->opt.watch_ns, every),
           p->terminal ? "  (Ctrl-C ends)" : "");
}

/* The old picture stays, with the reason below. */
static void show_caught(struct repeat *p, enum cli_exit code, char *text)
{
    char *end;

    if (is_answer(code)) {
        screen_draw(&p->screen, text,
                    screen_lines() > 3 ? screen_lines() - 1 : 0); /* the last is for failures */
        return;
    }
    end = text + strlen(text);
    while (end > text && end[-1] == '\n')
        *--end = '\0';
    end = strrchr(text, '\n');
    screen_note(end ? end + 1 : text);
}

static enum cli_exit look_on_terminal(struct repeat *p)
{
    struct catch k;
    enum cli_exit code;

    if (!catch_begin(&k))
        return cli_no_memory();
    print_title(p);
    code = p->c->command->run(p->c);
    catch_end(&k);
    if (!k.text)
        return cli_no_memory();
    if (!goes_on_after(p, code) && !ctl_interrupted(p->c->ctl)) { /* said in vain, so say it again */
        const char *line = strchr(k.text, '\n');
        screen_end(&p->screen);
        fputs(line ? line + 1 : k.text, stderr);
    } else if (!ctl_interrupted(p->c->ctl)) {
        show_caught(p, code, k.text);
    }
    free(k.text);
    return code;
}

static enum cli_exit look(struct repeat *p)
{
    if (p->terminal)
        return look_on_terminal(p);
    if (cli_for_people(p->c)) {
        if (p->c->looks)
            putchar('\n');
        print_title(p);
    }
    return p->c->command->run(p->c);
}

enum cli_exit cli_repeat(struct cli *c)
{
    struct repeat p = { .c = c, .terminal = cli_for_people(c) && isatty(STDOUT_FILENO) };
    struct ctl_error err = { "" };
    enum cli_exit code;

    c->repeats = true;
    code = cli_connect_catching(c);
    if (code)
        return code;
    code = ctl_connect(c->ctl, &err);
    if (code)
        return cli_fail(code, "%s", err.text);
    while (!ctl_interrupted(c->ctl)) {
        code = look(&p);
        fflush(stdout);
        if (!goes_on_after(&p, code) || ferror(stdout))
            break;
        c->looks += is_answer(code);
        ctl_pause(c->ctl, c->opt.watch_ns);
    }
    screen_end(&p.screen);
    return ctl_interrupted(c->ctl) ? CLI_OK : code;
}
