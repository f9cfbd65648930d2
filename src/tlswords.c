/* tlswords.c: see tlswords.h.
**
** The phrases are those of libcurl with OpenSSL and with GnuTLS, and of OpenSSL's alerts ("sslv3 alert bad certificate",
** "tlsv13 alert certificate required"). What the phrase was is kept, in brackets, since it is what others have searched
** the web for. */

#define _GNU_SOURCE /* strcasestr */
#include "tlswords.h"

#include <stdio.h>
#include <string.h>

#define OF_OURS "tls.cert and tls.key (cert.pem and key.pem in DOCKER_CERT_PATH)"

enum trouble {
  UNTRUSTED, EXPIRED, EARLY, OTHER_NAME, REFUSED, CA_FILE, CERT_FILE, KEY_FILE, NO_TLS, TROUBLES
};

/* The first that is found counts. */
static const struct phrase {
  const char *text;
  enum trouble trouble;
} phrases[] = {
  {"certificate has expired", EXPIRED},
  {"certificate expiration date has passed", EXPIRED},
  {"certificate is not yet valid", EARLY},
  {"activation date not yet", EARLY},
  {"local issuer certificate", UNTRUSTED},
  {"self-signed certificate", UNTRUSTED},
  {"self signed certificate", UNTRUSTED},
  {"unable to verify the first certificate", UNTRUSTED},
  {"certificate signature failure", UNTRUSTED},
  {"certificate verification failed", UNTRUSTED},
  {"does not match target", OTHER_NAME},
  {"matches target host name", OTHER_NAME},
  {"matches target ipv", OTHER_NAME},
  {"alert bad certificate", REFUSED},
  {"alert certificate required", REFUSED},
  {"alert certificate expired", REFUSED},
  {"alert certificate unknown", REFUSED},
  {"alert certificate revoked", REFUSED},
  {"alert unsupported certificate", REFUSED},
  {"alert unknown ca", REFUSED},
  {"alert access denied", REFUSED},
  {"error setting certificate", CA_FILE},
  {"error adding trust anchors", CA_FILE},
  {"error reading ca cert file", CA_FILE},
  {"could not load pem client certificate", CERT_FILE},
  {"error reading x.509 key or certificate", CERT_FILE},
  {"unable to set private key file", KEY_FILE},
  {"unable to use client certificate", CERT_FILE},
  {"private key does not match", KEY_FILE},
  {"wrong version number", NO_TLS},
  {"unexpected tls packet", NO_TLS},
  {"packet length too long", NO_TLS},
};

static const char *const says[TROUBLES] = {
  [UNTRUSTED] = "its certificate is signed by nobody who is trusted here",
  [EXPIRED] = "its certificate has expired",
  [EARLY] = "its certificate is not valid yet",
  [OTHER_NAME] = "its certificate is for another host",
  [REFUSED] = "it refuses our certificate",
  [CA_FILE] = "the file of trusted certificates can't be read as PEM",
  [CERT_FILE] = "the file of our certificate can't be read as PEM",
  [KEY_FILE] = "the file of our key can't be read as the key of our certificate",
  [NO_TLS] = "nobody speaks TLS there",
};

static const char *const next[TROUBLES] = {
  [UNTRUSTED] = "Name the file with its CA's certificate in tls.ca (ca.pem in DOCKER_CERT_PATH)",
  [EXPIRED] = "It needs a new one, unless this machine's clock is wrong",
  [EARLY] = "Is this machine's clock right?",
  [OTHER_NAME] = "Connect by a name or address that the certificate is for, or have one made that names this one "
                 "(subjectAltName)",
  [REFUSED] = "What " OF_OURS " name must be signed by the CA that the Engine trusts, for clients, and not be out of "
              "date",
  [CA_FILE] = "It is named in tls.ca (ca.pem in DOCKER_CERT_PATH); without it the CAs of this system are trusted",
  [CERT_FILE] = "The files are named in " OF_OURS,
  [KEY_FILE] = "The files are named in " OF_OURS,
  [NO_TLS] = "Leave the option tls out, or name the port for TLS (usually 2376)",
};
static const char want_cert[] = "Name a certificate that the Engine's CA has signed, and its key, in " OF_OURS;

static enum trouble trouble_of(const char *text, const char **at) {
  size_t i;
  for (i = 0; i < sizeof phrases / sizeof *phrases; i++) {
    *at = strcasestr(text, phrases[i].text);
    if (*at) return phrases[i].trouble;
  }
  return TROUBLES;
}

static const char *advice(enum trouble trouble, int has_cert) {
  return trouble == REFUSED && !has_cert ? want_cert : next[trouble];
}

const char *tlswords(char *text, size_t size, int has_cert) {
  char whole[512];
  const char *at, *detail = text;
  enum trouble trouble = trouble_of(text, &at);
  size_t length;
  if (trouble == TROUBLES) return NULL;
  if (trouble == REFUSED || trouble == NO_TLS) detail = at; /* no numbers of OpenSSL's… */
  length = trouble == REFUSED ? strcspn(detail, ",(") : strlen(detail); /* …and not "alert bad certificate, errno 0" */
  snprintf(whole, sizeof whole, "%s (%.*s)", trouble == REFUSED && !has_cert ? "it wants a certificate of ours"
           : says[trouble], (int)(length < 300 ? length : 300), detail);
  snprintf(text, size, "%s", whole);
  return advice(trouble, has_cert);
}

int tlswords_refused(const char *text) {
  const char *at;
  return trouble_of(text, &at) == REFUSED;
}

const char *tlswords_closed(char *text, size_t size, int has_cert) {
  snprintf(text, size, "it closed the connection right behind the handshake, as one does that %s",
           has_cert ? "refuses our certificate" : "wants a certificate of ours");
  return advice(REFUSED, has_cert);
}
