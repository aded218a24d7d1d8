/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include "base/test.h"

static void what_is_put_is_owned_and_none_is_no_memory(void **state)
{
        json_t *object = json_object();
        struct err err = ERR_INIT;

        (void)state;
        assert_done(json_put(object, "a", json_string("word"), &err), &err);
        assert_string_equal(json_word(object, "a"), "word");
        assert_false(json_put(object, "b", NULL, &err));
        assert_int_equal(err.status, ERR_NOMEM);
        assert_null(json_object_get(object, "b"));
        /* Refused, and released all the same: valgrind would tell. */
        err_clear(&err);
        assert_false(json_put(NULL, "a", json_string("lost"), &err));
        assert_int_equal(err.status, ERR_NOMEM);
        json_decref(object);
}

static void what_is_no_word_is_empty(void **state)
{
        json_t *object = json_pack("{s:i}", "n", 1);

        (void)state;
        assert_string_equal(json_word(object, "n"), "");
        assert_string_equal(json_word(object, "m"), "");
        assert_string_equal(json_word(NULL, "n"), "");
        json_decref(object);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_put_is_owned_and_none_is_no_memory),
                cmocka_unit_test(what_is_no_word_is_empty),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
