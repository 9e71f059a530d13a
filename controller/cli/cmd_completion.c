/* Completion for shells. The shells' part is a few lines that pass the words so far to "PROGRAM --complete
 * WORD...", which answers from the tables that the parser uses, and names agents and meshes by asking the
 * controller, briefly. */
#include <stdio.h>
#include <string.h>
#include "controller/cli/cli.h"

#define PROGRAMS "twampctl twamp twamp-agent twamp-controller"

/* bash takes words apart at '=' and ':', and wants only the last part. */
static const char bash_script[] =
    "# bash completion for " PROGRAMS ": made by \"twampctl completion bash\".\n"
    "_twampmesh() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} word about cut\n"
    "    local -a words\n"
    "    COMPREPLY=()\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    word=${words[${#words[@]} - 1]}\n"
    "    cut=${word%\"${word##*[=:]}\"}\n"
    "    while IFS=$'\\t' read -r word about; do\n"
    "        case $word in\n"
    "        " CONF_COMPLETE_FILES
    ") compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"${COMP_WORDS[COMP_CWORD]#=}\") ;;\n"
    "        " CONF_COMPLETE_FOLDERS
    ") compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"${COMP_WORDS[COMP_CWORD]#=}\") ;;\n"
    "        *) [[ $word == *= ]] && compopt -o nospace; COMPREPLY+=(\"${word#\"$cut\"}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[0]}\" --complete \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _twampmesh " PROGRAMS "\n";

static const char zsh_script[] =
    "#compdef " PROGRAMS "\n"
    "# zsh completion: made by \"twampctl completion zsh\".\n"
    "_twampmesh() {\n"
    "    local line\n"
    "    local -a plain plain_about open open_about\n"
    "    local program=${words[1]}\n"
    "    local -a before=(\"${(@)words[2,CURRENT-1]}\")\n"
    "    for line in \"${(@f)$($program --complete \"${(@)before}\" \"$PREFIX\" 2>/dev/null)}\"; do\n"
    "        case $line in\n"
    "        '') ;;\n"
    "        " CONF_COMPLETE_FILES ") compset -P '*='; _files; return ;;\n"
    "        " CONF_COMPLETE_FOLDERS ") compset -P '*='; _files -/; return ;;\n"
    "        *) if [[ ${line%%$'\\t'*} == *= ]]; then\n"
    "                open+=(\"${line%%$'\\t'*}\"); open_about+=(\"${line/$'\\t'/  }\")\n"
    "            else\n"
    "                plain+=(\"${line%%$'\\t'*}\"); plain_about+=(\"${line/$'\\t'/  }\")\n"
    "            fi ;;\n"
    "        esac\n"
    "    done\n"
    "    (( $#plain )) && compadd -l -d plain_about -a plain\n"
    "    (( $#open )) && compadd -S '' -l -d open_about -a open\n"
    "}\n"
    "if [[ $funcstack[1] == _twampmesh || $funcstack[1] == _twampctl ]]; then\n"
    "    _twampmesh \"$@\"\n"
    "else\n"
    "    compdef _twampmesh " PROGRAMS "\n"
    "fi\n";

static const struct {
    const char *shell, *script;
} scripts[] = { { "bash", bash_script }, { "zsh", zsh_script } };

enum cli_exit cmd_completion(struct cli *c)
{
    for (size_t i = 0; i < TW_NELEM(scripts); i++)
        if (!strcmp(c->args.v[0], scripts[i].shell)) {
            fputs(scripts[i].script, stdout);
            return CLI_OK;
        }
    return cli_fail(CLI_USAGE, "\"%.40s\": expected bash or zsh", c->args.v[0]);
}

void cli_complete_shells(const char *word, FILE *to)
{
    for (size_t i = 0; i < TW_NELEM(scripts); i++)
        if (!strncmp(scripts[i].shell, word, strlen(word)))
            fprintf(to, "%s\n", scripts[i].shell);
}
