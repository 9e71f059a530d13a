/* tests/sim/forms.h - the packet forms that sessions are simulated in, and the keys of both ends. */
#ifndef TESTS_SIM_FORMS_H
#define TESTS_SIM_FORMS_H

#include "agent/core/form.h"
#include "tests/sim/net.h"

struct form_spec {
    enum form_kind kind;
    uint32_t mode; /* TWAMP; 0 = TWAMP Light */
    uint16_t server_octets;
    uint16_t ssid; /* STAMP */
    bool authenticated;
    uint32_t tlvs;
};

/* Key number k of anybody. */
void sim_key(unsigned k, uint8_t ret[32]);
struct twamp_test_keys sim_twamp_keys(unsigned k);
/* A sender's form that signs with key k; with_previous: it takes the one before, too. */
struct form *sim_form(const struct form_spec *spec, unsigned k, bool with_previous);
/* Does the answer tell which TOS the reflector saw? */
bool sim_form_tells_tos(const struct form_spec *spec);
/* One octet that cannot be changed on the way without being noticed. */
size_t sim_protected_octet(const struct form_spec *spec, bool answer, struct rng *r);

#endif
