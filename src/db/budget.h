/*
 * budget.h -- how many reads may be asked a second time: a share of all, so that retries can't double the load of
 * servers that fail because of it, and a small allowance for quiet times. Pure: the time is given.
 */
#ifndef DB_BUDGET_H
#define DB_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BUDGET_MAX = 1000,  /* what can be saved up: a server that dies takes what it was answering with it, all at once */
    BUDGET_START = 100, /* at the beginning */
    BUDGET_PER_S = 10,  /* whatever the load */
};

struct budget {
    double left;
    int64_t at_us;
};

void budget_init(struct budget *budget, int64_t now_us);
void budget_deposit(struct budget *budget, int percent); /* a first try went */
bool budget_take(struct budget *budget, int64_t now_us); /* may a second one go? */

#endif
