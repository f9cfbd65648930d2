/* ssh.h: connections to an Engine by the system's ssh: each is one `ssh … docker system dial-stdio`, whose standard
** input and output are one end of a socket on which somebody else speaks HTTP.
**
** Whoever wants a connection makes a socket (AF_UNIX, SOCK_STREAM) and connects it to the address that ssh_open gives;
** that succeeds at once, and ssh is then started on the other end. libcurl does so by itself, since the function that opens
** its sockets may change the address; it cannot be handed a connected one, because 7.88 tries to connect that again.
**
** No prompt, ever: ssh asks nobody for a password. Otherwise the user's ssh configuration holds. */

#ifndef DW_SSH_H
#define DW_SSH_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "endpoint.h"
#include "loop.h"

struct ssh_pool; /* what the connections to one Engine have in common */
struct ssh;      /* one connection */

/* NULL: no memory. */
struct ssh_pool *ssh_pool_new(struct loop *loop, const struct endpoint *endpoint, double connect_timeout);
void ssh_pool_free(struct ssh_pool *pool); /* no ssh is started any more; its memory goes with the last connection */

/* A new connection for the caller's socket `fd`, which gets a name and has then to be connected to `address`. NULL and
** errno: no memory, no descriptor, no place for a socket file. */
struct ssh *ssh_open(struct ssh_pool *pool, int fd, struct sockaddr_un *address, socklen_t *length);
/* The Engine's answer has begun to come: ssh has done its work. */
void ssh_answered(struct ssh *ssh);

enum ssh_complaint {
  SSH_NONE,      /* it knows of nothing; text is as it was */
  SSH_UNREACHED, /* it did not get as far as the Engine: `text` is what it said, `next` (static) what to do */
  SSH_ENDED,     /* it has ended, as `text` says, and may have brought something to the Engine before… */
  SSH_LOST       /* …and that was no end of the Engine's: it was killed, or has lost its connection */
};
/* The connection on the caller's socket `fd` is at its end; has it failed, was it ssh's fault? Where ssh's end of it is
** closed this waits a moment for ssh to end. */
enum ssh_complaint ssh_complaint(struct ssh *ssh, int fd, char *text, size_t size, const char **next);
/* Ends ssh and waits for it: nothing of it is left. The caller's socket is the caller's to close. */
void ssh_close(struct ssh *ssh);

#endif
