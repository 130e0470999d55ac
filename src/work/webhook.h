/*
 * webhook.h -- telling games that a period of theirs has closed: takes what is due from the outbox, signs it, sends it,
 * tries again until it is taken.
 *
 * At least once: whoever dies between the answer and the note of it leaves the message to be sent again, under the same
 * id. A message is claimed for as long as a try can last, so several workers may send side by side, and never one
 * message at once.
 */
#ifndef WORK_WEBHOOK_H
#define WORK_WEBHOOK_H

#include "edge/transfer.h"
#include "work/link.h"

struct webhook_sender {
    struct link link;
    struct transfer *transfer;
};

/* stop: as link.h has it. */
void webhook_sender_init(struct webhook_sender *sender, const struct settings *settings, const atomic_bool *stop);
void webhook_sender_done(struct webhook_sender *sender);

/* Sends some of what is due. ret_count: how many were tried. false: the database can't be asked (*error). A game's
 * server that does not take its message is no failure of ours: it is noted with the message. */
bool webhook_sender_step(struct webhook_sender *sender, int64_t *ret_count, struct error *error);

#endif
