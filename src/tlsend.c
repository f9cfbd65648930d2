/* tlsend.c: how each direction of a TLS connection ends (transport_curl.h).
**
** A stream on a plain socket ends one way with shutdown(SHUT_WR). TLS has its own word for that, close_notify, which
** libcurl sends only when it closes the connection. It does give us its TLS library's object for the connection
** (CURLINFO_TLS_SSL_PTR), so we say it through that library: the very one that libcurl has loaded, looked up by name
** here, since we are linked to none. Where there is another library, or it is not found, the caller is told; closing
** the connection instead would lose what the peer still has to say.
**
** The peer says it, too, and a stream that ends without it was cut. Versions of libcurl overlook that; OpenSSL knows whether the word was heard. */

#include <dlfcn.h>
#include <string.h>

#include "transport_curl.h"

#ifdef __APPLE__
#define LIBRARY(name, version) "lib" name "." version ".dylib"
#else
#define LIBRARY(name, version) "lib" name ".so." version
#endif

#define SHUT_SENDING 1      /* gnutls: GNUTLS_SHUT_WR */
#define RECEIVED_SHUTDOWN 2 /* OpenSSL: SSL_RECEIVED_SHUTDOWN */
#define WANT_READ 2         /* OpenSSL: SSL_ERROR_WANT_READ */
#define WANT_WRITE 3        /* …WANT_WRITE */
#define AGAIN (-28)         /* gnutls: GNUTLS_E_AGAIN */

typedef int (*ssl_function)(void *ssl);
typedef int (*ssl_error_function)(const void *ssl, int result);
typedef int (*bye_function)(void *session, int how);

/* A library that is loaded already. Its handle is given back at once: libcurl holds it. */
static void *loaded(const char *name) {
  void *library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
  if (library) dlclose(library);
  return library;
}

/* ISO C has no conversion from what dlsym answers to a function. */
static int find(void *library, const char *name, void *function, size_t size) {
  void *symbol = library ? dlsym(library, name) : NULL;
  if (symbol) memcpy(function, &symbol, size);
  return symbol != NULL;
}

static const char *version(void) {
  const char *text = curl_version_info(CURLVERSION_NOW)->ssl_version;
  return text ? text : "";
}

static void *openssl(void) {
  if (strncmp(version(), "OpenSSL/3.", 10) == 0) return loaded(LIBRARY("ssl", "3"));
  if (strncmp(version(), "OpenSSL/1.1.", 12) == 0) return loaded(LIBRARY("ssl", "1.1"));
  return NULL;
}

static enum tls_end end_openssl(void *ssl) {
  ssl_function shut;
  ssl_error_function error;
  void *library = openssl();
  int result, why;
  if (!find(library, "SSL_shutdown", &shut, sizeof shut) || !find(library, "SSL_get_error", &error, sizeof error)) {
    return TLS_END_IMPOSSIBLE;
  }
  result = shut(ssl); /* 0: said; 1: and the peer had said it before */
  if (result >= 0) return TLS_END_DONE;
  why = error(ssl, result);
  return why == WANT_WRITE || why == WANT_READ ? TLS_END_AGAIN : TLS_END_DONE; /* broken: reading will tell */
}

static enum tls_end end_gnutls(void *object) {
  bye_function bye;
  if (!find(loaded(LIBRARY("gnutls", "30")), "gnutls_bye", &bye, sizeof bye)) return TLS_END_IMPOSSIBLE;
  return bye(object, SHUT_SENDING) == AGAIN ? TLS_END_AGAIN : TLS_END_DONE;
}

/* The TLS library's object, and which library that is; NULL: unknown. */
static void *session(CURL *easy, curl_sslbackend *backend) {
  const struct curl_tlssessioninfo *info = NULL;
  if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info) return NULL;
  *backend = info->backend;
  return info->internals;
}

int tls_was_ended(CURL *easy) {
  curl_sslbackend backend = CURLSSLBACKEND_NONE;
  void *ssl = session(easy, &backend);
  ssl_function heard;
  if (!ssl || backend != CURLSSLBACKEND_OPENSSL) return 1; /* gnutls fails where it is not */
  return !find(openssl(), "SSL_get_shutdown", &heard, sizeof heard) || (heard(ssl) & RECEIVED_SHUTDOWN);
}

enum tls_end tls_end_sending(CURL *easy) {
  curl_sslbackend backend = CURLSSLBACKEND_NONE;
  void *object = session(easy, &backend);
  if (object && backend == CURLSSLBACKEND_OPENSSL) return end_openssl(object);
  if (object && backend == CURLSSLBACKEND_GNUTLS) return end_gnutls(object);
  return TLS_END_IMPOSSIBLE;
}
