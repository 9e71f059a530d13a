/* Every reader of TWAMP-Control on any octets: what is read is written to the same octets again, but for MBZ.
 * Input: u8 which, then the message (short ones are filled up with zeros). */
#include "agent/core/twamp_ctl_msg.h"
#include "agent/core/twamp_ctl_request.h"
#include "tests/fuzz/ctl_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reading what was written from what was read gives the same octets: w(r(w(r(x)))) == w(r(x)). */
#define ROUND(type, reader, writer, bytes)    \
    do {                                      \
        uint8_t once[bytes], twice[bytes];    \
        struct type v, w;                     \
        memset(&v, 0, sizeof v);              \
        memset(&w, 0, sizeof w);              \
        reader(msg, &v);                      \
        writer(&v, once);                     \
        reader(once, &w);                     \
        writer(&w, twice);                    \
        CHECK(!memcmp(once, twice, (bytes))); \
    } while (0)

static void check_request(const uint8_t *msg, uint32_t mode)
{
    struct ctl_request_limits l = { .mode = mode, .max_padding_bytes = 9000, .max_timeout_ns = 5 };
    struct ctl_session_spec spec;
    const char *text = NULL;
    struct ctl_request r;

    l.local.family = l.peer.family = msg[2] & 1 ? 6 : 4;
    ctl_read_request(msg, &r);
    if (ctl_request_check(&r, &l, &spec, &text)) {
        CHECK(text && *text);
        return;
    }
    CHECK(spec.dscp < 64 && spec.padding_bytes <= 9000 && spec.timeout_ns >= 0 && spec.timeout_ns <= 5);
    CHECK(spec.sender.port && spec.sender.family == l.peer.family && !memcmp(spec.sender.ip, l.peer.ip, 16));
    CHECK(!memcmp(spec.receiver.ip, l.local.ip, 16));
    CHECK(mode & TWAMP_REFLECT ? spec.reflect_bytes < 9000 : !spec.reflect_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t msg[CTL_SET_UP_BYTES] = { 0 };
    size_t n;

    if (!size)
        return 0;
    memcpy(msg, data + 1, size - 1 < sizeof msg ? size - 1 : sizeof msg);
    ROUND(ctl_greeting, ctl_read_greeting, ctl_write_greeting, CTL_GREETING_BYTES);
    ROUND(ctl_set_up, ctl_read_set_up, ctl_write_set_up, CTL_SET_UP_BYTES);
    ROUND(ctl_server_start, ctl_read_server_start, ctl_write_server_start, CTL_SERVER_START_BYTES);
    ROUND(ctl_request, ctl_read_request, ctl_write_request, CTL_REQUEST_BYTES);
    ROUND(ctl_accept_session, ctl_read_accept, ctl_write_accept, CTL_ACCEPT_BYTES);
    ROUND(ctl_stop, ctl_read_stop, ctl_write_stop, CTL_SIMPLE_BYTES);
    ROUND(ctl_many, ctl_read_many, ctl_write_many, CTL_HEAD);
    check_request(msg, TWAMP_OPEN);
    check_request(msg, TWAMP_ENCRYPTED | (data[0] & TWAMP_FEATURES));
    n = ctl_command_bytes(msg, data[0]);
    CHECK(n % 16 == 0 && n <= ctl_many_bytes(data[0]) + CTL_REQUEST_BYTES);
    CHECK(ctl_interval_from_wire((uint64_t)msg[0] << 56 | msg[1]) >= 0);
    CHECK(ctl_command_name(msg[0]) && ctl_accept_text(msg[0]));
    return 0;
}
