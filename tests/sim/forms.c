#include "tests/sim/forms.h"

#include <stdlib.h>
#include <string.h>

void sim_key(unsigned k, uint8_t ret[32])
{
    for (unsigned i = 0; i < 32; i++)
        ret[i] = (uint8_t)(k * 37 + i);
}

struct twamp_test_keys sim_twamp_keys(unsigned k)
{
    struct twamp_test_keys keys;
    uint8_t key[32];

    sim_key(k, key);
    memcpy(keys.aes, key, sizeof keys.aes);
    memcpy(keys.hmac, key, sizeof keys.hmac);
    return keys;
}

struct form *sim_form(const struct form_spec *spec, unsigned k, bool with_previous)
{
    struct form_cfg cfg = { .kind = spec->kind };
    uint8_t key[2][32];
    struct form *f;

    if (spec->kind == FORM_TWAMP) {
        cfg.twamp = (struct twamp_form_cfg){ spec->mode, sim_twamp_keys(k), spec->server_octets };
    } else {
        cfg.ssid = spec->ssid;
        cfg.authenticated = spec->authenticated;
        cfg.tlvs =
            (struct stamp_tlv_want){ .types = spec->tlvs, .cos_dscp = 46, .access_id = 1, .access_code = 1 };
        cfg.n_keys = with_previous ? 2 : 1;
        for (unsigned i = 0; i < cfg.n_keys; i++) {
            sim_key(k - i, key[i]);
            cfg.keys[i] = (struct form_key){ key[i], sizeof key[i] };
        }
    }
    if (form_new(&cfg, &f))
        abort();
    return f;
}

bool sim_form_tells_tos(const struct form_spec *spec)
{
    return spec->kind == FORM_TWAMP ? spec->mode & TWAMP_DSCP_ECN : spec->tlvs & STAMP_TLV_BIT(STAMP_TLV_COS);
}

size_t sim_protected_octet(const struct form_spec *spec, bool answer, struct rng *r)
{
    size_t mac = spec->kind == FORM_STAMP || answer ? 96 : 32;
    size_t text = spec->kind == FORM_TWAMP && spec->mode & TWAMP_AUTHENTICATED ? 16 : mac;
    size_t at = (size_t)rng_below(r, (int64_t)(text + CRYPTO_MAC));

    return at < text ? at : mac + at - text;
}
