#include "work/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "edge/signature.h"
#include "work/alone.h"

/* A claim must outlast all tries of one step: each SOME messages, one after the other. */
enum { SOME = 8, MARGIN_MS = 5000, HEADER_MAX = 192 };
#define SOME_TEXT "8"

void webhook_sender_init(struct webhook_sender *sender, const struct settings *settings, const atomic_bool *stop)
{
    *sender = (struct webhook_sender){.link = {.settings = settings, .name = "ladder work webhook", .stop = stop}};
    sender->transfer = transfer_new((int)settings->webhook_timeout_ms,
                                    settings->webhook_allow_private ? TRANSFER_ANYWHERE : TRANSFER_PUBLIC);
}

void webhook_sender_done(struct webhook_sender *sender)
{
    transfer_free(&sender->transfer);
    link_close(&sender->link);
}

struct message {
    const char *id, *message_id, *game, *url;
    uint8_t secret[WEBHOOK_SECRET_MAX];
    size_t secret_size;
    struct slice text;
};

static size_t hex_read(const char *hex, uint8_t *out, size_t out_max)
{
    size_t size = 0;
    unsigned byte;

    for (; size < out_max && sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
        out[size] = (uint8_t)byte;
    return size;
}

/* false: it was not taken, *error says why. */
static bool message_send(struct webhook_sender *sender, const struct message *message, struct error *error)
{
    char id[HEADER_MAX], at[HEADER_MAX], signature[HEADER_MAX], signed_text[SIGNATURE_TEXT_MAX];
    const char *const headers[] = {"Content-Type: application/json", id, at, signature};
    const struct transfer_request request = {.method = "POST",
                                             .url = message->url,
                                             .headers = headers,
                                             .header_count = ARRAY_SIZE(headers),
                                             .body = &message->text};
    int64_t now_s = clock_realtime_us() / 1000000;
    int status;

    signature_write((struct slice){(const char *)message->secret, message->secret_size}, message->message_id, now_s,
                    message->text, signed_text);
    snprintf(id, sizeof(id), "webhook-id: %s", message->message_id);
    snprintf(at, sizeof(at), "webhook-timestamp: %lld", (long long)now_s);
    snprintf(signature, sizeof(signature), "webhook-signature: %s", signed_text);
    return transfer_send(sender->transfer, &request, &status, error) &&
           ((status >= 200 && status < 300) || error_set(error, ERROR_UNAVAILABLE, "it answered %d", status));
}

static bool message_note(struct webhook_sender *sender, const struct message *message, const char *failure,
                         struct error *error)
{
    char pause[24], hours[24];
    const char *done[] = {message->id, NULL};
    const char *failed[] = {message->id, failure, pause, hours};
    struct dbb_result *result;

    if (!failure) {
        log_info("webhook-delivered", LOG_TEXT("game", message->game), LOG_TEXT("message", message->message_id));
        return link_query(&sender->link, STATEMENT_webhook_done, 2, done, NULL, error);
    }
    snprintf(pause, sizeof(pause), "%lld", (long long)sender->link.settings->webhook_retry_max_s);
    snprintf(hours, sizeof(hours), "%lld", (long long)sender->link.settings->webhook_give_up_h);
    if (!link_query(&sender->link, STATEMENT_webhook_failed, 4, failed, &result, error))
        return false;
    bool is_given_up = dbb_rows(result) && dbb_bool(result, 0, 0);
    dbb_result_free(&result);
    if (is_given_up)
        log_warn("webhook-given-up", LOG_TEXT("game", message->game), LOG_TEXT("message", message->message_id),
                 LOG_TEXT("because", failure));
    else
        log_warn("webhook-failed", LOG_TEXT("game", message->game), LOG_TEXT("message", message->message_id),
                 LOG_TEXT("because", failure));
    return true;
}

static bool row_send(struct webhook_sender *sender, const struct dbb_result *due, size_t row, struct error *error)
{
    struct message message = {
        .id = dbb_text(due, row, 0),
        .message_id = dbb_text(due, row, 1),
        .game = dbb_text(due, row, 2),
        .url = dbb_text(due, row, 3),
    };
    struct dbb_result *text;
    struct error failure;

    message.secret_size = hex_read(dbb_text(due, row, 4), message.secret, sizeof(message.secret));
    if (!link_query(&sender->link, STATEMENT_webhook_text, 1, &message.id, &text, &failure)) {
        if (!alone_is_of_server(&sender->link, &failure))
            return message_note(sender, &message, failure.message, error);
        *error = failure;
        return false;
    }
    bool is_gone = dbb_is_null(text, 0, 0), is_sent = false;
    message.text = (struct slice){dbb_text(text, 0, 0), dbb_size(text, 0, 0)};
    if (!is_gone)
        is_sent = message_send(sender, &message, &failure);
    dbb_result_free(&text);
    if (is_gone) {
        const char *gone[] = {message.id, "the board or the webhook is gone"};
        return link_query(&sender->link, STATEMENT_webhook_done, 2, gone, NULL, error);
    }
    return message_note(sender, &message, is_sent ? NULL : failure.message, error);
}

bool webhook_sender_step(struct webhook_sender *sender, int64_t *ret_count, struct error *error)
{
    char claim[24];
    const char *parameters[] = {claim, SOME_TEXT};
    struct dbb_result *due;
    bool is_ok = true;

    *ret_count = 0;
    snprintf(claim, sizeof(claim), "%lld", (long long)(SOME * sender->link.settings->webhook_timeout_ms + MARGIN_MS));
    if (!link_open(&sender->link, false, error) ||
        !link_query(&sender->link, STATEMENT_webhook_claim, 2, parameters, &due, error))
        return false;
    for (size_t i = 0; i < dbb_rows(due) && is_ok; i++, (*ret_count)++)
        is_ok = row_send(sender, due, i, error);
    dbb_result_free(&due);
    return is_ok;
}
