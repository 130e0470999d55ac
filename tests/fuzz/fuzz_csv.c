/* CSV files for import. */
#include "fuzz.h"

#include "cli/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {.code = ERROR_NONE};
    enum csv_outcome outcome;
    struct csv csv;
    FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "r") : fopen("/dev/null", "r");
    int64_t line = 0;

    ASSERT(file != NULL);
    csv_init(&csv, file);
    while ((outcome = csv_next(&csv, &error)) == CSV_ROW) {
        ASSERT(csv.count >= 1 && csv.count <= CSV_FIELDS_MAX && csv.line > line);
        line = csv.line;
        size_t bytes = 0;
        for (size_t i = 0; i < csv.count; i++) {
            struct slice field = csv_field(&csv, i);
            ASSERT(field.size <= CSV_FIELD_MAX);
            bytes += field.size;
        }
        ASSERT(bytes == csv.row.size && bytes <= size);
    }
    if (outcome == CSV_BAD)
        fuzz_check_error(&error);
    csv_done(&csv);
    fclose(file);
    return 0;
}
