/*
 * dates.h -- the parameters of what is told by day, week or month.
 */
#ifndef API_DATES_H
#define API_DATES_H

#include "api/api.h"

/* The parameter `bucket`: "day" where it is missing. false after filling *error. *ret_bucket: static. */
bool dates_bucket(const struct api_call *call, const char **ret_bucket, struct error *error);

/* A parameter that is a date, as 2026-03-29, or `fallback`. false after filling *error. *ret_date: borrowed from the call. */
bool dates_read(const struct api_call *call, const char *name, const char *fallback, const char **ret_date,
                struct error *error);

#endif
