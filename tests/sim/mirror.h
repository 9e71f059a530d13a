/* tests/sim/mirror.h - the other end of a simulated session: one of our reflectors, or one that knows less.
 */
#ifndef TESTS_SIM_MIRROR_H
#define TESTS_SIM_MIRROR_H

#include "agent/core/reflect.h"
#include "tests/sim/forms.h"

enum mirror_kind {
    MIRROR_PORT,       /* reflect.h: for everybody */
    MIRROR_CONTROLLED, /* reflect_session.h, for this form */
    MIRROR_LIGHT,      /* knows TWAMP Light only */
    MIRROR_STAMP,      /* knows RFC 8762 only */
};

struct mirror;

/* key: of the first set; a controlled one never changes it. No more than `max_sessions` are remembered. */
struct mirror *mirror_new(enum mirror_kind kind, const struct form_spec *spec, unsigned key,
                          uint32_t max_sessions, const struct tw_addr *sender, struct tw_mono now);
void mirror_free(struct mirror *m);
/* Takes key `first`, and the next one, too, if n is 2. */
void mirror_set_keys(struct mirror *m, unsigned first, unsigned n);
/* The answer, ready to send, and its number. left: when it will leave, 0: the reflector never knows. */
enum tw_rc mirror_answer(struct mirror *m, const struct reflect_rx *rx, const uint8_t *data, size_t len,
                         struct tw_wall t3, struct tw_wall left, uint8_t *ret, size_t cap, size_t *ret_len,
                         uint32_t *ret_number);
void mirror_counters(const struct mirror *m, struct reflect_counters *ret);

#endif
