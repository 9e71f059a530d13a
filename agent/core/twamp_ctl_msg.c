/* agent/core/twamp_ctl_msg.c - see twamp_ctl_msg.h. Offsets: RFC 4656 section 3 and 5357 section 3. */
#include "agent/core/twamp_ctl_msg.h"

#include <string.h>

#include "common/wire.h"

#define READER(data, n)                  \
    {                                    \
        .p = (data), .end = (data) + (n) \
    }
#define WRITER(buf, n)                 \
    {                                  \
        .p = (buf), .end = (buf) + (n) \
    }

static void get_bytes(struct wire_rd *r, void *ret, size_t n)
{
    const uint8_t *p = wire_take(r, n);

    if (p)
        memcpy(ret, p, n);
}

static const struct {
    uint8_t number;
    bool many;
    uint16_t bytes; /* of one that is not `many` */
    const char *name;
} commands[] = {
    { CTL_CMD_START, false, CTL_SIMPLE_BYTES, "Start-Sessions" },
    { CTL_CMD_STOP, false, CTL_SIMPLE_BYTES, "Stop-Sessions" },
    { CTL_CMD_REQUEST, false, CTL_REQUEST_BYTES, "Request-TW-Session" },
    { CTL_CMD_START_N, true, 0, "Start-N-Sessions" },
    { CTL_CMD_START_N_ACK, true, 0, "Start-N-Ack" },
    { CTL_CMD_STOP_N, true, 0, "Stop-N-Sessions" },
    { CTL_CMD_STOP_N_ACK, true, 0, "Stop-N-Ack" },
};

size_t ctl_many_bytes(size_t n)
{
    return CTL_HEAD + n * CTL_SID + CTL_HMAC;
}

size_t ctl_command_bytes(const uint8_t head[CTL_HEAD], uint32_t max_n)
{
    struct ctl_many m;

    for (size_t i = 0; i < TW_NELEM(commands); i++) {
        if (commands[i].number != head[0])
            continue;
        if (!commands[i].many)
            return commands[i].bytes;
        ctl_read_many(head, &m);
        return m.n && m.n <= max_n ? ctl_many_bytes(m.n) : 0;
    }
    return 0;
}

const char *ctl_command_name(unsigned command)
{
    for (size_t i = 0; i < TW_NELEM(commands); i++)
        if (commands[i].number == command)
            return commands[i].name;
    return "unknown command";
}

const char *ctl_accept_text(unsigned accept)
{
    static const char *const texts[] = { "accepted",
                                         "failure, no reason given",
                                         "internal error",
                                         "some aspect of the request is not supported",
                                         "permanent lack of resources",
                                         "temporary lack of resources" };

    return texts[accept < TW_NELEM(texts) ? accept : CTL_FAILED];
}

/* ---- Set-up ---- */

/*  0 unused   12 Modes   16 Challenge   32 Salt   48 Count   52 MBZ */
void ctl_write_greeting(const struct ctl_greeting *g, uint8_t ret[CTL_GREETING_BYTES])
{
    struct wire_wr w = WRITER(ret, CTL_GREETING_BYTES);

    wire_put_zero(&w, 12);
    wire_put_u32(&w, g->modes);
    wire_put_bytes(&w, g->challenge, 16);
    wire_put_bytes(&w, g->salt, 16);
    wire_put_u32(&w, g->count);
    wire_put_zero(&w, 12);
}

void ctl_read_greeting(const uint8_t data[CTL_GREETING_BYTES], struct ctl_greeting *ret)
{
    struct wire_rd r = READER(data, CTL_GREETING_BYTES);

    wire_take(&r, 12);
    ret->modes = wire_get_u32(&r);
    get_bytes(&r, ret->challenge, 16);
    get_bytes(&r, ret->salt, 16);
    ret->count = wire_get_u32(&r);
}

/*  0 Mode   4 KeyID   84 Token   148 Client-IV */
void ctl_write_set_up(const struct ctl_set_up *u, uint8_t ret[CTL_SET_UP_BYTES])
{
    struct wire_wr w = WRITER(ret, CTL_SET_UP_BYTES);
    size_t n = strnlen(u->key_id, CTL_KEYID_MAX);

    wire_put_u32(&w, u->mode);
    wire_put_bytes(&w, u->key_id, n);
    wire_put_zero(&w, CTL_KEYID_MAX - n);
    wire_put_bytes(&w, u->token, sizeof u->token);
    wire_put_bytes(&w, u->iv, sizeof u->iv);
}

void ctl_read_set_up(const uint8_t data[CTL_SET_UP_BYTES], struct ctl_set_up *ret)
{
    struct wire_rd r = READER(data, CTL_SET_UP_BYTES);

    ret->mode = wire_get_u32(&r);
    get_bytes(&r, ret->key_id, CTL_KEYID_MAX);
    ret->key_id[CTL_KEYID_MAX] = '\0'; /* a KeyID of 80 octets has no terminator of its own */
    get_bytes(&r, ret->token, sizeof ret->token);
    get_bytes(&r, ret->iv, sizeof ret->iv);
}

/*  0 MBZ   15 Accept   16 Server-IV   32 Start-Time   40 MBZ */
void ctl_write_server_start(const struct ctl_server_start *s, uint8_t ret[CTL_SERVER_START_BYTES])
{
    struct wire_wr w = WRITER(ret, CTL_SERVER_START_BYTES);

    wire_put_zero(&w, 15);
    wire_put_u8(&w, s->accept);
    wire_put_bytes(&w, s->iv, 16);
    wire_put_u64(&w, s->start_time);
    wire_put_zero(&w, 8);
}

void ctl_read_server_start(const uint8_t data[CTL_SERVER_START_BYTES], struct ctl_server_start *ret)
{
    struct wire_rd r = READER(data, CTL_SERVER_START_BYTES);

    wire_take(&r, 15);
    ret->accept = wire_get_u8(&r);
    get_bytes(&r, ret->iv, 16);
    ret->start_time = wire_get_u64(&r);
}

/* ---- Sessions ---- */

/*  0 command   1 IPVN   2 Conf-Sender   3 Conf-Receiver   4 slots   8 packets   12 Sender Port
 * 14 Receiver Port   16 Sender Address   32 Receiver Address   48 SID   64 Padding Length   68 Start Time
 * 76 Timeout   84 Type-P   88 octets to be reflected   90 length of padding to reflect   92 MBZ   96 HMAC */
void ctl_write_request(const struct ctl_request *r, uint8_t ret[CTL_REQUEST_BYTES])
{
    struct wire_wr w = WRITER(ret, CTL_REQUEST_BYTES);

    wire_put_u8(&w, CTL_CMD_REQUEST);
    wire_put_u8(&w, r->ipvn & 15);
    wire_put_u8(&w, r->conf_sender);
    wire_put_u8(&w, r->conf_receiver);
    wire_put_u32(&w, r->slots);
    wire_put_u32(&w, r->packets);
    wire_put_u16(&w, r->sender_port);
    wire_put_u16(&w, r->receiver_port);
    wire_put_bytes(&w, r->sender, 16);
    wire_put_bytes(&w, r->receiver, 16);
    wire_put_bytes(&w, r->sid, CTL_SID);
    wire_put_u32(&w, r->padding_bytes);
    wire_put_u64(&w, r->start_ntp);
    wire_put_u64(&w, r->timeout);
    wire_put_u32(&w, r->type_p);
    wire_put_u16(&w, r->reflect_octets);
    wire_put_u16(&w, r->reflect_bytes);
    wire_put_zero(&w, 4 + CTL_HMAC);
}

void ctl_read_request(const uint8_t data[CTL_REQUEST_BYTES], struct ctl_request *ret)
{
    struct wire_rd r = READER(data, CTL_REQUEST_BYTES);

    wire_get_u8(&r);
    ret->ipvn = wire_get_u8(&r) & 15;
    ret->conf_sender = wire_get_u8(&r);
    ret->conf_receiver = wire_get_u8(&r);
    ret->slots = wire_get_u32(&r);
    ret->packets = wire_get_u32(&r);
    ret->sender_port = wire_get_u16(&r);
    ret->receiver_port = wire_get_u16(&r);
    get_bytes(&r, ret->sender, 16);
    get_bytes(&r, ret->receiver, 16);
    get_bytes(&r, ret->sid, CTL_SID);
    ret->padding_bytes = wire_get_u32(&r);
    ret->start_ntp = wire_get_u64(&r);
    ret->timeout = wire_get_u64(&r);
    ret->type_p = wire_get_u32(&r);
    ret->reflect_octets = wire_get_u16(&r);
    ret->reflect_bytes = wire_get_u16(&r);
}

/*  0 Accept   1 MBZ   2 Port   4 SID   20 reflected octets   22 Server octets   24 MBZ   32 HMAC */
void ctl_write_accept(const struct ctl_accept_session *a, uint8_t ret[CTL_ACCEPT_BYTES])
{
    struct wire_wr w = WRITER(ret, CTL_ACCEPT_BYTES);

    wire_put_u8(&w, a->accept);
    wire_put_u8(&w, 0);
    wire_put_u16(&w, a->port);
    wire_put_bytes(&w, a->sid, CTL_SID);
    wire_put_u16(&w, a->reflect_octets);
    wire_put_u16(&w, a->server_octets);
    wire_put_zero(&w, 8 + CTL_HMAC);
}

void ctl_read_accept(const uint8_t data[CTL_ACCEPT_BYTES], struct ctl_accept_session *ret)
{
    struct wire_rd r = READER(data, CTL_ACCEPT_BYTES);

    ret->accept = wire_get_u8(&r);
    wire_get_u8(&r);
    ret->port = wire_get_u16(&r);
    get_bytes(&r, ret->sid, CTL_SID);
    ret->reflect_octets = wire_get_u16(&r);
    ret->server_octets = wire_get_u16(&r);
}

/* ---- All sessions together ---- */

void ctl_write_start(uint8_t ret[CTL_SIMPLE_BYTES])
{
    memset(ret, 0, CTL_SIMPLE_BYTES);
    ret[0] = CTL_CMD_START;
}

void ctl_write_start_ack(unsigned accept, uint8_t ret[CTL_SIMPLE_BYTES])
{
    memset(ret, 0, CTL_SIMPLE_BYTES);
    ret[0] = (uint8_t)accept;
}

unsigned ctl_read_start_ack(const uint8_t data[CTL_SIMPLE_BYTES])
{
    return data[0];
}

/*  0 command   1 Accept   2 MBZ   4 Number of Sessions   8 MBZ   16 HMAC */
void ctl_write_stop(const struct ctl_stop *s, uint8_t ret[CTL_SIMPLE_BYTES])
{
    struct wire_wr w = WRITER(ret, CTL_SIMPLE_BYTES);

    wire_put_u8(&w, CTL_CMD_STOP);
    wire_put_u8(&w, s->accept);
    wire_put_u16(&w, 0);
    wire_put_u32(&w, s->sessions);
    wire_put_zero(&w, 8 + CTL_HMAC);
}

void ctl_read_stop(const uint8_t data[CTL_SIMPLE_BYTES], struct ctl_stop *ret)
{
    struct wire_rd r = READER(data, CTL_SIMPLE_BYTES);

    wire_get_u8(&r);
    ret->accept = wire_get_u8(&r);
    wire_get_u16(&r);
    ret->sessions = wire_get_u32(&r);
}

/* ---- Each by itself, RFC 5938 ---- */

/*  0 command   1 Accept (MBZ in 7 and 9)   2 MBZ   12 N   16 SIDs */
void ctl_write_many(const struct ctl_many *m, uint8_t ret[CTL_HEAD])
{
    struct wire_wr w = WRITER(ret, CTL_HEAD);

    wire_put_u8(&w, m->command);
    wire_put_u8(&w, m->accept);
    wire_put_zero(&w, 10);
    wire_put_u32(&w, m->n);
}

void ctl_read_many(const uint8_t data[CTL_HEAD], struct ctl_many *ret)
{
    struct wire_rd r = READER(data, CTL_HEAD);

    ret->command = wire_get_u8(&r);
    ret->accept = wire_get_u8(&r);
    wire_take(&r, 10);
    ret->n = wire_get_u32(&r);
}

/* ---- Intervals ---- */

uint64_t ctl_interval_to_wire(int64_t ns)
{
    uint64_t s = ns > 0 ? (uint64_t)(ns / TW_NS_PER_S) : 0, rest = ns > 0 ? (uint64_t)(ns % TW_NS_PER_S) : 0;

    if (s > UINT32_MAX)
        return UINT64_MAX;
    return s << 32 | ((rest << 32) + TW_NS_PER_S / 2) / TW_NS_PER_S;
}

int64_t ctl_interval_from_wire(uint64_t wire)
{
    uint64_t frac = (wire & UINT32_MAX) * (uint64_t)TW_NS_PER_S;

    return (int64_t)(wire >> 32) * TW_NS_PER_S + (int64_t)((frac + (UINT32_C(1) << 31)) >> 32);
}
