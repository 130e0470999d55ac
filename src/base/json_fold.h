/*
 * json_fold.h -- JSON laid out for people: one line where it fits, else one member or item a line.
 */
#ifndef BASE_JSON_FOLD_H
#define BASE_JSON_FOLD_H

#include "base/buf.h"

enum { JSON_FOLD_COLUMNS = 118 };

/*
 * Appends `text`, one valid JSON value, to `out`. An object or array is written on one line if that line ends within
 * JSON_FOLD_COLUMNS characters (a comma behind it is not counted), otherwise with each member or item on a line of its
 * own, indented by two spaces. Only white space outside strings changes, and folding folded text changes nothing.
 * Overflow is the sticky flag of `out`. Linear in the size of `text`; any thread.
 */
void json_fold(struct slice text, struct buf *out);

#endif
