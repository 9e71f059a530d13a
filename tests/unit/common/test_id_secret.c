/* "ID.SECRET" of tokens and the digits of it: there and back, and all that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include "common/hextext.h"
#include "common/id_secret.h"

static void there_and_back(void **state)
{
    uint8_t random[ID_SECRET_ID_OCTETS + ID_SECRET_OCTETS], secret[ID_SECRET_OCTETS];
    char text[ID_SECRET_CHARS + 6], id[ID_SECRET_ID_TEXT], *end;

    (void)state;
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(i * 37 + 255);
    end = id_secret_format(random, text);
    assert_int_equal(end - text, ID_SECRET_CHARS);
    assert_int_equal(strlen(text), ID_SECRET_CHARS);
    assert_ptr_equal(id_secret_parse(text, id, secret), end);
    assert_string_equal(id, "ff24496e93b8dd02");
    assert_memory_equal(secret, random + ID_SECRET_ID_OCTETS, sizeof secret);
    strcpy(end, ".rest");
    assert_string_equal(id_secret_parse(text, id, secret), ".rest");
}

static void whatever_is_cut_or_altered_is_none(void **state)
{
    static const uint8_t random[ID_SECRET_ID_OCTETS + ID_SECRET_OCTETS] = { 0xab, 0xcd };
    uint8_t secret[ID_SECRET_OCTETS];
    char text[ID_SECRET_CHARS + 1], id[ID_SECRET_ID_TEXT];

    (void)state;
    id_secret_format(random, text);
    for (size_t i = 0; i < ID_SECRET_CHARS; i++) {
        char was = text[i];

        text[i] = '\0';
        assert_null(id_secret_parse(text, id, secret));
        text[i] = '!';
        assert_null(id_secret_parse(text, id, secret));
        text[i] = was;
    }
    text[0] = 'A'; /* the digits are lower case */
    assert_null(id_secret_parse(text, id, secret));
}

static void digits(void **state)
{
    char text[5] = "....";

    (void)state;
    assert_ptr_equal(hextext_format(NULL, 0, text), text);
    assert_string_equal(text, "");
    assert_string_equal(hextext_format("\x0f\xa0", 2, text) - 4, "0fa0");
    assert_true(hextext_is("0fa0", 2));
    assert_true(hextext_is("", 0));
    assert_false(hextext_is("0fa", 2));
    assert_false(hextext_is("0fa01", 2));
    assert_false(hextext_is("0fA0", 2));
    assert_false(hextext_is("0f 0", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(there_and_back),
                                        cmocka_unit_test(whatever_is_cut_or_altered_is_none),
                                        cmocka_unit_test(digits) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
