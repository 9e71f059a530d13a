#include "common/mos.h"

#include <math.h>

/* G.113 Appendix I: G.711 with the concealment of its Appendix I, G.729A with VAD. */
const struct mos_codec_info mos_codecs[MOS_CODEC_COUNT] = {
    [MOS_G711] = { "g711", "G.711 with packet loss concealment, 20 ms a packet", 0, 25.1, 0.020 },
    [MOS_G729A] = { "g729a", "G.729A with VAD, 20 ms a packet", 11, 19.0, 0.025 },
};

/* Of the default values of G.107 table 3, which it derives in clauses 7.2 and 7.3. */
#define RO 94.769  /* basic signal-to-noise ratio */
#define IS 1.414   /* what happens at the same time as speech */
#define ROE 94.769 /* -1.5 (No - RLR) */
#define TELR 65.0  /* talker echo loudness rating, dB */
#define WEPL 110.0 /* weighted echo path loss, dB */
#define MIN_PERCEPTIBLE_MS 100.0

/* Talker echo; clause 7.4, STMR between 9 and 20 dB. */
static double echo_of_talker(double t_ms)
{
    double terv = TELR - 40 * log10((1 + t_ms / 10) / (1 + t_ms / 150)) + 6 * exp(-0.3 * t_ms * t_ms);
    double half = (ROE - (80 + 2.5 * (terv - 14))) / 2;

    return (half + sqrt(half * half + 100) - 1) * (1 - exp(-t_ms));
}

static double echo_of_listener(double roundtrip_ms)
{
    double half = (RO - 10.5 * (WEPL + 7) * pow(roundtrip_ms + 1, -0.25)) / 2;

    return half + sqrt(half * half + 169);
}

/* Too long a delay, even without echo. */
static double long_delay(double t_ms)
{
    double x;

    if (t_ms <= MIN_PERCEPTIBLE_MS)
        return 0;
    x = log(t_ms / MIN_PERCEPTIBLE_MS) / log(2);
    return 25 * (pow(1 + pow(x, 6), 1.0 / 6) - 3 * pow(1 + pow(x / 3, 6), 1.0 / 6) + 2);
}

double mos_r_factor(const struct mos_path *path, enum mos_codec codec)
{
    const struct mos_codec_info *c = &mos_codecs[codec];
    double ms = 1e3 * ((path->delay_s > 0 ? path->delay_s : 0) + 2 * path->jitter_s + c->delay_s);
    double ppl = 100 * path->loss_ratio, burst = path->burst_ratio > 1 ? path->burst_ratio : 1;
    double id = echo_of_talker(ms) + echo_of_listener(2 * ms) + long_delay(ms);
    double r = RO - IS - id - (c->ie + (95 - c->ie) * ppl / (ppl / burst + c->bpl));

    return r < 0 ? 0 : r > 100 ? 100 : r;
}

double mos_of_r(double r)
{
    double mos = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;

    return r <= 0 || mos < 1 ? 1 : r >= 100 ? 4.5 : mos; /* below R = 6.5 the polynomial dips under 1 */
}

double mos_burst_ratio(double lost, double sent, double runs)
{
    double ratio;

    if (lost <= 0 || runs <= 0 || lost >= sent)
        return 1;
    ratio = lost / runs * (1 - lost / sent); /* random loss has runs of 1 / (1 - p) */
    return ratio > 1 ? ratio : 1;
}
