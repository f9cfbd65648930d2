/* sshwords.c: see sshwords.h.
**
** ssh ends its lines with CR LF, frames its loudest warning in lines of '@', and says the decisive thing last: so where
** there is no room for all of it the beginning goes. Messages of ssh and docker are English in every locale. */

#define _GNU_SOURCE /* memmem */
#include "sshwords.h"

#include <string.h>

#define SSH_ERROR 255  /* ssh's own status; others are the command's over there */
#define NO_COMMAND 127 /* the shell's status for a command that is not there… */
#define NOT_RUN 126    /* …or may not be run */
#define CUT "\xE2\x80\xA6" /* … */

struct line {
  const char *text;
  size_t length;
};

static int is_blank(char c) {
  return (unsigned char)c <= ' ' || c == 0x7f;
}

/* Cuts the last line that says something off the bytes, without blanks around it; 0: there is none. */
static int take_last(const char *bytes, size_t *count, struct line *line) {
  while (*count > 0) {
    size_t end = *count, start, i;
    for (start = end; start > 0 && bytes[start - 1] != '\n'; start--) {}
    *count = start > 0 ? start - 1 : 0;
    while (end > start && (is_blank(bytes[end - 1]) || bytes[end - 1] == '@')) end--;
    while (start < end && (is_blank(bytes[start]) || bytes[start] == '@')) start++;
    line->text = bytes + start;
    line->length = end - start;
    for (i = start; i < end; i++) {
      if (bytes[i] != '-' && bytes[i] != '=') return 1;
    }
  }
  return 0;
}

/* Puts bytes before what is at the end of text already, from *at on. */
static void put_before(char *text, size_t *at, const char *bytes, size_t count) {
  size_t i;
  *at -= count;
  for (i = 0; i < count; i++) text[*at + i] = is_blank(bytes[i]) ? ' ' : bytes[i];
}

void sshwords(const char *bytes, size_t count, char *text, size_t size) {
  const size_t cut = strlen(CUT);
  size_t at, end, room;
  struct line line;
  if (size == 0) return;
  text[0] = '\0';
  if (size <= cut + 1) return;
  at = end = size - 1;
  while (take_last(bytes, &count, &line)) {
    size_t separator = at < end ? 2 : 0;
    room = at - cut; /* always enough left for it */
    if (line.length + separator > room) {
      if (at == end) put_before(text, &at, line.text + line.length - room, room);
      put_before(text, &at, CUT, cut);
      break;
    }
    if (separator) put_before(text, &at, "; ", 2);
    put_before(text, &at, line.text, line.length);
  }
  if (end > at && text[end - 1] == '.') end--;
  memmove(text, text + at, end - at);
  text[end - at] = '\0';
}

static int says(const char *bytes, size_t count, const char *words) {
  return memmem(bytes, count, words, strlen(words)) != NULL;
}

/* In doubt it has: a container may have been made, and whoever takes it for not made makes another one. */
int sshwords_unreached(const char *bytes, size_t count, int status) {
  static const char *const later[] = {"client_loop:", "Timeout, server", "packet_write_wait", "Broken pipe"};
  static const char *const no_engine[] = {
    "failed to open the raw stream connection", "Cannot connect to the Docker daemon", "is not a docker command"
  };
  size_t i;
  if (status == NO_COMMAND || status == NOT_RUN) return 1;
  if (status == SSH_ERROR) {
    for (i = 0; i < sizeof later / sizeof *later; i++) {
      if (says(bytes, count, later[i])) return 0;
    }
    return count > 0;
  }
  for (i = 0; status > 0 && i < sizeof no_engine / sizeof *no_engine; i++) {
    if (says(bytes, count, no_engine[i])) return 1;
  }
  return 0;
}

const char *sshwords_next(const char *bytes, size_t count, int status) {
  static const struct { const char *words, *next; } known[] = {
    {"IDENTIFICATION HAS CHANGED",
     "Make sure that it is the right host, then forget the old key by ssh-keygen -R HOST"},
    {"Host key verification failed", "Connect once by hand (ssh HOST) to see and accept the host's key"},
    {"Permission denied (",
     "The key has to work without a question: load it into ssh-agent, or name it in ~/.ssh/config (IdentityFile)"},
    {"Too many authentication failures", "Name the one key to use in ~/.ssh/config (IdentityFile, IdentitiesOnly yes)"},
    {"Could not resolve hostname", "Check the host's name, or its entry in ~/.ssh/config"},
    {"Cannot connect to the Docker daemon", "Start the Engine there (systemctl start docker)"},
    {"connect: permission denied",
     "Over there the user has to be root, or a member of the group that owns the socket (usually docker)"},
    {"failed to open the raw stream connection", "Start the Engine there (systemctl start docker)"},
    {"is not a docker command", "Docker 18.09 or newer is needed there"}
  };
  size_t i;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    if (says(bytes, count, known[i].words)) return known[i].next;
  }
  if (status == NO_COMMAND) return "Install Docker's client there, where commands that ssh runs find it in their PATH";
  return "See what `ssh HOST docker version` says";
}
