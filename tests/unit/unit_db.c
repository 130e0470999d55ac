#include "unit.h"

#include "db/array.h"
#include "db/statements.h"

static void test_arrays_have_the_wire_form(void **context)
{
    static const uint8_t wanted[] = {0,    0,    0,    1,    0,    0,    0,    1,    0,    0,    0,    20,
                                     0,    0,    0,    2,    0,    0,    0,    1,    0,    0,    0,    8,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff};
    struct db_array array;

    (void)context;
    db_array_init(&array, DB_INT8, 1000);
    struct db_parameter empty = db_array_parameter(&array);
    assert_int_equal(empty.size, 12);
    assert_int_equal(empty.data[3], 0);
    db_array_done(&array);
    db_array_init(&array, DB_INT8, 1000);
    db_array_int8(&array, -2);
    db_array_null(&array);
    struct db_parameter parameter = db_array_parameter(&array);
    assert_int_equal(parameter.size, sizeof(wanted));
    assert_memory_equal(parameter.data, wanted, sizeof(wanted));
    db_array_done(&array);
}

static void test_every_statement_has_a_text(void **context)
{
    (void)context;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        assert_true(strlen(statement_name((enum statement)i)) > 0 && strlen(statement_name((enum statement)i)) < 64);
        assert_true(strlen(statement_text((enum statement)i)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_arrays_have_the_wire_form),
                                       cmocka_unit_test(test_every_statement_has_a_text)};

    return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
