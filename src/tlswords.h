/* tlswords.h: what libcurl said of a TLS connection that came to nothing, made fit for an error message, and what to do
** next. Pure. */

#ifndef DW_TLSWORDS_H
#define DW_TLSWORDS_H

#include <stddef.h>

/* Rewrites the text in place ("it…" is the peer), where it is known; else it stays. Answers what to do (static), NULL
** where there is nothing to say. has_cert: a certificate of our own was named. */
const char *tlswords(char *text, size_t size, int has_cert);
/* 1: it is the peer's refusal of our certificate, or of us for want of one: with TLS 1.3 that comes behind the
** handshake, as the first thing that is read. */
int tlswords_refused(const char *text);
/* Text and advice where a new connection was closed right behind the handshake, before anything could be sent: what a
** peer that refuses a certificate does, and no sooner than that the end of the connection overtakes its words. */
const char *tlswords_closed(char *text, size_t size, int has_cert);

#endif
