/* tests/support/relay/rules.h - what the relay does to which packet, by a text file. Pure, but for reading
 * the file.
 *
 * One line each; # begins a comment:
 *
 *     seed N                  of everything random, default 1. The same seed does the same to the same
 * packets rule KEY=VALUE...       the first rule that matches a UDP packet decides about it; packets that
 * none matches, and all that is not UDP, are passed on at once and are not recorded from= to= names of ports;
 * without: any udp=                  UDP port of either end;  sport= dport=  of the sender, of the receiver
 *       delay=10ms            from the packet's arrival to its departure
 *       jitter=uniform:2ms    on top of it, 0 to 2 ms;  exp:1ms: exponential, 1 ms in the mean. Overtaking is
 * possible, ordered=yes           unless this is given: then nobody leaves before the one before loss=CHANCE
 * lost burst=IN:OUT[:B[:G]]  Gilbert-Elliott: chance to enter a burst, to leave it, of loss in it (1) and
 * outside (0) down=1s-1.5s,...      all lost in these spans of time since the rule's first packet dup=CHANCE
 * sent twice, the copy dup_delay= (0) after the first reorder=CHANCE        held for reorder_delay= longer
 * than the others clock host=NAME offset=5ms [port=862] pretends that this port's clock is ahead: answers of
 * reflectors (UDP source port) that leave it have T2 and T3 moved by the offset, those that go to it by minus
 * the offset. The host's own T1 and T4 stay as they are
 *
 * CHANCE is a list with commas; any of it suffices: a probability (0.05), packets by number (@7, @100-149),
 * each Nth packet (/10). Packets are numbered within their rule, from 1. */
#ifndef TW_RELAY_RULES_H
#define TW_RELAY_RULES_H

#include "common/clk.h"
#include "tests/support/relay/frame.h"

enum fate {
    FATE_SENT,
    FATE_LOSS,   /* lost by loss= */
    FATE_BURST,  /* by burst= */
    FATE_DOWN,   /* by down= */
    FATE_COPY,   /* the second one of a packet sent twice */
    FATE_HELD,   /* the relay ended before it was due */
    FATE_FAILED, /* the operating system refused to send it */
    FATE_COUNT
};
const char *fate_name(enum fate f);

struct verdict {
    unsigned rule; /* from 1; 0: no rule matches, pass it on and do not record it */
    uint64_t number;
    enum fate fate; /* FATE_SENT or one of the losses */
    int64_t delay_ns;
    bool copy; /* send it once more, after copy_delay_ns */
    int64_t copy_delay_ns;
};

struct rules;

/* Reads rules about ports of these names. On failure *err says what was expected, and where. */
enum tw_rc rules_load(const char *file, const char *const *names, unsigned names_n, struct rules **ret,
                      struct tw_err *err);
/* The same from a text that is not kept. */
enum tw_rc rules_parse(const char *text, const char *const *names, unsigned names_n, struct rules **ret,
                       struct tw_err *err);
void rules_free(struct rules *r);

/* The fate of a packet on its way from one port to another. */
void rules_decide(struct rules *r, unsigned from, unsigned to, const struct frame *f, struct tw_wall arrival,
                  struct verdict *ret);
/* By how much to move the times in this packet; 0: leave it alone. */
int64_t rules_clock_shift(const struct rules *r, unsigned from, unsigned to, const struct frame *f);

#endif
