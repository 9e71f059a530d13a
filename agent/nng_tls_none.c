/* agent/nng_tls_none.c - in an agent that is one static file (TW_STATIC): nng's own TLS is not in use, since ours is OpenSSL's above nng's
 * byte streams. These two stand for its engine, which would bring all of Mbed TLS with it. Called by nng when it starts and ends. */

int nng_tls_engine_init_mbed(void);
void nng_tls_engine_fini_mbed(void);

int nng_tls_engine_init_mbed(void)
{
    return 0;
}

void nng_tls_engine_fini_mbed(void)
{
}
