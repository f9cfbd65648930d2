/* sshwords.h: what ssh printed when it failed, made fit for an error message, and what to do next. Pure. */

#ifndef DW_SSHWORDS_H
#define DW_SSHWORDS_H

#include <stddef.h>

/* Its lines without ornaments, joined by "; ": where that is too long for `text` the last ones, behind "…". Control
** bytes stay out. Terminated; "" if it said nothing. */
void sshwords(const char *bytes, size_t count, char *text, size_t size);
/* What to do (static), by what was printed and the exit status (-1: ended by a signal). */
const char *sshwords_next(const char *bytes, size_t count, int status);
/* 1: ssh did not get as far as the Engine, for sure: nothing that was sent to it has arrived there. */
int sshwords_unreached(const char *bytes, size_t count, int status);

#endif
