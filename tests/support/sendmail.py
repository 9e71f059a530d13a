#!/usr/bin/python3
"""A program that behaves like sendmail(8): a message on standard input, the envelope on the command line, the
result in the exit code (sysexits.h). What it takes goes into a mailbox, a file mode says how it is today.

usage: sendmail.py [-i] [-f SENDER] [-t] [--] RECIPIENT...
Files beside it: `mode` (ok, tempfail, unread, nouser, dataerr, crash, slow), `mailbox`."""
import email
import email.policy
import os
import signal
import sys
import time

EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_TEMPFAIL = 64, 65, 67, 69, 75


def give_up(code, text):
    print(text, file=sys.stderr, flush=True)
    os._exit(code)


def read_arguments(argv):
    """Options end at the first argument that is none, or at "--"."""
    dots, sender, i = True, None, 0
    while i < len(argv) and argv[i].startswith("-"):
        if argv[i] == "--":
            i += 1
            break
        if argv[i] == "-i":
            dots = False
        elif argv[i] == "-f":
            i += 1
            sender = argv[i]
        else:
            give_up(EX_USAGE, f"sendmail: invalid option {argv[i]}")
        i += 1
    if i == len(argv):
        give_up(EX_USAGE, "Recipient names must be specified")
    return dots, sender, argv[i:]


def read_message(dots):
    """Up to the end; without -i a line with a dot alone ends it. Lines end as they do on this system."""
    lines = []
    for line in sys.stdin.buffer:
        if dots and line == b".\n":
            break
        if line.endswith(b"\r\n"):
            give_up(EX_DATAERR, "sendmail: a line ends with CR LF")
        if len(line) > 999:
            give_up(EX_DATAERR, "sendmail: a line is longer than RFC 5322 allows")
        lines.append(line)
    return b"".join(lines)


def main():
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    mode = open(os.path.join(here, "mode")).read().strip()
    dots, sender, recipients = read_arguments(sys.argv[1:])
    if mode == "unread":
        give_up(EX_UNAVAILABLE, "sendmail: cannot open the queue: No space left on device")
    if mode == "slow":
        time.sleep(3600)
    message = read_message(dots)
    if mode == "tempfail":
        give_up(EX_TEMPFAIL, "sendmail: the mail server is not there: deferred")
    if mode == "nouser":
        give_up(EX_NOUSER, f"{recipients[0]}... User unknown")
    if mode == "dataerr":
        give_up(EX_DATAERR, "sendmail: headers are wrong")
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    parsed = email.message_from_bytes(message, policy=email.policy.SMTP)
    if parsed.defects or not parsed["Date"] or not parsed["From"] or not parsed["Message-ID"]:
        give_up(EX_DATAERR, f"sendmail: not a message: {parsed.defects} {parsed.keys()}")
    with open(os.path.join(here, "mailbox"), "a") as f:
        print(f"envelope {sender} {' '.join(recipients)}", file=f)
        print(f"subject {parsed['Subject']}", file=f)
        print(f"id {parsed['Message-ID']}", file=f)
        print(f"body {parsed.get_content()!r}", file=f)


main()
