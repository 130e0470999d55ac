#include "db/budget.h"

void budget_init(struct budget *budget, int64_t now_us)
{
    *budget = (struct budget){.left = BUDGET_START, .at_us = now_us};
}

void budget_deposit(struct budget *budget, int percent)
{
    budget->left += percent / 100.0;
    if (budget->left > BUDGET_MAX)
        budget->left = BUDGET_MAX;
}

bool budget_take(struct budget *budget, int64_t now_us)
{
    if (now_us > budget->at_us && budget->left < BUDGET_START) {
        budget->left += (double)(now_us - budget->at_us) / 1e6 * BUDGET_PER_S;
        if (budget->left > BUDGET_START)
            budget->left = BUDGET_START;
    }
    budget->at_us = now_us;
    if (budget->left < 1.0)
        return false;
    budget->left -= 1.0;
    return true;
}
