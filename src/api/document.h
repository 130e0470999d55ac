/*
 * document.h -- texts that are compiled in: the service's description, and the page that shows it.
 *
 * Each loop makes the forms in which they are sent (whole, compressed, 304) when somebody first asks, and keeps them.
 * They change with the program only, so a tag of their bytes is all the validation there is.
 */
#ifndef API_DOCUMENT_H
#define API_DOCUMENT_H

struct documents;

struct documents *documents_new(void);
void documents_free(struct documents **documents);

#endif
